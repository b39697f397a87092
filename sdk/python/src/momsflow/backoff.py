"""How long to wait before a request is sent again."""

from __future__ import annotations

import random
from email.utils import parsedate_to_datetime
from time import time

_FIRST = 0.25
_LONGEST = 30.0
#: A server that asks for more is mistaken, or is not momsflow.
_LONGEST_ASKED = 300.0


class Backoff:
    """Exponential with jitter: from a quarter of a second to half a minute, each time between half and all of it."""

    def __init__(self) -> None:
        self._delay = _FIRST

    def reset(self) -> None:
        self._delay = _FIRST

    def next(self, asked: float | None = None) -> float:
        """The next wait in seconds; never less than what the server asked for."""
        delay = self._delay * random.uniform(0.5, 1.0)
        self._delay = min(self._delay * 2, _LONGEST)
        return delay if asked is None else max(delay, min(asked, _LONGEST_ASKED))


def retry_after(header: str | None) -> float | None:
    """The seconds of a Retry-After header, which holds seconds or a date."""
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - time())
    except (TypeError, ValueError, IndexError):
        return None
