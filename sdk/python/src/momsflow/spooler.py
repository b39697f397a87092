"""Moves events from memory to the spool: where too many wait, and all of them while the server cannot be reached.

It has a thread of its own, since the sender may be waiting for a server that never answers.
"""

from __future__ import annotations

import logging
from threading import get_ident

from .queue import EventQueue, Held, Outcome
from .spool import SYNC_INTERVAL, Spool, SpoolFull

log = logging.getLogger("momsflow")

_RETRY = 1.0


class Spiller:
    """`run` is the body of the spooler's thread; `spill` is for the sender and the exit too."""

    def __init__(self, queue: EventQueue, spool: Spool) -> None:
        self._queue = queue
        self._spool = spool
        self._failing = False
        #: Whether the spool takes nothing now.
        self.is_blocked = False

    def set_failing(self, failing: bool) -> None:
        """Whether the server cannot be reached now."""
        with self._queue.lock:
            if self._failing != failing:
                self._failing = failing
                self._queue.changed.notify_all()

    def spill(self, held: Held) -> bool:
        """Writes events to disk and settles them. False where there is no room for all: the rest stays held."""
        while held.payloads:
            part = held.payloads[: self._queue.limits.batch_count]
            # What fits into the last of the room is found by halves.
            while not self._write(part):
                part = part[: len(part) // 2]
                if not part:
                    return False
            if not self._queue.settle(held, part, Outcome(spooled=len(part))):
                return False
        self.is_blocked = False
        return True

    def _write(self, payloads: list[bytes]) -> bool:
        try:
            self._spool.append(payloads)
        except SpoolFull:
            self._block("the spool is full")
            return False
        except Exception as error:  # noqa: BLE001 - this thread must not end, whatever the disk or the memory has
            self._block(f"the spool cannot be written: {str(error) or type(error).__name__}")
            return False
        return True

    def run(self) -> None:
        queue = self._queue
        queue.never_wait.add(get_ident())
        while not queue.closing:
            # Like the sender it outlives what nobody has thought of, or memory would only ever fill up.
            try:
                self._turn()
            except Exception:
                log.exception("the spooler failed and tries again")
                self._rest()

    def _turn(self) -> None:
        queue = self._queue
        with queue.lock:
            if not self._should_spill_locked() and not queue.closing:
                queue.changed.wait(SYNC_INTERVAL if self._spool.has_events() else None)
            if queue.closing or not self._should_spill_locked():
                held = None
            else:
                held = queue.take_locked()
        if held is not None:
            self._spill_or_give_back(held)
        if not queue.closing:
            self._sync()

    def _spill_or_give_back(self, held: Held) -> None:
        done = False
        try:
            done = self.spill(held)
        finally:
            if not done:
                self._queue.give_back(held)
        if not done:
            self._rest()

    def _rest(self) -> None:
        with self._queue.lock:
            self._queue.changed.wait_for(lambda: self._queue.closing, _RETRY)

    def _should_spill_locked(self) -> bool:
        return self._queue.waits_locked(above=0 if self._failing else self._queue.limits.spill_bytes)

    def _sync(self) -> None:
        try:
            self._spool.sync_when_due()
        except OSError as error:
            self._block(f"the spool cannot be written: {error}")

    def _block(self, detail: str) -> None:
        self._queue.counters.last_error = detail
        if not self.is_blocked:
            self.is_blocked = True
            log.warning("%s; events wait in memory as far as there is room", detail)
