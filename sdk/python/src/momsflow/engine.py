"""What a client has in one process: the queue, the threads and the spool. A forked child gets a new one."""

from __future__ import annotations

import logging
import threading
from threading import get_ident
from time import monotonic
from typing import Callable

from . import process
from .account import Stats
from .errors import Failure
from .options import Options
from .queue import EventQueue, Outcome
from .sender import Sender
from .spool import Spool
from .spooler import Spiller
from .transport import Transport

log = logging.getLogger("momsflow")

#: A year; `Thread.join` takes no infinity.
_LONGEST_CLOSE = 365 * 86400.0
#: What a close may take beyond its deadline: it writes the rest to the spool.
_SETTLING = 1.0


class Engine:
    """Takes events and sees to it that each is delivered, or accounted for."""

    def __init__(
        self, options: Options, transport: Transport, spool: Spool | None, on_start: Callable[[], None]
    ) -> None:
        self._options = options
        self._on_start = on_start
        self._queue = EventQueue(options.limits())
        self._transport = transport
        self._spool = spool
        self._spiller = None if spool is None else Spiller(self._queue, spool)
        self._sender = self._make_sender(transport)
        self._threads: list[threading.Thread] = []
        self._started = False
        self._running: set[str] = set()
        self._closer: int | None = None  # the thread that closes
        self._closed = threading.Event()
        self._settled = False

    def put(self, payload: bytes) -> bool:
        """Takes an event; False if it was dropped, which is counted."""
        if not self._started:
            self.start()
        reason = self._queue.put(payload)
        if reason is None:
            return True
        self._dropped(payload, reason)
        return False

    @property
    def queue(self) -> EventQueue:
        return self._queue

    def has_left_over(self) -> bool:
        """Whether an earlier process left events on disk."""
        return self._spool is not None and self._spool.has_files()

    def start(self) -> None:
        """Starts the threads; at the end of the interpreter, when none can be started, `close` does their work."""
        with self._queue.lock:
            if self._started or self._closer is not None:
                return
            self._started = True
        try:
            self._start_thread("momsflow-sender", self._sender.run)
            if self._spiller is not None:
                self._start_thread("momsflow-spooler", self._spiller.run)
        except RuntimeError as error:
            # The next call tries again, as far as there may be threads again.
            self._started = process.is_ending()
            log.log(logging.DEBUG if self._started else logging.WARNING, "events wait in memory: %s", error)
        except BaseException:
            self._started = False
            raise
        self._on_start()
        process.before_exit_of_child()

    def _start_thread(self, name: str, body: Callable[[], None]) -> None:
        def run() -> None:
            # A Ctrl-C while a thread starts leaves open whether it did, so that the next call starts another.
            with self._queue.lock:
                if name in self._running:
                    return
                self._running.add(name)
            body()

        if name in self._running:
            return
        thread = process.make_thread(name, run)
        self._threads.append(thread)
        try:
            thread.start()
        except RuntimeError:
            self._threads.remove(thread)
            raise

    def flush(self, timeout: float | None) -> bool:
        """Waits until everything so far has left memory."""
        if self._started and not any(thread.is_alive() for thread in self._threads):
            # The interpreter is about to end and starts no threads any more.
            return self.close(self._options.exit_timeout if timeout is None else timeout)
        if threading.current_thread() in self._threads:
            # In `on_error`: what it waits for would be its own work.
            return not self.stats().pending
        if self.stats().pending:
            self.start()
        settled = threading.Event()
        self._queue.when_settled(settled.set)
        if settled.wait(None if timeout is None else min(timeout, threading.TIMEOUT_MAX)):
            return True
        self._queue.forget_waiter(settled.set)
        return False

    def stats(self) -> Stats:
        return self._queue.snapshot()

    def close(self, timeout: float) -> bool:
        """Delivers what can be in time; the rest goes to the spool, or is counted as dropped."""
        self.begin_close(timeout)
        return self.finish_close(timeout)

    def begin_close(self, timeout: float) -> None:
        """Takes no more events, and lets the threads end. Where several clients close, all begin before one waits."""
        with self._queue.lock:
            if not self._queue.closing:
                # In this order, and with the notification always, since a Ctrl-C may end an earlier call in here.
                self._sender.until = monotonic() + min(timeout, _LONGEST_CLOSE)
                self._queue.closing = True
            self._queue.changed.notify_all()

    def finish_close(self, timeout: float = _LONGEST_CLOSE) -> bool:
        """Waits for what `begin_close` began. False if events were lost.

        Where another thread does that already, until it is done, but no longer than `timeout`.
        """
        with self._queue.lock:
            until, closer = self._sender.until, self._closer
            if until is None:
                return True
            if closer is None:
                self._closer = get_ident()
        if closer is not None:
            return self._wait_for(closer, min(until + _SETTLING, monotonic() + timeout))
        try:
            self._finish(until)
        finally:
            # Also where a Ctrl-C ends the wait.
            self._transport.abort()
            try:
                self._settled = self._leave_rest()
                if self._spool is not None:
                    self._spool.close()
            finally:
                self._closed.set()
        return self._settled

    def _wait_for(self, closer: int, until: float) -> bool:
        # A thread that the closer waits for must not wait for the closer (in `on_error`), nor the closer for itself (in
        # the handler of a signal).
        if get_ident() != closer and threading.current_thread() not in self._threads:
            self._closed.wait(max(0.0, until - monotonic()))
        return self._settled if self._closed.is_set() else not self.stats().pending

    def _finish(self, until: float) -> None:
        current = threading.current_thread()
        others = [thread for thread in self._threads if thread.is_alive() and thread is not current]
        for thread in others:
            thread.join(max(0.0, until - monotonic()))
        if current in self._threads:
            # The sender itself closes: in `on_error`, or where uWSGI ends in whatever thread has the signal. What it
            # was about to do is below us on the stack, so a second one takes its work over.
            work = self._sender.work
            self._transport = self._transport.fresh()
            successor = self._make_sender(self._transport)
            successor.until = until
            self._sender = successor
            successor.run(work)
        elif not others and (self.stats().pending or self.stats().spooled):
            self._sender.run()

    def _make_sender(self, transport: Transport) -> Sender:
        options = self._options
        return Sender(
            self._queue,
            transport,
            self._spool,
            self._spiller,
            options.flush_interval,
            options.timeout,
            self.report,
        )

    def _leave_rest(self) -> bool:
        rest = self._queue.abandon()
        if not rest.payloads:
            return True
        if self._spiller is not None and self._spiller.spill(rest):
            return True
        payloads = list(rest.payloads)
        self._queue.settle(rest, payloads, Outcome(dropped=len(payloads), reason="exit"))
        detail = self.stats().last_error or "the time was up"
        log.warning("%d event(s) are lost: they could not be delivered before the exit: %s", len(payloads), detail)
        self.report(Failure("exit", detail, payloads))
        return False

    def _dropped(self, payload: bytes, reason: str) -> None:
        count = self.stats().dropped_by[reason]
        if count & (count - 1) == 0:  # at 1, 2, 4, 8 …
            log.warning("%d event(s) dropped: %s", count, reason)
        self.report(Failure(reason, reason.replace("_", " "), (payload,)))

    def report(self, failure: Failure) -> None:
        if self._options.on_error is None:
            return
        try:
            self._options.on_error(failure)
        except BaseException as error:
            # A `sys.exit` there must not end the sender in silence. In a caller's thread, a Ctrl-C is the caller's.
            if not isinstance(error, Exception) and threading.current_thread() not in self._threads:
                raise
            log.exception("on_error failed")

    # Around a fork.

    def lock_for_fork(self) -> None:
        if self._spool is not None:
            self._spool.lock.acquire()
        self._queue.lock.acquire()

    def unlock_after_fork(self) -> None:
        self._queue.lock.release()
        if self._spool is not None:
            self._spool.lock.release()

    def for_child(self) -> Engine:
        """In the child: one of its own, where nothing can fail, after closing what is the parent's."""
        self._transport.forget()
        spool = None if self._spool is None else self._spool.for_child()
        return Engine(self._options, self._transport.fresh(), spool, self._on_start)
