"""Where events go instead of the network while `momsflow.testing.capture` is on."""

from __future__ import annotations

from typing import Callable

Recorder = Callable[[bytes], None]

#: The innermost capture's; None in ordinary life.
recorder: Recorder | None = None
