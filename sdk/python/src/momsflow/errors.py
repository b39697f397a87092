"""What can go wrong, for callers (exceptions) and for `on_error` (failures)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


class MomsflowError(Exception):
    """The base of all exceptions of this package."""


class ConfigError(MomsflowError, ValueError):
    """An option of the client that cannot be; raised when the client is made."""


class InvalidEvent(MomsflowError, ValueError):
    """A call that can never become an event: no id, no name, a value that JSON does not have.

    `pointer` is a JSON pointer to the place, as in the server's answers.
    """

    def __init__(self, detail: str, pointer: str = "") -> None:
        # Half a surrogate pair in a key must not make the message one that no log can hold.
        place = pointer.encode(errors="backslashreplace").decode()
        super().__init__(f"{place}: {detail}" if place else detail)
        self.detail = detail
        self.pointer = pointer


@dataclass(frozen=True)
class Failure:
    """Events that will not arrive, handed to `on_error`.

    `reason` is one of `rejected` (the server names what is wrong with the event), `refused` (the server refuses the
    request: status), `queue_full`, `spool_full`, `spool_damaged`, `exit`, `closed`.
    """

    reason: str
    detail: str
    payloads: Sequence[bytes]
    status: int | None = None
    code: str | None = None
    pointer: str | None = None

    @property
    def events(self) -> list[dict[str, Any]]:
        """The events as they were to be sent."""
        return [json.loads(payload) for payload in self.payloads]

    def __str__(self) -> str:
        code = f" ({self.code})" if self.code else ""
        place = f" at {self.pointer}" if self.pointer else ""
        return f"{self.reason}: {len(self.payloads)} event(s){place}{code}: {self.detail}"
