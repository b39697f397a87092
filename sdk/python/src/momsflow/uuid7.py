"""Message ids and timestamps, both made when the call is made.

A message id is a UUIDv7 (RFC 9562) whose 12 bits after the milliseconds are the fraction of the millisecond (method
3): events of one thread sort in the order of their calls, on which views rely for events of one millisecond.
"""

from __future__ import annotations

import os
from time import gmtime, time_ns

_TAILS_AT_ONCE = 32
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class Stamps:
    """Makes pairs of (message id, timestamp). One for each process: a fork must make a new one."""

    __slots__ = ("_millisecond", "_tails")

    def __init__(self) -> None:
        self._tails: list[str] = []
        # Replaced as a whole, so that threads never see parts of two milliseconds.
        self._millisecond: tuple[int, str, str] = (-1, "", "")

    def next(self) -> tuple[str, str]:
        """A new id and the present time, as ISO 8601 in UTC with milliseconds."""
        millisecond, rest = divmod(time_ns(), 1_000_000)
        known, prefix, timestamp = self._millisecond
        if known != millisecond:
            prefix, timestamp = _prefix(millisecond), _iso(millisecond)
            self._millisecond = (millisecond, prefix, timestamp)
        try:
            tail = self._tails.pop()
        except IndexError:
            tail = self._refill()
        return f"{prefix}{rest * 4096 // 1_000_000:03x}-{tail}", timestamp

    def _refill(self) -> str:
        """Asks the system for randomness in blocks, since a call costs more than an id."""
        digits = os.urandom(8 * _TAILS_AT_ONCE).hex()
        tails = [
            f"{_VARIANT[digits[at]]}{digits[at + 1 : at + 4]}-{digits[at + 4 : at + 16]}"
            for at in range(0, len(digits), 16)
        ]
        last = tails.pop()
        self._tails.extend(tails)
        return last


def _prefix(millisecond: int) -> str:
    return f"{(millisecond >> 16) & 0xFFFFFFFF:08x}-{millisecond & 0xFFFF:04x}-7"


def _iso(millisecond: int) -> str:
    seconds, fraction = divmod(millisecond, 1000)
    t = gmtime(seconds)
    return (
        f"{t.tm_year:04d}-{t.tm_mon:02d}-{t.tm_mday:02d}T{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}.{fraction:03d}Z"
    )


def iso_now() -> str:
    """The present time as the events carry it."""
    return _iso(time_ns() // 1_000_000)
