"""One call to one event's JSON text, in the wire format of the Segment spec."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any
from uuid import UUID

from .context import RequestContext, current
from .encode import Encoder, quote
from .errors import InvalidEvent
from .uuid7 import Stamps

#: The server refuses longer ones (bytes there, characters here: what is between them is left to it).
LONGEST_ID = 512

_ISO = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d([.,]\d+)?)?(Z|[+-]\d\d(:?\d\d)?)", re.ASCII)


class Suppressed(Exception):
    """An event without an id in the request of a visitor who opted out: nothing may be sent, and nothing is wrong."""


class Composer:
    """Composes events. Reads the clock and the request's context; sends nothing."""

    __slots__ = ("_encoder", "_largest", "_stamps")

    def __init__(self, encoder: Encoder, stamps: Stamps, largest: int) -> None:
        self._encoder = encoder
        self._stamps = stamps
        self._largest = largest

    def compose(
        self,
        kind: str,
        own: str,
        body_name: str,
        body: Any,
        user_id: Any,
        anonymous_id: Any,
        context: Mapping[str, Any] | None,
        timestamp: datetime | str | None,
        message_id: Any,
        integrations: Mapping[str, Any] | None,
    ) -> bytes:
        """`own` is the text of the members that only this kind has, each with a comma before it."""
        made_id, now = self._stamps.next()
        request = current.get()
        if request is None:
            text = "" if context is None else self._member("context", context)
        else:
            own_user = user_id
            if user_id is None and anonymous_id is None:
                user_id, anonymous_id = _ids_of(request)
            text = self._context_of(request, context, own_user)
        who = _identity(user_id, anonymous_id)
        if body is not None:
            text = f"{self._member(body_name, body)}{text}"
        if integrations is not None:
            text = f"{text}{self._member('integrations', integrations)}"
        identifier = f'"{made_id}"' if message_id is None else id_text(message_id, "/messageId")
        moment = now if timestamp is None else moment_text(timestamp)
        return self._finish(f'{{"type":"{kind}","messageId":{identifier},"timestamp":"{moment}"{who}{own}{text}}}')

    def _member(self, name: str, value: Any) -> str:
        _check_members(name, value)
        return f',"{name}":{self._encoder.encode(value, f"/{name}")}'

    def _context_of(self, request: RequestContext, own: Mapping[str, Any] | None, user_id: Any) -> str:
        # Who acts for another user must not be joined with that user: both ids in one event say "one person".
        of_visitor = user_id is None or (theirs := request.user_id()) is None or str(theirs) == str(user_id)
        if own is None:
            text = request.text(self._encoder, of_visitor)
            return "" if text == "{}" else f',"context":{text}'
        _check_members("context", own)
        known = own if isinstance(own, Mapping) else json.loads(self._encoder.encode(own, "/context"))
        return self._member("context", request.merged(known, of_visitor))

    def _finish(self, text: str) -> bytes:
        try:
            payload = text.encode()
        except UnicodeEncodeError:
            raise self._text_fault(text) from None
        # An escaped backslash before "u0000" looks the same and is fine.
        if b"\\u0000" in payload and re.search(rb"(?<!\\)(?:\\\\)*\\u0000", payload):
            raise self._text_fault(text)
        if len(payload) > self._largest:
            raise InvalidEvent(f"the event has {len(payload)} bytes, and {self._largest} are allowed")
        return payload

    def _text_fault(self, text: str) -> InvalidEvent:
        fault = self._encoder.fault(json.loads(text), "")
        return fault or InvalidEvent("the event holds text that cannot be stored")


def _check_members(name: str, value: Any) -> None:
    if type(value) is not dict and not isinstance(value, Mapping) and not dataclasses.is_dataclass(value):
        raise InvalidEvent(f"it must be a dict, not a {type(value).__name__}", f"/{name}")


def id_text(value: Any, pointer: str) -> str:
    """An id as JSON text."""
    if type(value) is not str:
        if isinstance(value, bool) or not isinstance(value, (str, int, UUID)):
            raise InvalidEvent(f"an id must be a text or a whole number, not a {type(value).__name__}", pointer)
        # Not `str`, which says of an Enum that is a text what its name is.
        value = (
            str.__str__(value)
            if isinstance(value, str)
            else int.__repr__(value)
            if isinstance(value, int)
            else str(value)
        )
    if not value:
        raise InvalidEvent("an id must not be empty", pointer)
    if len(value) > LONGEST_ID:
        raise InvalidEvent(f"an id has at most {LONGEST_ID} bytes", pointer)
    return quote(value)


def name_member(member: str, value: Any) -> str:
    """A name as `,"member":"value"`."""
    if not isinstance(value, str) or not value:
        raise InvalidEvent("a name is needed, as a text", f"/{member}")
    if len(value) > LONGEST_ID:
        raise InvalidEvent(f"a name has at most {LONGEST_ID} bytes", f"/{member}")
    return f',"{member}":{quote(value)}'


def moment_text(value: datetime | str) -> str:
    """A time as the server reads it. A datetime without a zone is local time, as in Python itself."""
    if isinstance(value, datetime):
        if value.tzinfo is None:
            value = value.astimezone()
        return value.astimezone(timezone.utc).isoformat().replace("+00:00", "Z")
    if isinstance(value, str) and _ISO.fullmatch(value):
        return value
    raise InvalidEvent(f"a time is a datetime, or ISO 8601 text with its zone, and not {value!r:.60}", "/timestamp")


def _ids_of(request: RequestContext) -> tuple[Any, Any]:
    if request.opted_out:
        # Whoever is signed in, too: only an id that the caller names is the platform's own record.
        raise Suppressed
    user_id = request.user_id()
    return (user_id, None) if user_id is not None else (None, request.anonymous_id())


def _identity(user_id: Any, anonymous_id: Any) -> str:
    # An empty text is no id for the server either, so it may stand beside a real one.
    user = "" if user_id is None or user_id == "" else f',"userId":{id_text(user_id, "/userId")}'
    if anonymous_id is None or anonymous_id == "":
        if not user:
            raise InvalidEvent("user_id or anonymous_id is needed")
        return user
    return f'{user},"anonymousId":{id_text(anonymous_id, "/anonymousId")}'
