"""What may happen to the threads that deliver, and to those around them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from account import Auditor
from momsflow import Client, Failure
from server import WRITE_KEY, Server
from test_exit import run
from test_spool import NOWHERE
from waiting import PATIENCE, wait_until

LATE_IMPORTS = f"""
import os, sys
import momsflow
from momsflow import Client
client = Client("{WRITE_KEY}", sys.argv[1], strict=True)
before = set(sys.modules)
client.track("u-1", "E")
assert client.flush(60)
print(sorted(set(sys.modules) - before))
"""


def test_the_sender_imports_nothing(server: Server) -> None:
    """A fork in the middle of an import leaves the child with half a module: without `idna` it finds no host."""
    done = subprocess.run(
        [sys.executable, "-c", LATE_IMPORTS, server.host], capture_output=True, text=True, check=False
    )
    assert done.stdout == "[]\n", done.stderr


def test_a_sys_exit_in_on_error_does_not_end_the_sender(server: Server, mark: str) -> None:
    def on_error(_failure: Failure) -> None:
        raise SystemExit(1)

    with Client(WRITE_KEY, server.host, on_error=on_error, strict=True) as client, Auditor(client):
        client.track("u-1", mark, message_id="x" * 512, anonymous_id="ä" * 512)
        assert client.flush(PATIENCE)
        assert client.stats().rejected == 1
        client.track("u-1", mark)
        assert client.flush(PATIENCE)
        assert client.stats().delivered == 1


def test_a_process_that_is_short_of_threads_sends_when_it_has_one(
    server: Server, mark: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    start = threading.Thread.start
    allowed: list[str] = ["momsflow-sender"]

    def start_some(thread: threading.Thread) -> None:
        if thread.name.startswith("momsflow") and thread.name not in allowed:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_some)
    for names in ([], ["momsflow-sender"]):
        allowed[:] = names
        with Client(WRITE_KEY, server.host, spool_dir=tmp_path) as client, Auditor(client):
            assert client.track("u-1", mark)
            assert not client.flush(0.1) or names
            allowed[:] = ["momsflow-sender", "momsflow-spooler"]
            assert client.track("u-1", mark)
            assert client.flush(PATIENCE)
            assert client.stats().delivered + client.stats().spooled == 2
            assert sorted(thread.name for thread in client.engine._threads) == sorted(allowed)


def test_flushes_in_vain_leave_nothing_behind() -> None:
    client = Client(WRITE_KEY, NOWHERE, exit_timeout=0.1)
    client.track("u-1", "E")
    for _ in range(3):
        assert not client.flush(0.01)
        assert not asyncio.run(client.aflush(0.01))
    assert not client.engine.queue._waiters
    client.close()


def test_waits_without_an_end_are_taken_for_long_ones(server: Server, mark: str) -> None:
    client = Client(WRITE_KEY, server.host)
    client.track("u-1", mark)
    assert client.flush(float("inf"))
    client.track("u-1", mark)
    assert client.close(float("inf"))
    assert client.stats().delivered == 2


def test_a_child_forked_while_the_default_client_was_made_has_its_own(server: Server, mark: str) -> None:
    program = """
import momsflow
from momsflow import default
os.environ["MOMSFLOW_WRITE_KEY"], os.environ["MOMSFLOW_HOST"] = "wk_sdk_tests", host
held = threading.Event()
def hold():
    with default._lock:
        held.set()
        time.sleep(60)
threading.Thread(target=hold, daemon=True).start()
held.wait()
child = os.fork()
if child == 0:
    momsflow.track("child", mark)
    sys.exit()
assert os.waitpid(child, 0)[1] == 0
"""
    run(program, server.host, mark)
    server.wait_for_count(1, f"event = '{mark}'")


def test_a_child_needs_no_certificates_that_its_parent_could_read(mark: str, tmp_path: Path) -> None:
    from web_proxy import certificate

    cert, _ = certificate(tmp_path)
    client = Client(WRITE_KEY, "https://127.0.0.1:9", ca_file=cert, exit_timeout=0.2)
    client.track("parent", mark)
    cert.unlink()
    child = os.fork()
    if child == 0:
        ok = client.stats().enqueued == 0 and client.track("child", mark)
        client.close()
        os._exit(0 if ok and client.stats().dropped_by == {"exit": 1} else 1)
    assert os.waitpid(child, 0)[1] == 0
    client.close()


def test_threads_that_track_until_the_end_of_the_interpreter_do_no_harm(server: Server, mark: str) -> None:
    program = """
def busy():
    n = 0
    while True:
        client.track("u-1", mark, {"n": n}); n += 1
        if n % 20 == 0: time.sleep(0.002)
for _ in range(3): threading.Thread(target=busy, daemon=True).start()
def slow():
    for n in range(50): client.track("slow", mark, {"n": n}); time.sleep(0.01)
threading.Thread(target=slow).start()
time.sleep(0.1)
"""
    for _ in range(3):
        run(program, server.host, mark)
    server.wait_for_count(150, f"event = '{mark}' and user_id = 'slow'")
    wait_until(lambda: server.count(f"event = '{mark}'") > 150)
