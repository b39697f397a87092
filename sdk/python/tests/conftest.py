from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from momsflow import process
from server import Server

# The tests are about a client on its own: no proxy and no key of whoever runs them.
for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "MOMSFLOW_WRITE_KEY", "MOMSFLOW_HOST"):
    os.environ.pop(name, None)

# For the programs that tests start.
os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent / "src")

_numbers = itertools.count()


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One for all tests that do not hurt it."""
    server = Server()
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def own_server() -> Iterator[Server]:
    """For a test that kills it, or that counts everything in it."""
    server = Server()
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture
def mark() -> str:
    """A name that only this test's events have."""
    return f"Test {os.getpid()} {next(_numbers)}"


@pytest.fixture
def python() -> str:
    return sys.executable


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    """Clients without a server would else delay the end of the run."""
    yield
    for client in list(process._started):
        client.close(0.01)
