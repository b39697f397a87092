"""Events on disk: bounded, checksummed, shared by processes, taken over from dead ones."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

import pytest

from account import Auditor
from momsflow import Client, ConfigError, Failure
from momsflow.queue import EventQueue, Limits, Outcome
from momsflow.segment import SUFFIX, decode_lines, encode_lines
from momsflow.spool import Spool, SpoolFull, _read, folder_for
from server import WRITE_KEY, Server
from waiting import PATIENCE, wait_until

NOWHERE = "http://127.0.0.1:9"

PROGRAM = f"""
import os, sys, time
from momsflow import Client
host, mark, folder, sync, left = sys.argv[1:6]
client = Client("{WRITE_KEY}", host, strict=True, spool_dir=folder, spool_sync=sync, spool_above=0, flush_interval=0.01)
for n in range(3000):
    client.track("u-1", mark, {{"n": n}})
assert client.flush({PATIENCE})
while client.stats().recovered < int(left): time.sleep(0.01)
print(client.stats().spooled, flush=True)
for n in range(3000, 10**9):
    client.track("u-1", mark, {{"n": n}})
    time.sleep(0.0002)
"""


def files(folder: Path, pattern: str = f"*{SUFFIX}") -> list[Path]:
    return sorted(folder.rglob(pattern))


def test_what_was_fsynced_survives_a_kill_and_arrives_once(server: Server, mark: str, tmp_path: Path) -> None:
    for left in (0, 3000):
        command = [sys.executable, "-c", PROGRAM, NOWHERE, mark, str(tmp_path), "always", str(left)]
        victim = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert victim.stdout is not None
        spooled = int(victim.stdout.readline())
        time.sleep(0.3)
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        victim.stdout.close()
        # The second takes over what the first left.
        assert spooled == 3000 if left == 0 else spooled >= 6000
    # The folder is that of the server's address, so the spool of a dead server moves with its folder's name.
    Path(files(tmp_path)[0].parent).rename(_folder(tmp_path, server.host))
    with Client(WRITE_KEY, server.host, spool_dir=tmp_path) as client, Auditor(client):
        wait_until(lambda: client.stats().delivered >= 6000 and client.stats().spooled == 0)
        stats = client.stats()
        assert stats.recovered == stats.delivered
    assert not files(tmp_path)
    assert not files(tmp_path, "*.lock")
    server.wait_for_count(stats.delivered, f"event = '{mark}'")
    for n in (0, 2999):
        assert server.count(f"event = '{mark}' and (properties->>'n')::int = {n}") == 2


def _folder(root: Path, host: str) -> Path:
    return folder_for(root, host, WRITE_KEY)


def test_a_server_that_is_away_sends_all_to_disk_and_gets_it_when_it_is_back(
    own_server: Server, mark: str, tmp_path: Path
) -> None:
    client = Client(WRITE_KEY, own_server.host, spool_dir=tmp_path, flush_interval=0.02)
    with client, Auditor(client):
        client.track("u-1", mark, {"n": 0})
        assert client.flush(PATIENCE)
        own_server.kill()
        for n in range(1, 1000):
            client.track("u-1", mark, {"n": n})
        assert client.flush(PATIENCE)
        assert client.stats().spooled == 999
        own_server.start()
        for n in range(1000, 1100):
            client.track("u-1", mark, {"n": n})
        wait_until(lambda: client.stats().delivered == 1100)
    assert not files(tmp_path)
    own_server.wait_for_count(1100, f"event = '{mark}'")


def test_an_exit_leaves_on_disk_what_the_next_process_sends(server: Server, mark: str, tmp_path: Path) -> None:
    folder = _folder(tmp_path, server.host)
    # What is safe need not be waited for: this exit would take longer than the test may.
    with Client(WRITE_KEY, NOWHERE, spool_dir=tmp_path, exit_timeout=3600) as client:
        for n in range(500):
            client.track("u-1", mark, {"n": n})
    stats = client.stats()
    assert (stats.spooled, stats.dropped, stats.pending) == (500, 0, 0)
    _folder(tmp_path, NOWHERE).rename(folder)
    with Client(WRITE_KEY, server.host, spool_dir=tmp_path) as client:
        wait_until(lambda: client.stats().delivered == 500)
    server.wait_for_count(500, f"event = '{mark}'")


def test_many_processes_share_a_folder(server: Server, mark: str, tmp_path: Path) -> None:
    """Each with its own account; some are killed, and the others send what those left."""
    program = PROGRAM.replace("range(3000, 10**9)", "range(3000, 3600)").replace("print(", "print(os.getpid(), ")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, server.host, f"{mark} {n}", str(tmp_path), "always", "0"],
            stdout=subprocess.PIPE,
        )
        for n in range(4)
    ]
    for process in processes[:2]:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    for process in processes:
        process.wait(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()
    with Client(WRITE_KEY, server.host, spool_dir=tmp_path) as client:
        wait_until(lambda: not files(tmp_path))
        assert client.stats().pending == 0
    for n, process in enumerate(processes):
        # What was flushed was on disk or delivered.
        expected = 3600 if process.returncode == 0 else 3000
        count = f"select count(*) >= {expected} and count(distinct properties->>'n') = count(*) from events"
        server.wait_for(f"{count} where event = '{mark} {n}'", "t")


def test_the_spools_of_other_servers_and_keys_are_left_alone(server: Server, mark: str, tmp_path: Path) -> None:
    with Client("wk_other", NOWHERE, spool_dir=tmp_path, exit_timeout=0.5) as client:
        client.track("u-1", mark)
    with Client(WRITE_KEY, server.host, spool_dir=tmp_path) as client:
        client.track("u-2", mark)
        assert client.flush(PATIENCE)
        assert client.stats().recovered == 0
    assert len(files(tmp_path)) == 1


def test_a_damaged_line_costs_one_event(server: Server, mark: str, tmp_path: Path) -> None:
    failures: list[Failure] = []
    # All go into one file, since nothing is sent before the close.
    with Client(WRITE_KEY, NOWHERE, spool_dir=tmp_path, flush_interval=3600) as client:
        for n in range(100):
            client.track("u-1", mark, {"n": n})
    (path,) = files(tmp_path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data) + b"a line that was being writ")
    path.parent.rename(_folder(tmp_path, server.host))
    with Client(WRITE_KEY, server.host, spool_dir=tmp_path, on_error=failures.append) as client, Auditor(client):
        wait_until(lambda: client.stats().delivered == 99)
        assert client.stats().dropped_by == {"spool_damaged": 1}
    assert [failure.reason for failure in failures] == ["spool_damaged"]
    server.wait_for_count(99, f"event = '{mark}'")


def test_the_folder_is_bounded_and_memory_then_drops_the_newest(mark: str, tmp_path: Path) -> None:
    options = {
        "spool_max_bytes": 200_000,
        "max_queue_bytes": 300_000,
        "max_event_bytes": 9000,
        "spool_above": 0,
        "exit_timeout": 0.5,
    }
    client = Client(WRITE_KEY, NOWHERE, spool_dir=tmp_path, **options)
    with client, Auditor(client):
        for n in range(3000):
            client.track("u-1", mark, {"n": n, "text": "x" * 300})
        wait_until(lambda: client.stats().spooled > 100)
        assert client.stats().dropped_by["queue_full"] > 500
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 200_000
    assert client.stats().dropped_by["exit"] > 0


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_full_disk_loses_nothing_that_memory_can_hold(server: Server, mark: str, tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", str(disk)], check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        client = Client(WRITE_KEY, NOWHERE, spool_dir=disk, spool_sync="always", spool_above=0, exit_timeout=0.3)
        with client, Auditor(client):
            for n in range(2000):
                client.track("u-1", mark, {"n": n, "text": "x" * 300})
                if n % 100 == 0:
                    time.sleep(0.02)
            wait_until(lambda: client.stats().spooled > 100)
            stats = client.stats()
            assert stats.spooled + stats.pending == 2000
            assert stats.pending > 100
        stats = client.stats()
        # Whole lines only, although the disk ended in the middle of one.
        for path in files(disk):
            assert decode_lines(path.read_bytes())[1] == 0
        assert stats.spooled + stats.dropped_by["exit"] == 2000
        _folder(disk, NOWHERE).rename(_folder(disk, server.host))
        with Client(WRITE_KEY, server.host, spool_dir=disk) as client:
            wait_until(lambda: client.stats().delivered == stats.spooled)
        server.wait_for_count(stats.spooled, f"event = '{mark}'")
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_events_that_all_go_through_the_disk_still_go_in_batches(server: Server, mark: str, tmp_path: Path) -> None:
    begun = time.monotonic()
    client = Client(WRITE_KEY, server.host, spool_dir=tmp_path, spool_above=0, flush_interval=0.2)
    with client, Auditor(client):
        for n in range(300):
            client.track("u-1", mark, {"n": n})
            time.sleep(0.003)
        wait_until(lambda: client.stats().delivered == 300)
        # A batch waits for its interval at least; slowness only makes them fewer.
        assert client.stats().requests <= (time.monotonic() - begun) / 0.2 + 1


def test_an_event_that_comes_to_disk_as_the_sender_looks_waits_for_others(
    server: Server, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(
        WRITE_KEY, server.host, spool_dir=tmp_path, spool_above=0, flush_interval=3600, exit_timeout=PATIENCE
    )
    look = Spool.oldest
    looked: list[object] = []

    def oldest(own: Spool, interval: float) -> object:
        if not looked:
            # Between the sender's question whether there is anything to wait for, and its look.
            client.track("u-1", mark)
            wait_until(lambda: client.stats().spooled == 1)
        found = look(own, interval)
        looked.append(found)
        return found

    monkeypatch.setattr(Spool, "oldest", oldest)
    with client, Auditor(client):
        client.engine.start()
        wait_until(lambda: looked)
        client.track("u-1", mark)
        assert client.flush(PATIENCE)
    assert looked[0] is None
    stats = client.stats()
    assert (stats.delivered, stats.requests) == (2, 1)


def test_an_event_that_comes_to_disk_after_the_sender_looked_is_not_left_there(
    server: Server, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("momsflow.sender.TAKE_OVER_INTERVAL", 3600)
    client = Client(
        WRITE_KEY, server.host, spool_dir=tmp_path, spool_above=0, flush_interval=0.1, exit_timeout=PATIENCE
    )
    look = Spool.oldest
    looked: list[object] = []

    def oldest(own: Spool, interval: float) -> object:
        found = look(own, interval)
        if not looked:
            looked.append(found)
            # Between the sender's look and its wait. Nobody wakes it after that.
            client.track("u-1", mark)
            wait_until(lambda: client.stats().spooled == 1)
        return found

    monkeypatch.setattr(Spool, "oldest", oldest)
    with client, Auditor(client):
        client.engine.start()
        wait_until(lambda: client.stats().delivered == 1)
    assert looked == [None]


def test_the_spool_is_never_seen_empty_while_a_segment_is_sealed(tmp_path: Path) -> None:
    """Others look without its lock: the sender, and the spooler, whose thread must not end because of what it sees."""
    spool = Spool(tmp_path, 10**9, "never")
    spool.append([b"event"])
    seen: list[tuple[bool, float]] = []

    def look(frame: FrameType, event: str, _argument: object) -> object:
        if event == "line":
            seen.append((spool.has_events(), spool.time_to_grow(0)))
        return look

    def trace(frame: FrameType, _event: str, _argument: object) -> object:
        return look if frame.f_code is Spool._seal.__code__ else None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        spool._seal()
    finally:
        sys.settrace(before)
    assert len(seen) > 5
    assert set(seen) == {(True, 0.0)}
    spool.close()


def test_a_fork_leaves_the_parents_spool_to_the_parent(mark: str, tmp_path: Path) -> None:
    client = Client(WRITE_KEY, NOWHERE, spool_dir=tmp_path, spool_above=0, exit_timeout=0.5)
    client.track("parent", mark)
    assert client.flush(PATIENCE)
    child = os.fork()
    if child == 0:
        spool = client.engine
        ok = client.stats().enqueued == 0 and client.track("child", mark) and client.flush(PATIENCE)
        ok = ok and client.stats().spooled == 1 and spool is client.engine
        client.close()
        os._exit(0 if ok else 1)
    assert os.waitpid(child, 0)[1] == 0
    # The child's lock is free by now; the parent's is its own still, and not the child's.
    other = Spool(_folder(tmp_path, NOWHERE), 10**9, "never")
    assert other.take_over() == 1
    other.close()
    client.close()
    assert client.stats().spooled == 1


def test_a_full_spool_writes_nothing(tmp_path: Path) -> None:
    spool = Spool(tmp_path, 100, "never")
    spool.append([b"x" * 50])
    with pytest.raises(SpoolFull):
        spool.append([b"y" * 50])
    found = spool.oldest(0)
    assert found is not None
    assert found[1] == [b"x" * 50]
    spool.remove(found[0])
    spool.append([b"y" * 50])
    spool.close()
    assert decode_lines(files(tmp_path)[0].read_bytes()) == ([b"y" * 50], 0)


def test_lines_survive_any_text() -> None:
    payloads = ['{"a":"ä\\n"}'.encode(), b"", b"x" * 100_000]
    assert decode_lines(encode_lines(payloads)) == (payloads, 0)


def test_events_given_back_keep_apart_from_those_in_other_hands() -> None:
    """A full disk gives back what the spooler took, while the sender holds what came after it."""
    queue = EventQueue(Limits(10**6, 10, 10**6, 0))
    for n in range(30):
        queue.put(b"%d" % n)
    with queue.lock:
        first, second = queue.take_locked(), queue.take_locked()
    queue.give_back(first)
    with queue.lock:
        again = queue.take_locked()
        third = queue.take_locked()
    assert queue.snapshot().pending == 30
    flushed: list[bool] = []
    queue.when_settled(lambda: flushed.append(True))
    for held in (second, third, again):
        assert not flushed
        assert queue.settle(held, list(held.payloads), Outcome(delivered=10))
    assert flushed
    stats = queue.snapshot()
    assert (stats.delivered, stats.pending, queue.waits_locked()) == (30, 0, False)


def test_a_folder_that_somebody_deletes_is_made_again(server: Server, mark: str, tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    client = Client(WRITE_KEY, NOWHERE, spool_dir=folder, spool_above=0, exit_timeout=0.5)
    with client, Auditor(client):
        shutil.rmtree(folder)
        for n in range(50):
            client.track("u-1", mark, {"n": n})
        assert client.flush(PATIENCE)
    assert client.stats().spooled == 50
    _folder(folder, NOWHERE).rename(_folder(folder, server.host))
    with Client(WRITE_KEY, server.host, spool_dir=folder) as client:
        wait_until(lambda: client.stats().delivered == 50)


def test_a_segment_that_somebody_deletes_does_not_stop_the_others(
    own_server: Server, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_server.kill()
    failures: list[Failure] = []

    def read_what_is_left(path: Path) -> bytes:
        if not failures:
            path.unlink(missing_ok=True)
        return _read(path)

    monkeypatch.setattr("momsflow.spool._read", read_what_is_left)
    client = Client(WRITE_KEY, own_server.host, spool_dir=tmp_path, on_error=failures.append)
    with client, Auditor(client):
        client.track("u-1", mark)
        assert client.flush(PATIENCE)
        wait_until(lambda: failures)
        assert client.stats().spooled == 0
        own_server.start()
        client.track("u-1", mark)
        assert client.flush(PATIENCE)
        wait_until(lambda: client.stats().delivered == 1)
    assert client.stats().dropped_by == {"spool_damaged": 1}
    assert [failure.reason for failure in failures] == ["spool_damaged"]


def test_a_place_that_is_no_folder_is_refused_when_the_client_is_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="spool_dir"):
        Client(WRITE_KEY, NOWHERE, spool_dir=tmp_path / "file" / "spool")
