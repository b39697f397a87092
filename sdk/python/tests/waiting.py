"""How tests wait: for a condition, and for long. A wait that is over early costs nothing, and a machine may be slow."""

from __future__ import annotations

import time
from typing import Callable

#: Seconds. Longer than anything takes on a machine that is very busy, shorter than pytest's own limit.
PATIENCE = 120.0


def wait_until(condition: Callable[[], object], timeout: float = PATIENCE) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it has not come true"
        time.sleep(0.02)
