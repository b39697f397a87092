"""Gives all calls inside a request its page, its visitor and the visitor's consent.

MIDDLEWARE = [..., "django.contrib.auth.middleware.AuthenticationMiddleware",
              "momsflow.integrations.django.middleware.MomsflowMiddleware"]
"""

from __future__ import annotations

from typing import Any, Callable

from asgiref.sync import iscoroutinefunction
from django.core.exceptions import SynchronousOnlyOperation
from django.http import HttpRequest
from django.utils.decorators import sync_and_async_middleware

from ...context import RequestContext, current
from ..web import read_request
from . import conf


@sync_and_async_middleware
def MomsflowMiddleware(get_response: Callable[[HttpRequest], Any]) -> Callable[[HttpRequest], Any]:
    options = conf.web_options()
    user_id = conf.function("user_id") or _signed_in
    anonymous_id = conf.function("anonymous_id")

    def read(request: HttpRequest) -> RequestContext:
        return read_request(
            options,
            url=request.build_absolute_uri() if _host_is_allowed(request) else "",
            path=request.path,
            header=request.headers.get,
            cookies=request.COOKIES,
            ip=request.META.get("REMOTE_ADDR"),
            user_id=lambda: user_id(request),
            anonymous_id=anonymous_id(request) if anonymous_id is not None else None,
        )

    if iscoroutinefunction(get_response):

        async def asynchronous(request: HttpRequest) -> Any:
            token = current.set(read(request))
            try:
                return await get_response(request)
            finally:
                current.reset(token)

        return asynchronous

    def synchronous(request: HttpRequest) -> Any:
        token = current.set(read(request))
        try:
            return get_response(request)
        finally:
            current.reset(token)

    return synchronous


def _signed_in(request: HttpRequest) -> Any:
    user = getattr(request, "user", None)
    try:
        return user.pk if user is not None and user.is_authenticated else None
    except SynchronousOnlyOperation:
        # An async view that has not loaded its user (`await request.auser()`): asking the database is not ours to do.
        return None


def _host_is_allowed(request: HttpRequest) -> bool:
    try:
        request.get_host()
    except Exception:  # noqa: BLE001 - DisallowedHost; the view decides what becomes of such a request
        return False
    return True
