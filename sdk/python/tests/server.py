"""A real `momsflow serve` in a data dir of its own, and what is in its event store."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from pathlib import Path

from waiting import PATIENCE

REPOSITORY = Path(__file__).resolve().parents[3]
WRITE_KEY = "wk_sdk_tests"


def binary() -> str:
    given = os.environ.get("MOMSFLOW_BINARY")
    return str(Path(given).resolve()) if given else str(REPOSITORY / "target" / "debug" / "momsflow")


#: Where ports are drawn: below those that the kernel hands out for outgoing connections, so that a server which starts
#: again finds its port free.
_PORTS = range(10_000, 32_000)
_drawn: set[int] = set()


def free_port() -> int:
    while True:
        port = random.choice(_PORTS)
        if port in _drawn:
            continue
        _drawn.add(port)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def environment() -> dict[str, str]:
    """Without what the SDK reads: for the server each MOMSFLOW_… is configuration, and an unknown one a fault."""
    return {name: value for name, value in os.environ.items() if not name.startswith("MOMSFLOW_")}


class Server:
    """Starts, kills and asks a momsflow. Its key may send history."""

    def __init__(self, extra_config: str = "") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="momsflow-sdk-"))
        # The private PostgreSQL runs as another user when root starts it.
        self.folder.chmod(0o755)
        self.data_dir = self.folder / "data"
        self.port = free_port()
        self.admin_port = free_port()
        self.config = self.folder / "momsflow.toml"
        self.config.write_text(
            f'[http]\nlisten = "127.0.0.1:{self.port}"\n[admin]\nlisten = "127.0.0.1:{self.admin_port}"\n'
            f'[[sources]]\nname = "sdk"\nkey = "{WRITE_KEY}"\ntrusted = true\nmay_backdate = true\n{extra_config}'
        )
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, until: str = "/ready") -> Server:
        with (self.folder / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [binary(), "serve", *self._flags()], stdout=log, stderr=log, env=environment()
            )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.host}{until}", timeout=10):
                    return self
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"momsflow does not start:\n{(self.folder / 'serve.log').read_text()[-3000:]}")

    def userprint(self) -> tuple[str, str]:
        """A new visitor's cookie, as the pixel sets it, and the id in it."""
        with urllib.request.urlopen(f"{self.host}/p.gif", timeout=PATIENCE) as answer:
            cookie = answer.headers["Set-Cookie"].partition(";")[0].partition("=")[2]
        return cookie, cookie.split(".")[2]

    def kill(self) -> None:
        """As `kill -9`: nothing is finished."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def freeze(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def sql(self, query: str) -> str:
        """The answer as psql prints it without frills: columns by `|`, rows by lines."""
        done = subprocess.run(
            [binary(), "psql", *self._flags(), "--", "-AtX", "-v", "ON_ERROR_STOP=1", "-c", query],
            capture_output=True,
            text=True,
            check=False,
            env=environment(),
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def count(self, where: str = "true") -> int:
        return int(self.sql(f"select count(*) from events where {where}"))

    def wait_for(self, query: str, expected: str, timeout: float = PATIENCE) -> None:
        """Waits until capture has stored what the query asks for."""
        deadline = time.monotonic() + timeout
        while (found := self.sql(query)) != expected:
            assert time.monotonic() < deadline, f"{query}: {found}, not {expected}"
            time.sleep(0.2)

    def wait_for_count(self, expected: int, where: str = "true", timeout: float = PATIENCE) -> None:
        self.wait_for(f"select count(*) from events where {where}", str(expected), timeout)

    def _flags(self) -> list[str]:
        return ["--config", str(self.config), "--data-dir", str(self.data_dir)]
