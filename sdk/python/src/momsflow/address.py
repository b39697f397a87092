"""Where the server is and how it is reached: addresses, proxies, whom to trust. Checked when the client is made."""

from __future__ import annotations

import base64
import codecs
import os
import re
import ssl
import urllib.request
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from .errors import ConfigError

# Else the first look-up of a host imports it, in the sender's thread: a process that is forked at that moment has half
# of the module, and never finds a host again.
codecs.lookup("idna")

_PORTS = {"http": 80, "https": 443}
_NOT_IN_ADDRESSES = re.compile(r"[\s\x00-\x1f\x7f]")


@dataclass(frozen=True)
class Address:
    """An http or https address."""

    scheme: str
    host: str
    port: int
    path: str = ""
    user: str | None = None
    password: str = ""

    @property
    def is_loopback(self) -> bool:
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    @property
    def netloc(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"

    def authorization(self) -> dict[str, str]:
        """The header for a proxy that wants a password."""
        if self.user is None:
            return {}
        text = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Proxy-Authorization": f"Basic {text}"}


def server_address(host: str) -> Address:
    """The server's; https where the scheme is left out."""
    address = _parse(host, "https")
    if address is None or address.user is not None:
        raise ConfigError(f"host must be an http or https address such as https://events.example.com, not {host!r}")
    return address


def proxy_for(server: Address, configured: str | None) -> Address | None:
    """`configured`, or what the environment says (HTTPS_PROXY, NO_PROXY …); an empty text is no proxy.

    The environment's is not for this machine itself, which no proxy on another could reach.
    """
    if configured is None:
        if server.is_loopback or urllib.request.proxy_bypass(server.netloc):
            return None
        configured = urllib.request.getproxies().get(server.scheme, "")
    if not configured:
        return None
    proxy = _parse(configured, "http")
    if proxy is None or proxy.scheme != "http":
        raise ConfigError(f"proxy must be an http address, not {_without_password(configured)!r}")
    return proxy


def trust(ca_file: str | os.PathLike[str] | None, context: ssl.SSLContext | None) -> ssl.SSLContext:
    """`context`, or one that trusts `ca_file`, or the system's authorities."""
    if context is not None:
        return context
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigError(f"ca_file {ca_file!r} cannot be used: {error}") from None


def _parse(text: str, scheme: str) -> Address | None:
    text = text.strip()
    try:
        url = urlsplit(text if "://" in text else f"{scheme}://{text}")
        host = (url.hostname or "").encode("idna").decode()
        port = url.port or _PORTS.get(url.scheme, 0)
    except ValueError:  # a port that is none, half an IPv6 address, a label of 70 letters
        return None
    odd = url.query or url.fragment or url.port == 0 or not url.path.isascii() or _NOT_IN_ADDRESSES.search(text)
    if url.scheme not in _PORTS or not host or odd:
        return None
    user = None if url.username is None else unquote(url.username)
    return Address(url.scheme, host, port, url.path.rstrip("/"), user, unquote(url.password or ""))


def _without_password(text: str) -> str:
    return re.sub(r"//[^@/]*@", "//…@", text)
