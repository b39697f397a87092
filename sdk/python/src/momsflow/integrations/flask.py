"""Flask: `Momsflow(app)`, or `momsflow = Momsflow()` and `momsflow.init_app(app)`.

Reads `app.config["MOMSFLOW"]`: the arguments of `momsflow.configure`, and under `web` those of WebOptions, under
`pixel` the `host` and the public `write_key` of the pixel. Templates have `{{ momsflow_pixel() }}`.
"""

from __future__ import annotations

from typing import Any, Callable

from flask import Flask, request
from markupsafe import Markup

from .. import default
from ..context import current
from .web import WebOptions, pixel_tag, read_request


class Momsflow:
    """Gives all calls inside a request its page, its visitor and the visitor's consent."""

    def __init__(
        self,
        app: Flask | None = None,
        *,
        user_id: Callable[[], Any] | None = None,
        anonymous_id: Callable[[], str | None] | None = None,
    ) -> None:
        self._user_id = user_id
        self._anonymous_id = anonymous_id
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Flask) -> None:
        config = dict(app.config.get("MOMSFLOW", {}))
        options = WebOptions(**config.pop("web", {}))
        pixel = config.pop("pixel", None)
        strict = bool(app.debug or app.testing)
        if config:
            default.configure(**{"strict": strict, **config})
        else:
            default.configure_from_environment(strict=strict)

        def begin() -> None:
            anonymous_id = self._anonymous_id() if self._anonymous_id is not None else None
            current.set(
                read_request(
                    options,
                    url=request.url,
                    path=request.path,
                    header=request.headers.get,
                    cookies=request.cookies,
                    ip=request.remote_addr,
                    user_id=self._user_id,
                    anonymous_id=anonymous_id,
                )
            )

        def end(_error: BaseException | None) -> None:
            current.set(None)

        app.before_request_funcs.setdefault(None, []).insert(0, begin)
        app.teardown_request(end)
        tag = Markup(pixel_tag(**pixel)) if pixel else Markup("")
        app.jinja_env.globals["momsflow_pixel"] = lambda: tag
        app.extensions["momsflow"] = self
