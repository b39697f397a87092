"""The client's options, checked all at once when it is made."""

from __future__ import annotations

import os
import ssl
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Callable, Literal, TypedDict

from .errors import ConfigError, Failure
from .queue import OVERHEAD, Limits
from .spool import POLICIES
from .transport import Endpoint

MIB = 1024 * 1024


@dataclass(frozen=True)
class Options:
    """Every option with its default. Sizes are bytes, times are seconds."""

    #: Raise InvalidEvent on misuse. None: yes where Python runs with `-X dev` or MOMSFLOW_STRICT=1.
    strict: bool | None = None
    #: False: every call is checked and nothing is sent, as in tests.
    enabled: bool = True
    #: Called from the sender's thread with each Failure.
    on_error: Callable[[Failure], None] | None = None
    #: Turns a value of an unknown type into a known one.
    default: Callable[[Any], Any] | None = None
    #: A batch is sent when it has this many events,
    batch_size: int = 10_000
    #: or this many bytes of JSON text (the server takes 4 MiB as sent),
    batch_bytes: int = 3 * MIB
    #: or this long after its first event.
    flush_interval: float = 0.2
    #: What events in memory may take.
    max_queue_bytes: int = 64 * MIB
    #: When it is full: "drop" the newest, or "block" the caller until there is room.
    when_full: str = "drop"
    #: The longest event; the server's own default.
    max_event_bytes: int = 256 * 1024
    #: How long a request may take as a whole.
    timeout: float = 15.0
    #: How long the end of the process may be delayed to deliver what waits.
    exit_timeout: float = 5.0
    #: gzip. None: not to this machine itself.
    compress: bool | None = None
    #: An http proxy. None: what the environment says; "": none.
    proxy: str | None = None
    #: A PEM file of authorities, beside or instead of the system's.
    ca_file: str | os.PathLike[str] | None = None
    #: For everything else about TLS, such as client certificates.
    ssl_context: ssl.SSLContext | None = None
    #: History: sends to /v1/import, where times of any age are taken as they are.
    history: bool = False
    #: A folder for events that cannot be sent. None: they stay in memory.
    spool_dir: str | os.PathLike[str] | None = None
    #: The most bytes in the folder.
    spool_max_bytes: int = 1024 * MIB
    #: When they are written through to the disk: "always" (before they count as spooled), "interval" (each second),
    #: "never".
    spool_sync: str = "interval"
    #: With this much waiting in memory events go to the spool. None: half of max_queue_bytes. 0: all go there first.
    spool_above: int | None = None

    def check(self) -> None:
        faults = [
            fault for kind, names in _KINDS.items() for name in names if (fault := kind(name, getattr(self, name)))
        ]
        if self.when_full not in ("drop", "block"):
            faults.append('when_full must be "drop" or "block"')
        if self.spool_sync not in POLICIES:
            faults.append(f"spool_sync must be one of {', '.join(POLICIES)}")
        if not faults and self.max_event_bytes + OVERHEAD > self.max_queue_bytes:
            faults.append("max_queue_bytes must have room for an event of max_event_bytes")
        if not faults and self.spool_above is not None and not 0 <= self.spool_above <= self.max_queue_bytes:
            faults.append("spool_above must be between 0 and max_queue_bytes")
        if faults:
            raise ConfigError("; ".join(faults))

    def limits(self) -> Limits:
        above = self.max_queue_bytes // 2 if self.spool_above is None else self.spool_above
        return Limits(self.max_queue_bytes, self.batch_size, self.batch_bytes, above, self.when_full == "block")

    def endpoint(self, write_key: str, host: str) -> Endpoint:
        return Endpoint(
            write_key,
            host,
            path="/v1/import" if self.history else "/v1/batch",
            compress=self.compress,
            proxy=self.proxy,
            ca_file=self.ca_file,
            ssl_context=self.ssl_context,
        )


class GivenOptions(TypedDict, total=False):
    """The same as arguments, for type checkers and editors."""

    strict: bool | None
    enabled: bool
    on_error: Callable[[Failure], None] | None
    default: Callable[[Any], Any] | None
    batch_size: int
    batch_bytes: int
    flush_interval: float
    max_queue_bytes: int
    when_full: Literal["drop", "block"]
    max_event_bytes: int
    timeout: float
    exit_timeout: float
    compress: bool | None
    proxy: str | None
    ca_file: str | os.PathLike[str] | None
    ssl_context: ssl.SSLContext | None
    history: bool
    spool_dir: str | os.PathLike[str] | None
    spool_max_bytes: int
    spool_sync: Literal["always", "interval", "never"]
    spool_above: int | None


def _size(name: str, value: Any) -> str:
    return "" if type(value) is int and value > 0 else f"{name} must be a whole number above 0"


def _time(name: str, value: Any) -> str:
    # What is longer, such as infinity, the system's waits do not take.
    valid = type(value) in (int, float) and 0 < value <= threading.TIMEOUT_MAX
    return "" if valid else f"{name} must be a number of seconds above 0"


def _function(name: str, value: Any) -> str:
    return "" if value is None or callable(value) else f"{name} must be a function"


def _path(name: str, value: Any) -> str:
    return "" if value is None or isinstance(value, (str, os.PathLike)) else f"{name} must be a path"


def _text(name: str, value: Any) -> str:
    return "" if value is None or isinstance(value, str) else f"{name} must be a text"


def _context(name: str, value: Any) -> str:
    return "" if value is None or isinstance(value, ssl.SSLContext) else f"{name} must be an ssl.SSLContext"


def _optional_size(name: str, value: Any) -> str:
    return "" if value is None or type(value) is int else f"{name} must be a whole number"


_KINDS: dict[Callable[[str, Any], str], tuple[str, ...]] = {
    _size: ("batch_size", "batch_bytes", "max_queue_bytes", "max_event_bytes", "spool_max_bytes"),
    _optional_size: ("spool_above",),
    _time: ("flush_interval", "timeout", "exit_timeout"),
    _function: ("on_error", "default"),
    _path: ("ca_file", "spool_dir"),
    _text: ("proxy",),
    _context: ("ssl_context",),
}


def text_option(name: str, value: Any) -> str:
    """The write key or the host; files and secrets end in a newline that is none of theirs."""
    if not isinstance(value, str):
        raise ConfigError(f"{name} must be a text, not a {type(value).__name__}")
    return value.strip()


def options_of(given: Mapping[str, Any]) -> Options:
    """The options that were given by name, checked."""
    known = {field.name for field in fields(Options)}
    if unknown := sorted(given.keys() - known):
        raise ConfigError(f"unknown option {', '.join(unknown)}; there are {', '.join(sorted(known))}")
    options = Options(**given)
    options.check()
    return options


def is_development() -> bool:
    return sys.flags.dev_mode or os.environ.get("MOMSFLOW_STRICT", "") not in ("", "0")
