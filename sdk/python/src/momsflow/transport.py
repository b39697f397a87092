"""One connection to the server, kept open, with a deadline for each request as a whole."""

from __future__ import annotations

import base64
import contextlib
import copy
import http.client
import io
import os
import socket
import ssl
import sys
import threading
import zlib
from dataclasses import dataclass
from time import monotonic
from typing import Any

from .address import proxy_for, server_address, trust
from .answer import Answer
from .uuid7 import iso_now
from .version import __version__

#: An answer names each rejected event; more than this is no answer of ours.
_LONGEST_ANSWER = 16 * 1024 * 1024
_CONNECT_TIMEOUT = 10.0


class Unreachable(Exception):
    """No whole answer came: the events may have arrived or not, and are to be sent again."""


@dataclass(frozen=True)
class Endpoint:
    """Where and how to send."""

    write_key: str
    host: str
    path: str = "/v1/batch"
    compress: bool | None = None
    proxy: str | None = None
    ca_file: str | os.PathLike[str] | None = None
    ssl_context: ssl.SSLContext | None = None


class Transport:
    """Sends bodies. Used by one thread at a time; only `abort` may be called from another."""

    def __init__(self, endpoint: Endpoint) -> None:
        server = server_address(endpoint.host)
        self._server = server
        self._proxy = proxy_for(server, endpoint.proxy)
        self._tls = trust(endpoint.ca_file, endpoint.ssl_context) if server.scheme == "https" else None
        self._compress = not server.is_loopback if endpoint.compress is None else endpoint.compress
        self._headers = _headers(endpoint.write_key)
        self._path = server.path + endpoint.path
        if self._proxy is not None and self._tls is None:
            self._path = f"http://{server.netloc}{self._path}"
            self._headers.update(self._proxy.authorization())
        self._begin()

    def _begin(self) -> None:
        self._connection: http.client.HTTPConnection | None = None
        self._lock = threading.Lock()
        self._aborted = False

    def fresh(self) -> Transport:
        """Another to the same place. Reads no certificates: a child that has given up its rights may not."""
        other = copy.copy(self)
        other._begin()
        return other

    def post(self, payloads: list[bytes], timeout: float) -> Answer:
        """Sends one batch. Raises Unreachable where no whole answer comes within the timeout."""
        body = b'{"batch":[%s],"context":%s,"sentAt":"%s"}' % (
            b",".join(payloads),
            _LIBRARY,
            iso_now().encode(),
        )
        headers = self._headers
        if self._compress:
            body = _gzip(body)
            headers = {**headers, "Content-Encoding": "gzip"}
        try:
            return self._exchange(body, headers, monotonic() + timeout)
        # A closed connection shows in many ways (ValueError: a read of what `abort` has closed).
        except (OSError, http.client.HTTPException, ValueError, AttributeError) as error:
            self.close()
            raise Unreachable(f"{type(error).__name__}: {error}") from None

    def close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def abort(self) -> None:
        """Ends the request that is on its way, from another thread, and every later one."""
        with self._lock:
            self._aborted = True
            sock = self._connection.sock if self._connection is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def forget(self) -> None:
        """In a forked child: closes its copy of the connection without a word to the server, which is the parent's."""
        connection = self._connection
        self._begin()
        if connection is not None and connection.sock is not None:
            # `close` of a TLS connection would send nothing either; `unwrap` or `shutdown` would.
            with contextlib.suppress(OSError):
                connection.sock.close()

    def _exchange(self, body: bytes, headers: dict[str, str], deadline: float) -> Answer:
        connection = self._connected(deadline)
        connection.sock.settimeout(max(0.01, deadline - monotonic()))
        connection.response_class = _with_deadline(deadline)
        connection.request("POST", self._path, body, headers)
        with connection.getresponse() as response:
            if response.status < 200:
                # The answer itself is to come; the next request must not take it for its own.
                raise http.client.HTTPException(f"the server answers {response.status}")
            text = response.read(_LONGEST_ANSWER)
            # `read` with a size returns what there is when the connection ends half way.
            if response.length:
                raise http.client.IncompleteRead(text, response.length)
            if response.will_close:
                self.close()
            return Answer(response.status, text, response.headers.get("Retry-After"))

    def _connected(self, deadline: float) -> http.client.HTTPConnection:
        connection = self._connection
        if connection is not None and connection.sock is not None and not _is_stale(connection.sock):
            return connection
        self.close()
        connection = self._make_connection(deadline)
        # For a proxy's answer to CONNECT.
        connection.response_class = _with_deadline(deadline)
        connection.connect()
        with self._lock:
            if self._aborted:
                connection.close()
                raise OSError("the client is closed")
            self._connection = connection
        return connection

    def _make_connection(self, deadline: float) -> http.client.HTTPConnection:
        through = self._proxy or self._server
        timeout = max(0.01, min(deadline - monotonic(), _CONNECT_TIMEOUT))
        if self._tls is None:
            return http.client.HTTPConnection(through.host, through.port, timeout=timeout)
        connection = http.client.HTTPSConnection(through.host, through.port, timeout=timeout, context=self._tls)
        if self._proxy is not None:
            connection.set_tunnel(self._server.host, self._server.port, self._proxy.authorization())
        return connection


