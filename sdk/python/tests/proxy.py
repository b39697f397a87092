"""A TCP proxy between client and server that misbehaves as told."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time


class Proxy:
    """`mode` may be changed at any time and holds for what comes after.

    hang: accepts and never answers. reset: RST after the request's first bytes. refuse: closes at once. delay: each
    piece half a second late. half: ends in the middle of the answer. lose: the server gets the request, the client no
    answer. drip: the answer one byte every 50 ms. hold: the answer when `release` is set.
    """

    def __init__(self, port: int) -> None:
        self.mode = "pass"
        self.release = threading.Event()
        #: When each piece of a request came, and when each of an answer did.
        self.asked: list[float] = []
        self.answered: list[float] = []
        self._upstream = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def close(self) -> None:
        self.release.set()
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Ends every connection that is open."""
        sockets, self._sockets = self._sockets, []
        for sock in sockets:
            sock.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._sockets.append(client)
            if self.mode == "refuse":
                client.close()
                continue
            threading.Thread(target=self._up, args=(client,), daemon=True).start()

    def _up(self, client: socket.socket) -> None:
        server: socket.socket | None = None
        try:
            while data := client.recv(65536):
                self.asked.append(time.monotonic())
                if self.mode == "hang":
                    continue
                if self.mode == "reset":
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    client.close()
                    return
                if self.mode == "delay":
                    time.sleep(0.5)
                if server is None:
                    server = socket.create_connection(("127.0.0.1", self._upstream))
                    self._sockets.append(server)
                    threading.Thread(target=self._down, args=(server, client), daemon=True).start()
                server.sendall(data)
        except OSError:
            pass
        finally:
            if server is not None:
                server.close()

    def _down(self, server: socket.socket, client: socket.socket) -> None:
        try:
            while data := server.recv(65536):
                self.answered.append(time.monotonic())
                if self.mode == "lose":
                    break
                if self.mode == "hold":
                    self.release.wait()
                if self.mode == "half":
                    client.sendall(data[: len(data) - 20])
                    break
                if self.mode == "delay":
                    time.sleep(0.5)
                if self.mode == "drip":
                    for at in range(len(data)):
                        client.sendall(data[at : at + 1])
                        time.sleep(0.05)
                    continue
                if self.mode != "hang":
                    client.sendall(data)
        except OSError:
            pass
        finally:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            client.close()
