"""For the tests of code that tracks: records events instead of sending them.

with momsflow.testing.capture() as events:
    read_article(user, article)
assert events.named("Article Read")[0]["properties"] == {"content_id": "a-1"}
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

from . import recording


class Captured(list[dict[str, Any]]):
    """The events in the order of their calls, as they would be sent."""

    def named(self, event: str) -> list[dict[str, Any]]:
        """The track events of this name."""
        return [one for one in self if one.get("event") == event]

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """The events of a type: track, identify, page, …"""
        return [one for one in self if one["type"] == kind]


@contextlib.contextmanager
def capture() -> Iterator[Captured]:
    """Records what any client of this process is given, from all threads. It needs no write key and no server.

    Calls are checked and encoded as ever. Inside of another capture only the inner one records.
    """
    captured = Captured()
    outer = recording.recorder
    recording.recorder = lambda payload: captured.append(json.loads(payload))
    try:
        yield captured
    finally:
        recording.recorder = outer
