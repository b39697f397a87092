"""An HTTP proxy with a password, and a front that ends TLS: what stands between a client and its server."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for localhost and its key; its own authority."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    subprocess.run([*command, *names, "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return cert, key


class Front:
    """Listens, and hands each connection to `serve` in a thread."""

    def __init__(self) -> None:
        self.requests: list[str] = []
        self._clients: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def cut(self) -> None:
        """Ends every connection as a server ends one that is idle."""
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._clients.append(client.dup())
            threading.Thread(target=self._guarded, args=(client,), daemon=True).start()

    def _guarded(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            self.serve(client)

    def serve(self, client: socket.socket) -> None:
        raise NotImplementedError


class TlsFront(Front):
    def __init__(self, port: int, cert: Path, key: Path) -> None:
        self._upstream = port
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(cert, key)
        super().__init__()

    def serve(self, client: socket.socket) -> None:
        wrapped = self._context.wrap_socket(client, server_side=True)
        _join(wrapped, socket.create_connection(("127.0.0.1", self._upstream)))


class WebProxy(Front):
    """Speaks CONNECT and absolute addresses, to who knows the password."""

    password = "user:p@ss"
    #: A byte of the answer to CONNECT every now and then.
    drips = False

    def serve(self, client: socket.socket) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(65536)
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        self.requests.append(f"{method} {target}")
        wanted = base64.b64encode(self.password.encode())
        if b"Proxy-Authorization: Basic " + wanted not in head:
            client.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
            client.close()
        elif method == "CONNECT":
            host, _, port = target.rpartition(":")
            while self.drips:
                client.sendall(b"H")
                time.sleep(0.05)
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _join(client, socket.create_connection((host, int(port))))
        else:
            port = target[len("http://") :].partition("/")[0].rpartition(":")[2]
            server = socket.create_connection(("127.0.0.1", int(port)))
            server.sendall(head)
            _join(client, server)


def _join(left: socket.socket, right: socket.socket) -> None:
    back = threading.Thread(target=_pump, args=(right, left), daemon=True)
    back.start()
    _pump(left, right)
    back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for sock in (source, target):
        with contextlib.suppress(OSError):
            sock.close()
