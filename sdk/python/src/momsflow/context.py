"""What all events of one request have in common: who asked, from which page, with which consent.

The integrations set it; other code does with `request_context`. It lives in a contextvar, so that threads and async
tasks each see their own.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from typing import Any, Callable
from uuid import uuid4

from .encode import Encoder

UserId = Callable[[], Any]


class RequestContext:
    """Made once a request. What costs something is made when the first event needs it."""

    __slots__ = ("_anonymous_id", "_texts", "_user_id", "context", "opted_out", "userprint")

    def __init__(
        self,
        context: Mapping[str, Any] | None = None,
        *,
        user_id: UserId | None = None,
        anonymous_id: str | None = None,
        userprint: str | None = None,
        opted_out: bool = False,
    ) -> None:
        self.context = dict(context or {})
        self.userprint = None if opted_out else userprint
        self.opted_out = opted_out
        self._user_id = user_id
        self._anonymous_id = None if opted_out else anonymous_id
        self._texts: dict[bool, str] = {}

    def user_id(self) -> Any:
        """Asked for each event, because a visitor may log in during the request."""
        return self._user_id() if self._user_id is not None else None

    def anonymous_id(self) -> str | None:
        """The visitor without a user: one id for the events of this request, none for who opted out.

        The pixel's cookie is not taken for it: anyone can send one. The server verifies `context.userprint`, and puts
        the visitor's id in the place of one that begins with `request-`.
        """
        if self._anonymous_id is None and not self.opted_out:
            self._anonymous_id = f"request-{uuid4()}"
        return self._anonymous_id

    def merged(self, own: Mapping[str, Any] | None, with_userprint: bool) -> dict[str, Any]:
        """The context of one event; its own members win."""
        merged = dict(self.context)
        if with_userprint and self.userprint:
            merged["userprint"] = self.userprint
        merged.update(own or {})
        return merged

    def text(self, encoder: Encoder, with_userprint: bool) -> str:
        """The same encoded, for events without a context of their own. `context` must not change after it."""
        text = self._texts.get(with_userprint)
        if text is None:
            text = self._texts[with_userprint] = encoder.encode(self.merged(None, with_userprint), "/context")
        return text


current: ContextVar[RequestContext | None] = ContextVar("momsflow_request", default=None)


@contextlib.contextmanager
def request_context(
    context: Mapping[str, Any] | None = None,
    *,
    user_id: Any = None,
    anonymous_id: str | None = None,
    userprint: str | None = None,
    opted_out: bool = False,
) -> Iterator[RequestContext]:
    """Gives all calls inside it what they do not name themselves: the ids and members of the context."""
    request = RequestContext(
        context,
        user_id=None if user_id is None else lambda: user_id,
        anonymous_id=anonymous_id,
        userprint=userprint,
        opted_out=opted_out,
    )
    token = current.set(request)
    try:
        yield request
    finally:
        current.reset(token)
