"""gunicorn's configuration in the tests: a worker says when it hears its signals."""

from __future__ import annotations

import os
from pathlib import Path


def post_worker_init(_worker: object) -> None:
    Path(os.environ["READY"], str(os.getpid())).touch()
