"""An application whose worker is still busy when the client has its answer, until the test has sent a SIGTERM."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Callable

from momsflow import Client

# Nothing but the end of the worker sends.
client = Client(flush_interval=3600, exit_timeout=60)
sent = Path(os.environ["READY"], "sigterm")


class Body:
    def __iter__(self) -> Iterator[bytes]:
        yield b"answer"

    def close(self) -> None:
        while not sent.exists():
            time.sleep(0.01)
        # The signal goes by way of the master.
        time.sleep(1)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Body | list[bytes]:
    start_response("200 OK", [("Content-Length", "6")])
    if environ["PATH_INFO"] == "/":
        return [b"ready!"]
    client.track("u-1", environ["PATH_INFO"].strip("/"))
    return Body()
