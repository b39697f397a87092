"""A process ends, or forks, and what it tracked arrives."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from server import WRITE_KEY, Server
from waiting import PATIENCE

#: Longer than any test: an exit that waited for it would show.
FOR_EVER = 3600

PRELUDE = f"""
import json, multiprocessing, os, sys, threading, time
from momsflow import Client
host, mark, options = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
client = Client("{WRITE_KEY}", host, strict=True, **{{"exit_timeout": {PATIENCE}, **options}})
"""


def run(program: str, host: str, mark: str, fails: str = "", **options: object) -> str:
    """Runs a program in a Python of its own, and says what it printed. It must end in time."""
    done = subprocess.run(
        [sys.executable, "-c", PRELUDE + program, host, mark, json.dumps(options)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == (1 if fails else 0), done.stderr
    assert fails in done.stderr
    return done.stdout


@pytest.fixture
def silent_host() -> Iterator[str]:
    """Accepts every connection and never answers."""
    listener = socket.create_server(("127.0.0.1", 0))
    kept: list[socket.socket] = []

    def accept() -> None:
        while True:
            try:
                kept.append(listener.accept()[0])
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    listener.close()
    for sock in kept:
        sock.close()


def test_a_program_that_just_ends_delivers_what_it_queued(server: Server, mark: str) -> None:
    run("for n in range(5000): client.track('u-1', mark, {'n': n})", server.host, mark)
    server.wait_for_count(5000, f"event = '{mark}'")


def test_a_client_that_nobody_refers_to_any_more_delivers_too(server: Server, mark: str) -> None:
    program = """
import gc
def work():
    Client("%s", host, exit_timeout=100).track("u-1", mark)
work()
gc.collect()
"""
    run(program % WRITE_KEY, server.host, mark)
    server.wait_for_count(1, f"event = '{mark}'")


def test_an_uncaught_exception_loses_nothing(server: Server, mark: str) -> None:
    run("client.track('u-1', mark)\nraise RuntimeError('on purpose')", server.host, mark, fails="on purpose")
    server.wait_for_count(1, f"event = '{mark}'")


def test_events_tracked_while_the_interpreter_ends_arrive(server: Server, mark: str) -> None:
    """When no thread can be started any more."""
    run("import atexit\natexit.register(lambda: client.track('u-1', mark))", server.host, mark)
    server.wait_for_count(1, f"event = '{mark}'")


def test_a_flush_while_the_interpreter_ends_returns(server: Server, mark: str) -> None:
    program = f"import atexit\natexit.register(lambda: (client.track('u-1', mark), print(client.flush({FOR_EVER}))))"
    assert run(program, server.host, mark) == "True\n"
    server.wait_for_count(1, f"event = '{mark}'")


def test_a_server_that_never_answers_delays_the_exit_by_no_more_than_allowed(silent_host: str, mark: str) -> None:
    """Not by the request's own timeout, which is longer than the test waits."""
    program = "for n in range(5000): client.track('u-1', mark, {'n': n})"
    run(program, silent_host, mark, exit_timeout=1.0, timeout=FOR_EVER)


def test_many_clients_share_the_time_of_the_exit(silent_host: str, mark: str) -> None:
    """One after the other would take longer than the test waits."""
    program = """
clients = [Client("key", host, exit_timeout=5.0) for _ in range(50)]
for one in clients: one.track("u-1", mark)
"""
    run(program, silent_host, mark)


def test_an_interrupted_close_leaves_nothing_out_of_the_account(silent_host: str, mark: str, tmp_path: Path) -> None:
    program = """
import signal
client.track("u-1", mark)
def interrupt():
    while not client.engine.queue.closing: time.sleep(0.01)
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt).start()
try:
    client.close()
except KeyboardInterrupt:
    stats = client.stats()
    print(stats.dropped_by.get("exit"), stats.spooled, stats.pending)
"""
    patient = {"exit_timeout": FOR_EVER, "timeout": FOR_EVER}
    assert run(program, silent_host, mark, **patient).split() == ["1", "0", "0"]
    assert run(program, silent_host, mark, **patient, spool_dir=str(tmp_path)).split() == ["None", "1", "0"]


def test_without_anything_to_send_the_exit_does_not_wait(silent_host: str, mark: str) -> None:
    run("", silent_host, mark, exit_timeout=FOR_EVER)


def test_a_child_delivers_its_own_events_and_not_the_parents(own_server: Server, mark: str) -> None:
    program = """
for n in range(100): client.track("parent", mark, {"n": n})
child = os.fork()
if child == 0:
    assert client.stats().enqueued == 0
    for n in range(300): client.track("child", mark, {"n": n})
    sys.exit()
os.waitpid(child, 0)
for n in range(100, 200): client.track("parent", mark, {"n": n})
"""
    run(program, own_server.host, mark)
    own_server.wait_for_count(500, f"event = '{mark}'")
    assert own_server.count(f"event = '{mark}' and user_id = 'child'") == 300
    # The parent's last events stand behind all others of that user, in the same partition.
    assert own_server.sql("select sum(duplicate) from positions") == "0"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_children_of_multiprocessing_deliver_before_they_end(
    server: Server, mark: str, method: str, tmp_path: object
) -> None:
    program = f"""
import runpy, pathlib
path = pathlib.Path({str(tmp_path)!r}) / "program.py"
path.write_text('''
import multiprocessing, sys, json
from momsflow import Client
client = Client("{WRITE_KEY}", sys.argv[1], strict=True, exit_timeout={PATIENCE})
def work(name):
    for n in range(100): client.track(name, sys.argv[2], {{"n": n}})
if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    processes = [context.Process(target=work, args=(f"child-{{n}}",)) for n in range(3)]
    for process in processes: process.start()
    for process in processes: process.join()
''')
import subprocess
sys.exit(subprocess.run([sys.executable, str(path), host, mark]).returncode)
"""
    run(program, server.host, mark)
    server.wait_for_count(300, f"event = '{mark}'")


def test_a_fork_amid_busy_threads_never_hangs_and_never_doubles(server: Server, mark: str) -> None:
    program = """
over = threading.Event()
def busy(name):
    n = 0
    while not over.is_set():
        client.track(name, mark, {"n": n}); n += 1
        if n % 20 == 0: time.sleep(0.01)
threads = [threading.Thread(target=busy, args=(f"parent-{n}",)) for n in range(3)]
for thread in threads: thread.start()
for number in range(20):
    child = os.fork()
    if child == 0:
        for n in range(20): client.track(f"child-{number}", mark, {"n": n})
        client.close()
        stats = client.stats()
        os._exit(0 if stats.delivered == stats.enqueued == 20 else 1)
    assert os.waitpid(child, 0)[1] == 0
over.set()
for thread in threads: thread.join()
client.close()
stats = client.stats()
assert stats.delivered == stats.enqueued, stats
print(stats.delivered)
"""
    printed = run(program, server.host, mark)
    server.wait_for_count(20 * 20 + int(printed), f"event = '{mark}'")
