"""Runs the example applications with real servers."""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from server import WRITE_KEY, Server, free_port
from waiting import PATIENCE, wait_until

TESTS = Path(__file__).resolve().parent
EXAMPLES = TESTS.parent / "examples"


class Application:
    """One application and its server, with `{port}` in the command replaced. Ends as an administrator ends it."""

    def __init__(self, server: Server, folder: str, *command: str, **environment: str) -> None:
        self.folder = EXAMPLES / folder
        self.port = free_port()
        #: A file for each worker that is ready.
        self.ready = Path(tempfile.mkdtemp(prefix="momsflow-sdk-"))
        self.environment = {
            **os.environ,
            "MOMSFLOW_WRITE_KEY": WRITE_KEY,
            "MOMSFLOW_HOST": server.host,
            "READY": str(self.ready),
            "PYTHONDONTWRITEBYTECODE": "1",
            **environment,
        }
        arguments = [part.format(port=self.port) for part in command]
        if arguments[0] == "uwsgi":
            # No module that Python runs, but a program beside it.
            self._command = [str(Path(sys.executable).with_name("uwsgi")), *arguments[1:]]
        else:
            self._command = [sys.executable, "-m", *arguments]
        self.process: subprocess.Popen[str] | None = None

    def run(self, *arguments: str) -> str:
        """Runs a Python program in the application's folder."""
        command = [sys.executable, *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def __enter__(self) -> Application:
        self.process = subprocess.Popen(
            self._command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return self

    def wait_until_it_listens(self) -> Application:
        def listens() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.output()
            try:
                self.get("/")
            except OSError:
                return False
            return True

        wait_until(listens)
        return self

    def wait_for_workers(self, number: int) -> Application:
        """gunicorn and uWSGI lose a SIGTERM that comes while they still fork: the worker never hears of it."""
        wait_until(lambda: len(list(self.ready.iterdir())) >= number)
        return self

    def output(self) -> str:
        assert self.process is not None
        assert self.process.stdout is not None
        return self.process.stdout.read()

    def stop(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise
        finally:
            if self.process.stdout is not None:
                self.process.stdout.close()

    def __exit__(self, *_: object) -> None:
        if self.process is not None and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.ready, ignore_errors=True)
        for cache in self.folder.rglob("__pycache__"):
            shutil.rmtree(cache, ignore_errors=True)

    def get(self, path: str, method: str = "GET", **headers: str) -> tuple[str, list[str]]:
        """The body and the cookies."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            cookies = [one.partition(";")[0] for one in response.headers.get_all("Set-Cookie", [])]
            return response.read().decode(), cookies
        finally:
            connection.close()
