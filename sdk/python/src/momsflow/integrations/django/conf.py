"""settings.MOMSFLOW, with keys in either case."""

from __future__ import annotations

from typing import Any, Callable

from django.conf import settings
from django.utils.functional import Promise
from django.utils.module_loading import import_string

from ..web import WebOptions

_OURS = ("pixel", "web", "user_id", "anonymous_id")


def _all() -> dict[str, Any]:
    return {name.lower(): value for name, value in getattr(settings, "MOMSFLOW", {}).items()}


def client_options() -> tuple[bool, dict[str, Any]]:
    """Whether the settings have any for the client, and all of them. Lazy translations become text."""
    options = {name: value for name, value in _all().items() if name not in _OURS}
    return bool(options), {**options, "default": _lazy_text(options.get("default"))}


def web_options() -> WebOptions:
    return WebOptions(**_all().get("web", {}))


def pixel() -> dict[str, str] | None:
    given = _all().get("pixel")
    return {name.lower(): value for name, value in given.items()} if given else None


def function(name: str) -> Callable[..., Any] | None:
    given = _all().get(name)
    found: Callable[..., Any] | None = import_string(given) if isinstance(given, str) else given
    return found


def _lazy_text(hook: Callable[[Any], Any] | None) -> Callable[[Any], Any]:
    def encode(value: Any) -> Any:
        if isinstance(value, Promise):
            return str(value)
        if hook is not None:
            return hook(value)
        raise TypeError(f"a {type(value).__name__} cannot be encoded; name what you need of it, such as its pk")

    return encode
