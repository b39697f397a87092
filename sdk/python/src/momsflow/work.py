"""What the sender works on: events out of memory, or a segment of the spool. Both are settled from the front."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from .queue import EventQueue, Held, Outcome
from .spool import Spool


class Work(Protocol):
    """Events that are to be delivered."""

    payloads: list[bytes]
    on_disk: bool

    def settle(self, payloads: list[bytes], outcome: Outcome) -> bool:
        """Books the first events, which are `payloads`. False if they were given up at the exit meanwhile."""


class MemoryWork:
    """A batch that the queue counts as pending."""

    on_disk = False

    def __init__(self, queue: EventQueue, held: Held) -> None:
        self._queue = queue
        self.held = held
        self.payloads = held.payloads

    def settle(self, payloads: list[bytes], outcome: Outcome) -> bool:
        return self._queue.settle(self.held, payloads, outcome)


class SpoolWork:
    """A segment, whose events count as spooled until each is settled."""

    on_disk = True

    def __init__(self, queue: EventQueue, spool: Spool, path: Path, payloads: list[bytes]) -> None:
        self._queue = queue
        self._spool = spool
        self._path = path
        self.payloads = payloads

    def settle(self, payloads: list[bytes], outcome: Outcome) -> bool:
        with self._queue.lock:
            if self._queue.abandoned:
                return False
            del self.payloads[: len(payloads)]
            self._queue.counters.spooled -= len(payloads)
            self._queue.book_locked(outcome)
        if not self.payloads:
            self._spool.remove(self._path)
        return True
