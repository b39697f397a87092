"""The account must add up at every moment: a thread looks all the time."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from momsflow import Client, Stats


def adds_up(stats: Stats) -> bool:
    parts = stats.delivered + stats.rejected + stats.dropped + stats.spooled + stats.pending
    return stats.enqueued == parts and min(stats.delivered, stats.rejected, stats.dropped, stats.spooled) >= 0


class Auditor:
    """Asks for the account until it ends, and once more then. Fails the test where it once did not add up."""

    def __init__(self, *clients: Client) -> None:
        self._clients = clients
        self._wrong: list[Stats] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Auditor:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self._look()
        if error is None:
            assert not self._wrong, self._wrong[0]

    def _watch(self) -> None:
        while not self._over.is_set():
            self._look()
            time.sleep(0.002)

    def _look(self) -> None:
        self._wrong.extend(stats for client in self._clients if not adds_up(stats := client.stats()))
