"""What the web integrations share: a request's headers and cookies to its context.

Left out because they are private: the visitor's address, query strings (they carry tokens and searches), and every
cookie but the pixel's own.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Callable

from ..context import RequestContext


@dataclass(frozen=True)
class WebOptions:
    """How requests are read."""

    #: The pixel's cookie (`pixel.cookie.name`). It is forwarded whole: only the server can verify it.
    cookie: str = "userprint"
    #: The cookie that says `optout`. Both are also looked for with the prefix `__Host-`, which the pixel adds where it
    #: may.
    state_cookie: str = "userprint_state"
    #: Whether `DNT: 1` is an opt-out as well. `Sec-GPC: 1` always is.
    honour_dnt: bool = False
    #: Whether the visitor's address is sent. The server cuts it to /24 or /48.
    send_ip: bool = False
    #: Whether query strings are sent.
    send_query: bool = False


def read_request(
    options: WebOptions,
    *,
    url: str,
    path: str,
    header: Callable[[str], str | None],
    cookies: Mapping[str, str],
    ip: str | None = None,
    user_id: Callable[[], Any] | None = None,
    anonymous_id: str | None = None,
) -> RequestContext:
    """The context of a request. `header` takes lower-case names."""
    gpc = header("sec-gpc") == "1"
    dnt = options.honour_dnt and header("dnt") == "1"
    opted_out = gpc or dnt or "optout" in _both(cookies, options.state_cookie)
    page = {"path": _storable(path), "url": _cut(url, options), "referrer": _cut(header("referer"), options)}
    language = (header("accept-language") or "").partition(",")[0].partition(";")[0].strip()
    context: dict[str, Any] = {
        "page": {name: value for name, value in page.items() if value},
        "userAgent": _storable(header("user-agent") or "")[:1000],
        "locale": _storable(language)[:35],
        "ip": ip if options.send_ip and not opted_out else None,
        "gpc": gpc or None,
    }
    return RequestContext(
        {name: value for name, value in context.items() if value},
        user_id=user_id,
        anonymous_id=anonymous_id,
        userprint=_storable(next(_both(cookies, options.cookie), "")) or None,
        opted_out=opted_out,
    )


def pixel_tag(host: str, write_key: str, nonce: str | None = None) -> str:
    """The script tag of the pixel. The key is the public one of a source for browsers."""
    of_nonce = f' nonce="{html.escape(nonce)}"' if nonce else ""
    source = html.escape(f"{host.rstrip('/')}/p.js")
    return f'<script async src="{source}" data-write-key="{html.escape(write_key)}"{of_nonce}></script>'


def _both(cookies: Mapping[str, str], name: str) -> Iterator[str]:
    """The cookie that only its own host can have set, then the one that any host of the site can."""
    names = (f"__Host-{name}", name)
    return (cookies[name] for name in names if name in cookies)


def _cut(url: str | None, options: WebOptions) -> str:
    url = _storable(url or "")
    return url if options.send_query else url.partition("?")[0].partition("#")[0]


def _storable(text: str) -> str:
    """What a visitor sends (`/a%00b`) must not make the application's events invalid."""
    return text.replace("\0", "").encode(errors="replace").decode()
