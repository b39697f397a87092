"""momsflow: sends a content platform's events, and accounts for each of them.

import momsflow

momsflow.configure("write key", "https://events.example.com")
momsflow.track("u-1", "Article Read", {"content_id": "a-1"})
"""

from .account import Stats
from .client import Client
from .context import RequestContext, request_context
from .default import (
    aflush,
    alias,
    close,
    configure,
    default_client,
    flush,
    group,
    identify,
    page,
    screen,
    stats,
    track,
)
from .errors import ConfigError, Failure, InvalidEvent, MomsflowError
from .options import Options
from .version import __version__

__all__ = [
    "Client",
    "ConfigError",
    "Failure",
    "InvalidEvent",
    "MomsflowError",
    "Options",
    "RequestContext",
    "Stats",
    "__version__",
    "aflush",
    "alias",
    "close",
    "configure",
    "default_client",
    "flush",
    "group",
    "identify",
    "page",
    "request_context",
    "screen",
    "stats",
    "track",
]
