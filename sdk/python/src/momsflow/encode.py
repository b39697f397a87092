"""Values to JSON text, at the call, so that what callers change afterwards does not change the event.

The fast path is the C encoder without its check for cycles. What it refuses is walked through again, slowly, to name
the place.
"""

from __future__ import annotations

import dataclasses
import json
import json.encoder
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from pathlib import PurePath
from typing import Any, Callable
from uuid import UUID

from .errors import InvalidEvent

Hook = Callable[[Any], Any]

quote = json.encoder.encode_basestring


class Encoder:
    """Encodes properties, traits and contexts. `hook` turns values of unknown types into known ones."""

    __slots__ = ("_chunks", "_hook")

    def __init__(self, hook: Hook | None = None) -> None:
        self._hook = hook
        self._chunks = _make_chunks(self._default)

    def encode(self, value: Any, pointer: str) -> str:
        """The JSON text of `value`; raises InvalidEvent with the place below `pointer`."""
        try:
            return "".join(self._chunks(value, 0))
        except (TypeError, ValueError, RecursionError) as error:
            raise self.fault(value, pointer) or InvalidEvent(str(error), pointer) from None

    def fault(self, value: Any, pointer: str) -> InvalidEvent | None:
        """The first place in `value` that JSON or the event store does not have."""
        return find_fault(value, pointer, self._default)

    def _default(self, value: Any) -> Any:
        known = _simplify(value)
        if known is not None:
            return known
        if self._hook is not None and not isinstance(value, (bytes, bytearray, memoryview)):
            return self._hook(value)
        raise TypeError(_no_json(value))


def _no_json(value: Any) -> str:
    kind = type(value).__name__
    if isinstance(value, (bytes, bytearray, memoryview)):
        return f"{kind} has no place in JSON; decode it, or encode it as base64"
    return f"a {kind} cannot be encoded; turn it into str, number, list or dict, or give the client a `default`"


def _simplify(value: Any) -> Any:
    """What stands for a value of the standard library's types; None for all others."""
    if isinstance(value, (datetime, date, time)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return _number(value)
    if isinstance(value, (UUID, PurePath)):
        return str(value)
    if isinstance(value, Enum):
        # An Enum of None would else look like an unknown type.
        return value.name if value.value is None else value.value
    if isinstance(value, (set, frozenset)):
        return _ordered(value)
    if isinstance(value, timedelta):
        return value.total_seconds()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    return None


def _number(value: Decimal) -> float | str:
    """A number where a float says the same digits, else the digits as text, so that none is lost."""
    if not value.is_finite():
        raise ValueError(f"{value} is no number that JSON has")
    as_float = float(value)
    return as_float if isfinite(as_float) and Decimal(repr(as_float)) == value else str(value)


def _ordered(values: set[Any] | frozenset[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:
        return list(values)


def find_fault(value: Any, pointer: str, default: Hook) -> InvalidEvent | None:
    """Walks through a value as the encoder does and names the first place that JSON or the event store has not."""
    try:
        return _walk(value, pointer, default, ())
    except RecursionError:
        return InvalidEvent("it is nested too deep", pointer)


def _walk(value: Any, pointer: str, default: Hook, above: tuple[int, ...]) -> InvalidEvent | None:
    if isinstance(value, str):
        return _text_fault(value, pointer)
    if isinstance(value, float) and not isfinite(value):
        return InvalidEvent(f"JSON has no {value}", pointer)
    if value is None or isinstance(value, (bool, int, float)):
        return None
    if id(value) in above:
        return InvalidEvent("the value contains itself", pointer)
    above = (*above, id(value))
    if isinstance(value, dict):
        return _walk_members(value, pointer, default, above)
    if isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            if fault := _walk(item, f"{pointer}/{index}", default, above):
                return fault
        return None
    try:
        simple = default(value)
    except Exception as error:  # noqa: BLE001 - the hook is the caller's
        return InvalidEvent(str(error), pointer)
    return _walk(simple, pointer, default, above)


def _walk_members(value: dict[Any, Any], pointer: str, default: Hook, above: tuple[int, ...]) -> InvalidEvent | None:
    for key, item in value.items():
        if key is not None and not isinstance(key, (str, int, float, bool)):
            return InvalidEvent(f"a key must be a text, not a {type(key).__name__}", pointer)
        place = f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"
        if isinstance(key, str) and (fault := _text_fault(key, place)):
            return fault
        if fault := _walk(item, place, default, above):
            return fault
    return None


def _text_fault(text: str, pointer: str) -> InvalidEvent | None:
    if "\0" in text:
        return InvalidEvent("the text holds a NUL character, which cannot be stored", pointer)
    try:
        text.encode()
    except UnicodeEncodeError:
        return InvalidEvent("the text holds half of a surrogate pair", pointer)
    return None


def _make_chunks(default: Hook) -> Callable[[Any, int], tuple[str, ...]]:
    """The standard library's C encoder, made once: `json.dumps` with options makes one for every call."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is not None:
        try:
            chunks: Callable[[Any, int], tuple[str, ...]] = make(
                None, default, quote, None, ":", ",", False, False, False
            )
            chunks({}, 0)
        except TypeError:  # another signature than that of Python 3.9 to 3.13
            pass
        else:
            return chunks
    plain = json.JSONEncoder(
        ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default, check_circular=False
    )
    return lambda value, _level: (plain.encode(value),)
