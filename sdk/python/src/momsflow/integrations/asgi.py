"""FastAPI, Starlette and any other ASGI application.

app.add_middleware(MomsflowMiddleware)                          # FastAPI, Starlette
app = MomsflowMiddleware(app, user_id=lambda scope: …)          # any
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, MutableMapping
from typing import Any, Callable

from .. import process
from ..context import RequestContext, current
from .web import WebOptions, read_request

Scope = MutableMapping[str, Any]
Channel = Callable[..., Awaitable[Any]]
Application = Callable[[Scope, Channel, Channel], Awaitable[None]]


class MomsflowMiddleware:
    """Gives all calls inside a request its page, its visitor and the visitor's consent.

    `user_id` and `anonymous_id` take the ASGI scope; `user_id` is asked for each event, so that it may depend on what
    an authentication did later. Further options are those of WebOptions.
    """

    def __init__(
        self,
        app: Application,
        *,
        user_id: Callable[[Scope], Any] | None = None,
        anonymous_id: Callable[[Scope], str | None] | None = None,
        **options: Any,
    ) -> None:
        self.app = app
        self._user_id = user_id
        self._anonymous_id = anonymous_id
        self._options = WebOptions(**options)

    async def __call__(self, scope: Scope, receive: Channel, send: Channel) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, _flushing(send))
            return
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        token = current.set(self._read(scope))
        try:
            await self.app(scope, receive, send)
        finally:
            current.reset(token)

    def _read(self, scope: Scope) -> RequestContext:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        path = f"{scope.get('root_path', '')}{scope['path']}" if not _has_root(scope) else scope["path"]
        query = scope.get("query_string", b"").decode("latin-1")
        url = f"{scope.get('scheme', 'http')}://{headers.get('host', '')}{path}" + (f"?{query}" if query else "")
        client = scope.get("client")
        user_id = self._user_id
        return read_request(
            self._options,
            url=url,
            path=path,
            header=headers.get,
            cookies=_cookies(scope["headers"]),
            ip=client[0] if client else None,
            user_id=None if user_id is None else lambda: user_id(scope),
            anonymous_id=self._anonymous_id(scope) if self._anonymous_id is not None else None,
        )


class DeliverAtShutdown:
    """For applications that have no lifespan of their own, such as Django's."""

    def __init__(self, app: Application) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Channel, send: Channel) -> None:
        if scope["type"] != "lifespan":
            await self.app(scope, receive, send)
            return
        send = _flushing(send)
        while (await receive())["type"] == "lifespan.startup":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})


def _flushing(send: Channel) -> Channel:
    """Flushes before the server hears that the application is done, so that its shutdown may track too."""

    async def flush_first(message: MutableMapping[str, Any]) -> None:
        if message["type"] in ("lifespan.shutdown.complete", "lifespan.shutdown.failed"):
            await process.flush_all()
        await send(message)

    return flush_first


def _has_root(scope: Scope) -> bool:
    """Since ASGI 2.4 of the spec the path has the root path in it; older servers leave it out."""
    return bool(scope["path"].startswith(scope.get("root_path", "")))


def _cookies(headers: Iterable[tuple[bytes, bytes]]) -> dict[str, str]:
    """As browsers write them. The standard library's parser stops at another's odd cookie, and misses an opt-out."""
    # HTTP/2 may bring them in several headers.
    text = ";".join(value.decode("latin-1") for name, value in headers if name == b"cookie")
    pairs = (pair.partition("=") for pair in text.split(";"))
    return {name.strip(): value.strip().strip('"') for name, _, value in pairs}
