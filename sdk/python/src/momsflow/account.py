"""The account of every event."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Stats:
    """What became of the events of this process: `enqueued` is the sum of the five after it, at any moment.

    After a fork the child begins at zero; what the parent had stays the parent's.
    """

    enqueued: int
    delivered: int  #: acknowledged by the server, which means that they are on its disk
    rejected: int  #: the server names a fault of the event, and keeps it as a dead letter
    dropped: int  #: given up, see `dropped_by`
    spooled: int  #: on this machine's disk, still to be sent
    pending: int  #: in memory, still to be sent
    dropped_by: Mapping[str, int] = field(default_factory=dict)
    invalid: int = 0  #: misuse that was logged instead of raised; never enqueued
    suppressed: int = 0  #: calls without an id in the request of a visitor who opted out; never enqueued
    recovered: int = 0  #: of `enqueued`: found on disk, left by a process that ended
    requests: int = 0
    retries: int = 0
    last_error: str | None = None


class Counters:
    """The mutable side of Stats. All of it is guarded by the queue's lock."""

    __slots__ = (
        "delivered",
        "dropped_by",
        "invalid",
        "last_error",
        "recovered",
        "rejected",
        "requests",
        "retries",
        "spooled",
        "suppressed",
    )

    def __init__(self) -> None:
        self.delivered = self.rejected = self.spooled = self.recovered = 0
        self.invalid = self.suppressed = self.requests = self.retries = 0
        self.dropped_by: dict[str, int] = {}
        self.last_error: str | None = None

    def drop(self, reason: str, count: int) -> None:
        self.dropped_by[reason] = self.dropped_by.get(reason, 0) + count

    def snapshot(self, taken: int, pending: int, refused: Mapping[str, int]) -> Stats:
        """With what the queue knows: how many events it has taken, still has, and has not taken for which reason."""
        dropped_by = {**self.dropped_by, **refused}
        return Stats(
            enqueued=self.recovered + taken + sum(refused.values()),
            delivered=self.delivered,
            rejected=self.rejected,
            dropped=sum(dropped_by.values()),
            spooled=self.spooled,
            pending=pending,
            dropped_by=dropped_by,
            invalid=self.invalid,
            suppressed=self.suppressed,
            recovered=self.recovered,
            requests=self.requests,
            retries=self.retries,
            last_error=self.last_error,
        )
