"""The default client behind the functions of the module."""

from __future__ import annotations

import logging
import os
import threading
from typing import TYPE_CHECKING, Any

from . import recording
from .account import Stats
from .client import DEFAULT_HOST, Client
from .errors import ConfigError
from .options import GivenOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

log = logging.getLogger("momsflow")

_client: Client | None = None
#: What `close` closes now, for who closes meanwhile.
_closing: Client | None = None
_lock = threading.RLock()


def configure(write_key: str | None = None, host: str | None = None, **options: Unpack[GivenOptions]) -> Client:
    """Makes the default client, in place of an earlier one, which is closed. Arguments as for Client."""
    global _client
    with _lock:
        client = Client(write_key, host, **options)
        earlier, _client = _client, client
    if earlier is not None:
        earlier.close()
    return client


def configure_from_environment(**options: Unpack[GivenOptions]) -> None:
    """For frameworks: `options` hold for the default client where only the environment says what its key is."""
    if _client is None and os.environ.get("MOMSFLOW_WRITE_KEY"):
        configure(**options)


def default_client() -> Client:
    """The default client; made from MOMSFLOW_WRITE_KEY and MOMSFLOW_HOST where nobody called `configure`."""
    global _client
    client = _client
    if client is None:
        with _lock:
            if _client is None:
                _client = _make()
            client = _client
    return client


def _make() -> Client:
    try:
        return Client()
    except ConfigError as error:
        # Whatever it is in the environment that is wrong, not again.
        client = Client(host=DEFAULT_HOST, enabled=False, proxy="")
        if client.is_strict and recording.recorder is None:
            raise
        log.error("%s; nothing will be sent", error)
        return client


if TYPE_CHECKING:
    # The functions have the methods' signatures.
    _of_client = Client()
    track = _of_client.track
    identify = _of_client.identify
    page = _of_client.page
    screen = _of_client.screen
    group = _of_client.group
    alias = _of_client.alias
else:

    def track(*args: Any, **kwargs: Any) -> bool:
        """See Client.track."""
        return default_client().track(*args, **kwargs)

    def identify(*args: Any, **kwargs: Any) -> bool:
        """See Client.identify."""
        return default_client().identify(*args, **kwargs)

    def page(*args: Any, **kwargs: Any) -> bool:
        """See Client.page."""
        return default_client().page(*args, **kwargs)

    def screen(*args: Any, **kwargs: Any) -> bool:
        """See Client.screen."""
        return default_client().screen(*args, **kwargs)

    def group(*args: Any, **kwargs: Any) -> bool:
        """See Client.group."""
        return default_client().group(*args, **kwargs)

    def alias(*args: Any, **kwargs: Any) -> bool:
        """See Client.alias."""
        return default_client().alias(*args, **kwargs)


def flush(timeout: float | None = 30.0) -> bool:
    """See Client.flush."""
    return default_client().flush(timeout)


async def aflush(timeout: float | None = 30.0) -> bool:
    """See Client.aflush."""
    return await default_client().aflush(timeout)


def close(timeout: float | None = None) -> bool:
    """See Client.close. A later call makes a new default client."""
    global _client, _closing
    with _lock:
        if _client is not None:
            _closing, _client = _client, None
        client = _closing
    if client is None:
        return True
    try:
        return client.close(timeout)
    finally:
        with _lock:
            if _closing is client:
                _closing = None


def stats() -> Stats:
    """See Client.stats."""
    return default_client().stats()


def _in_child() -> None:
    # Another thread may have been making the default client when this process was forked.
    global _lock, _closing
    _lock = threading.RLock()
    _closing = None


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