def _headers(write_key: str) -> dict[str, str]:
    return {
        "Authorization": f"Basic {base64.b64encode(f'{write_key}:'.encode()).decode()}",
        "Content-Type": "application/json",
        "User-Agent": f"momsflow-python/{__version__}",
    }


_LIBRARY = b'{"library":{"name":"momsflow-python","version":"%s"}}' % __version__.encode()


def _gzip(body: bytes) -> bytes:
    """Level 1, without the interpreter's lock. (`gzip.compress` holds it until Python 3.11.)"""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    return packer.compress(body) + packer.flush()


def _with_deadline(deadline: float) -> Any:
    """A response class whose reads end at the deadline, also where an answer drips in byte by byte."""

    def make(sock: socket.socket, *args: Any, **options: Any) -> http.client.HTTPResponse:
        return http.client.HTTPResponse(_Reads(sock, deadline), *args, **options)  # type: ignore[arg-type]

    return make


class _Reads(io.RawIOBase):
    """The answer's bytes until the deadline.

    Not a BufferedReader: the sender may hold its lock at the moment of a fork, and the child, which throws the sender's
    frames away, would wait for that lock for ever (until Python 3.10).
    """

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self._sock = sock
        # The socket stays open while this is, also after the connection has closed it.
        self._file = sock.makefile("rb", buffering=0)
        self._deadline = deadline
        self._buffer = b""

    def makefile(self, _mode: str) -> _Reads:
        return self

    def readable(self) -> bool:
        return True

    def peek(self, _size: int = 0) -> bytes:
        """What has come, at least one byte of it; `readline` of the base class asks for it."""
        if not self._buffer:
            left = self._deadline - monotonic()
            if left <= 0:
                raise TimeoutError("the answer is not whole in time")
            self._sock.settimeout(left)
            self._buffer = self._file.read(64 * 1024) or b""
        return self._buffer

    def read(self, size: int | None = -1) -> bytes:
        """As a buffered reader's: all of `size`, unless the connection ends."""
        pieces = []
        left = sys.maxsize if size is None or size < 0 else size
        while left and (piece := self.peek()[:left]):
            pieces.append(piece)
            self._buffer = self._buffer[len(piece) :]
            left -= len(piece)
        return b"".join(pieces)

    def readinto(self, buffer: Any) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        self._file.close()
        super().close()


def _is_stale(sock: socket.socket) -> bool:
    """Whether the server closed the idle connection, or sent what nobody asked for."""
    try:
        sock.settimeout(0)
        # The base class's, since that of a TLS socket knows no flags: raw bytes now are the end, or the notice of it.
        return socket.socket.recv(sock, 1, socket.MSG_PEEK) is not None
    except BlockingIOError:
        return False
    except OSError:
        return True
    except (AttributeError, TypeError):  # no socket of the standard library's; its first write will tell
        return False
