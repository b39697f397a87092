"""Events in memory, bounded by bytes, and where each of them is.

One lock guards the queue and the counters, so that an account taken at any moment adds up. It is never held over I/O.
It is reentrant, because a signal handler or a finalizer may track an event while its thread is in here.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from dataclasses import dataclass
from threading import get_ident
from time import monotonic
from typing import Callable

from .account import Counters, Stats

#: What an event costs beside its text: the bytes object and its place in the queue.
OVERHEAD = 64


@dataclass(frozen=True)
class Limits:
    """Sizes in bytes of JSON text."""

    max_bytes: int
    batch_count: int
    batch_bytes: int
    spill_bytes: int
    #: Whether a caller waits for room.
    blocks: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of events: the counts add up to their number."""

    delivered: int = 0
    rejected: int = 0
    spooled: int = 0
    dropped: int = 0
    reason: str = ""


class Held:
    """Events that a thread took and has not settled yet. They still count as pending."""

    __slots__ = ("payloads", "start")

    def __init__(self, start: int, payloads: list[bytes]) -> None:
        self.start = start
        self.payloads = payloads


class EventQueue:
    """A bounded queue with its account. Methods that end in `_locked` are for callers that hold `lock`."""

    def __init__(self, limits: Limits) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.counters = Counters()
        self.closing = False
        self.abandoned = False
        self.limits = limits
        self.never_wait: set[int] = set()
        self._events: deque[bytes] = deque()
        self._bytes = 0  # of all that is pending
        self._queued_bytes = 0  # of what nobody holds
        self._taken = 0
        self._refused: defaultdict[str, int] = defaultdict(int)  # by `put`, for which reason
        self._held: dict[int, Held] = {}
        self._returned: list[Held] = []  # of those in _held: nobody works on them
        self._flush_upto = 0
        self._waiters: list[tuple[int, Callable[[], None]]] = []

    def put(self, payload: bytes) -> str | None:
        """Takes an event. Where it cannot, counts it as dropped and returns the reason."""
        size = len(payload) + OVERHEAD
        limits = self.limits
        with self.lock:
            if self._bytes + size > limits.max_bytes and limits.blocks:
                self._wait_for_room_locked(size)
            count, before = len(self._events) + 1, self._queued_bytes
            after = before + size
            # Only at the borders, since a notification costs as much as all the rest here. Whoever it wakes still has
            # to wait for the lock, so it may come before the event does.
            if (
                count == 1
                or count == limits.batch_count
                or before < limits.batch_bytes <= after
                or before <= limits.spill_bytes < after
            ):
                self.changed.notify_all()
            # A Ctrl-C comes in between any two calls, as does a signal's handler, which may track or close. From here
            # on is one call: the event is counted by nothing but its place in the queue, and with that all is done.
            if self.closing or self._bytes + size > limits.max_bytes:
                reason = "closed" if self.closing else "queue_full"
                self._refused[reason] += 1
                return reason
            self._bytes += size
            self._queued_bytes += size
            self._events.append(payload)
        return None

    def when_settled(self, fire: Callable[[], None]) -> None:
        """Calls `fire` as soon as every event so far has left memory, and has them sent without waiting for more."""
        with self.lock:
            upto = self._taken + len(self._events)
            if not self._is_settled_locked(upto):
                self._waiters.append((upto, fire))
                self._flush_upto = max(self._flush_upto, upto)
                self.changed.notify_all()
                return
        fire()

    def forget_waiter(self, fire: Callable[[], None]) -> None:
        """Takes back what `when_settled` was given, or each flush in vain would stay here while the server is away."""
        with self.lock:
            self._waiters = [waiter for waiter in self._waiters if waiter[1] != fire]

    def snapshot(self) -> Stats:
        with self.lock:
            taken = self._taken + len(self._events)
            return self.counters.snapshot(taken, self.pending_locked(), self._refused)

    def pending_locked(self) -> int:
        return len(self._events) + sum(len(held.payloads) for held in self._held.values())

    def waits_locked(self, above: int = 0) -> bool:
        """Whether there are events that nobody has taken, of more than so many bytes."""
        return bool(self._events or self._returned) and self._queued_bytes > above

    def wait_for_batch_locked(self, interval: float) -> None:
        """Waits until a batch is full, somebody flushes or closes, or `interval` has passed."""
        end = monotonic() + interval
        while not self._is_due_locked() and (left := end - monotonic()) > 0:
            self.changed.wait(left)

    def _is_due_locked(self) -> bool:
        return (
            self.closing
            or bool(self._returned)
            or self._taken < self._flush_upto
            or len(self._events) >= self.limits.batch_count
            or self._queued_bytes >= self.limits.batch_bytes
        )

    def _wait_for_room_locked(self, size: int) -> None:
        # The threads that make room must not wait for it, as in an `on_error` that tracks.
        if get_ident() not in self.never_wait:
            self.changed.wait_for(lambda: self.closing or self._bytes + size <= self.limits.max_bytes)

    def take_locked(self) -> Held:
        """The oldest events, at most a batch of them."""
        if self._returned:
            held = min(self._returned, key=lambda one: one.start)
            self._returned.remove(held)
            self._queued_bytes -= _size_of(held.payloads)
            return held
        events, room = self._events, self.limits.batch_bytes
        payloads: list[bytes] = []
        size = 0
        for _ in range(min(len(events), self.limits.batch_count)):
            if size >= room:
                break
            payload = events.popleft()
            payloads.append(payload)
            size += len(payload) + OVERHEAD
        held = Held(self._taken, payloads)
        self._taken += len(payloads)
        self._queued_bytes -= size
        if payloads:
            self._held[held.start] = held
        return held

    def give_back(self, held: Held) -> None:
        """Leaves events to whoever takes next.

        They keep their place among the held: another thread may hold later ones, which have theirs already.
        """
        with self.lock:
            if self._held.get(held.start) is not held:
                return
            self._returned.append(held)
            self._queued_bytes += _size_of(held.payloads)
            self.changed.notify_all()

    def settle(self, held: Held, payloads: list[bytes], outcome: Outcome) -> bool:
        """Books the first of the held events, which are `payloads`. False if they were given up at the exit."""
        with self.lock:
            if self._held.get(held.start) is not held:
                return False
            del held.payloads[: len(payloads)]
            self._bytes -= _size_of(payloads)
            if not held.payloads:
                del self._held[held.start]
            self.book_locked(outcome)
            ready = self._ready_locked()
        for fire in ready:
            fire()
        return True

    def book_locked(self, outcome: Outcome) -> None:
        counters = self.counters
        counters.delivered += outcome.delivered
        counters.rejected += outcome.rejected
        counters.spooled += outcome.spooled
        if outcome.dropped:
            counters.drop(outcome.reason, outcome.dropped)
        self.changed.notify_all()

    def abandon(self) -> Held:
        """Takes all events out of all hands. Whoever held them can settle nothing any more."""
        with self.lock:
            self.abandoned = True
            held = [one for _, one in sorted(self._held.items())]
            payloads = [payload for one in held for payload in one.payloads]
            payloads.extend(self._events)
            self._taken += len(self._events)
            self._events.clear()
            self._returned.clear()
            self._queued_bytes = 0
            rest = Held(-1, payloads)
            self._held = {-1: rest} if payloads else {}
            return rest

    def _is_settled_locked(self, upto: int) -> bool:
        return self._taken >= upto and all(start >= upto for start in self._held)

    def _ready_locked(self) -> list[Callable[[], None]]:
        if not self._waiters:
            return []
        ready = [fire for upto, fire in self._waiters if self._is_settled_locked(upto)]
        self._waiters = [waiter for waiter in self._waiters if not self._is_settled_locked(waiter[0])]
        return ready


def _size_of(payloads: list[bytes]) -> int:
    return sum(map(len, payloads)) + OVERHEAD * len(payloads)
