"""The loop that delivers: one batch at a time, the spool before memory, until the client closes."""

from __future__ import annotations

import logging
from threading import get_ident
from time import monotonic
from typing import Callable

from .answer import Rejection, Verdict, judge
from .backoff import Backoff
from .errors import Failure
from .queue import EventQueue, Outcome
from .spool import Spool
from .spooler import Spiller
from .transport import Transport, Unreachable
from .work import MemoryWork, SpoolWork, Work

log = logging.getLogger("momsflow")

TAKE_OVER_INTERVAL = 10.0
#: Batches of an answer in time, until larger ones are tried again.
_CALM = 16
_SMALLEST_SLOW_BATCH = 100


class Sender:
    """Delivers the events of one client. `run` is the body of its thread."""

    def __init__(
        self,
        queue: EventQueue,
        transport: Transport,
        spool: Spool | None,
        spiller: Spiller | None,
        interval: float,
        timeout: float,
        on_failure: Callable[[Failure], None],
    ) -> None:
        self._queue = queue
        self._transport = transport
        self._spool = spool
        self._spiller = spiller
        self._interval = interval
        self._timeout = timeout
        self._on_failure = on_failure
        self._backoff = Backoff()
        self._limit = queue.limits.batch_count
        self._calm = 0
        self._closing_seen = False
        self._stopped = False
        self._last_take_over = float("-inf")
        #: After it no request is begun any more, and none waited for; set at the exit.
        self.until: float | None = None
        #: What is being delivered.
        self.work: Work | None = None

    def run(self, first: Work | None = None) -> None:
        """Delivers until the client is closed, `first` before all else."""
        self._queue.never_wait.add(get_ident())
        self.work = first
        while not self._is_over():
            # It outlives what nobody has thought of: without this thread nothing would ever be sent.
            try:
                self.work = self.work or self._next()
                if self.work is None:
                    break
                self._deliver(self.work)
                self.work = None
            except Exception:
                log.exception("the sender failed and tries again")
                self._wait(self._backoff.next())
        self._transport.close()

    def _next(self) -> Work | None:
        queue = self._queue
        while not self._is_over():
            if self._waits_for_more():
                continue
            if (work := self._from_spool()) is not None:
                return work
            with queue.lock:
                # What came to disk since it was looked at goes first.
                if self._has_spooled():
                    continue
                if not queue.waits_locked():
                    if queue.closing:
                        return None
                    queue.changed.wait(None if self._spool is None else TAKE_OVER_INTERVAL)
                    continue
                queue.wait_for_batch_locked(self._interval)
                if self._has_spooled():
                    continue
                if self._is_the_spoolers_locked():
                    queue.changed.wait(self._interval)
                    continue
                held = queue.take_locked()
                if held.payloads:
                    return MemoryWork(queue, held)
        return None

    def _has_spooled(self) -> bool:
        return self._spool is not None and self._spool.has_events()

    def _waits_for_more(self) -> bool:
        """Whether the spool had only events that others may join, for whom it has waited."""
        left = 0.0 if self._spool is None else self._spool.time_to_grow(self._interval)
        with self._queue.lock:
            if not left or self._queue.closing:
                return False
            self._queue.changed.wait(left)
        return True

    def _is_the_spoolers_locked(self) -> bool:
        """Whether what is in memory goes to disk first, always and not only when there is much of it."""
        every = self._queue.limits.spill_bytes == 0 and not self._queue.closing
        return self._spiller is not None and every and not self._spiller.is_blocked

    def _from_spool(self) -> Work | None:
        spool, queue = self._spool, self._queue
        if spool is None:
            return None
        try:
            self._take_over(spool)
            found = spool.oldest(0.0 if queue.closing else self._interval)
        except OSError as error:
            self._trouble(f"the spool cannot be read: {error}")
            self._wait(self._backoff.next())
            return None
        if found is None:
            return None
        path, payloads, damaged = found
        if damaged:
            with queue.lock:
                queue.counters.spooled -= damaged
                queue.book_locked(Outcome(dropped=damaged, reason="spool_damaged"))
            self._on_failure(Failure("spool_damaged", f"{damaged} event(s) in {path} cannot be read", ()))
        if not payloads:
            spool.remove(path)
            return None
        return SpoolWork(queue, spool, path, payloads)

    def _take_over(self, spool: Spool) -> None:
        now = monotonic()
        if now - self._last_take_over < TAKE_OVER_INTERVAL or self._queue.closing:
            return
        self._last_take_over = now
        if count := spool.take_over():
            with self._queue.lock:
                counters = self._queue.counters
                counters.recovered += count
                counters.spooled += count

    def _deliver(self, work: Work) -> None:
        while work.payloads and not self._is_over():
            chunk = work.payloads[: self._limit]
            verdict = self._attempt(chunk)
            if verdict.kind == "accepted":
                self._accepted(work, chunk, verdict)
            elif verdict.kind == "split":
                self._limit = max(1, len(chunk) // 2)
                self._calm = 0
            elif verdict.kind == "refused":
                if work.settle(chunk, Outcome(dropped=len(chunk), reason="refused")):
                    self._trouble(verdict.detail)
                    self._on_failure(Failure("refused", verdict.detail, chunk, verdict.status, verdict.code))
            elif self._failed(work, verdict):
                return

    def _attempt(self, chunk: list[bytes]) -> Verdict:
        with self._queue.lock:
            self._queue.counters.requests += 1
        left = self._timeout if self.until is None else min(self._timeout, self.until - monotonic())
        begun = monotonic()
        try:
            verdict = judge(self._transport.post(chunk, left), len(chunk))
        except Unreachable as error:
            verdict = Verdict("retry", str(error))
        if verdict.kind == "retry" and (verdict.status == 408 or monotonic() - begun >= self._timeout):
            # Too much for a slow line; the same batch would be too much again.
            self._limit = max(min(_SMALLEST_SLOW_BATCH, len(chunk)), len(chunk) // 2)
            self._calm = 0
        return verdict

    def _accepted(self, work: Work, chunk: list[bytes], verdict: Verdict) -> None:
        self._recovered()
        again = [index for index, one in verdict.rejections.items() if one.retryable]
        reports = _reports(verdict.rejections, chunk)
        if again:
            # Those that may be sent again go behind the settled ones.
            chunk = _without(chunk, again) + [chunk[index] for index in again]
            work.payloads[: len(chunk)] = chunk
        settled = chunk[: len(chunk) - len(again)]
        outcome = Outcome(delivered=len(settled) - len(reports), rejected=len(reports))
        if work.settle(settled, outcome):
            for report in reports:
                self._on_failure(report)
        if again:
            self._wait(self._backoff.next())

    def _recovered(self) -> None:
        self._backoff.reset()
        if self._spiller is not None:
            self._spiller.set_failing(False)
        self._calm += 1
        if self._calm >= _CALM and self._limit < self._queue.limits.batch_count:
            self._limit = min(self._limit * 2, self._queue.limits.batch_count)
            self._calm = 0

    def _failed(self, work: Work, verdict: Verdict) -> bool:
        """Waits for the next attempt. True where the work is left for now."""
        with self._queue.lock:
            self._queue.counters.retries += 1
        self._trouble(verdict.detail)
        if self._spiller is not None:
            self._spiller.set_failing(True)
            if isinstance(work, MemoryWork) and self._spiller.spill(work.held):
                self._wait(self._backoff.next(verdict.after))
                return True
            if work.on_disk and self._closing_seen:
                # It is safe where it is; the next process sends it.
                self._stopped = True
                return True
        self._wait(self._backoff.next(verdict.after), verdict.after is not None)
        return False

    def _wait(self, delay: float, asked: bool = False) -> None:
        """Waits; a close ends it once, for a last attempt, unless the server asked for the wait."""
        with self._queue.lock:
            self._queue.changed.wait_for(
                lambda: self._is_over() or (self._queue.closing and not self._closing_seen and not asked),
                delay if self.until is None else max(0.0, min(delay, self.until - monotonic())),
            )
            if self._queue.closing and not self._closing_seen:
                self._closing_seen = True
                self._backoff.reset()

    def _is_over(self) -> bool:
        over = self.until is not None and monotonic() >= self.until
        return self._stopped or self._queue.abandoned or over

    def _trouble(self, detail: str) -> None:
        if self._queue.abandoned:
            # Nobody waits for this thread any more, and the interpreter may be ending: that is no time to write logs.
            return
        with self._queue.lock:
            known = self._queue.counters.last_error == detail
            self._queue.counters.last_error = detail
        log.log(logging.DEBUG if known else logging.WARNING, "%s", detail)


def _without(chunk: list[bytes], indices: list[int]) -> list[bytes]:
    left_out = set(indices)
    return [payload for index, payload in enumerate(chunk) if index not in left_out]


def _reports(rejections: dict[int, Rejection], chunk: list[bytes]) -> list[Failure]:
    return [
        Failure("rejected", one.detail, (chunk[index],), code=one.code, pointer=one.pointer)
        for index, one in sorted(rejections.items())
        if not one.retryable
    ]
