"""The disk, or the right to use it, fails under the spool."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from account import Auditor
from momsflow import Client, ConfigError, spool
from momsflow.segment import SegmentWriter, decode_lines
from momsflow.spool import Spool
from momsflow.spooler import Spiller
from server import WRITE_KEY, Server
from test_spool import NOWHERE, _folder, files
from waiting import PATIENCE, wait_until


def leave(folder: Path, mark: str, host: str) -> None:
    """Leaves ten events in one file, as a process does that ends while the server is away."""
    with Client(WRITE_KEY, NOWHERE, spool_dir=folder, flush_interval=3600) as client:
        for n in range(10):
            client.track("u-1", mark, {"n": n})
    _folder(folder, NOWHERE).rename(_folder(folder, host))


def unreadable(monkeypatch: pytest.MonkeyPatch, bad: list[Path], number: int) -> list[Path]:
    """What was asked for in vain is in the list."""
    read = Path.read_bytes
    refused: list[Path] = []

    def read_bytes(path: Path) -> bytes:
        if path in bad:
            refused.append(path)
            raise OSError(number, os.strerror(number))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    return refused


def test_a_segment_that_cannot_be_read_does_not_stop_the_others(
    server: Server, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Spool(tmp_path, 10**9, "never")
    bad: list[Path] = []
    unreadable(monkeypatch, bad, errno.EIO)
    for n in range(2):
        own.append([b"%d" % n])
        own._seal()
    bad.append(files(tmp_path)[0])
    found = own.oldest(0)
    assert found == (bad[0], [], 1), "the event is counted as damaged"
    own.remove(bad[0])
    assert own.oldest(0) == (files(tmp_path)[0], [b"1"], 0)
    assert [path.name for path in files(tmp_path, "*.unreadable")] == [bad[0].with_suffix(".unreadable").name]
    own.close()


def test_what_a_dead_process_left_is_taken_over_but_for_what_cannot_be_read(
    server: Server, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        leave(tmp_path / str(number), mark, server.host)
    folder = _folder(tmp_path / "0", server.host)
    for path in _folder(tmp_path / "1", server.host).iterdir():
        shutil.move(path, folder)
    unreadable(monkeypatch, [files(folder)[0]], errno.EIO)
    with Client(WRITE_KEY, server.host, spool_dir=tmp_path / "0") as client, Auditor(client):
        wait_until(lambda: client.stats().delivered == 10)
    assert not files(folder)
    assert len(files(folder, "*.unreadable")) == 1


def test_a_process_that_is_short_of_files_tries_again(
    server: Server, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave(tmp_path, mark, server.host)
    monkeypatch.setattr("momsflow.sender.TAKE_OVER_INTERVAL", 0.1)
    bad = files(tmp_path)
    refused = unreadable(monkeypatch, bad, errno.EMFILE)
    with Client(WRITE_KEY, server.host, spool_dir=tmp_path) as client, Auditor(client):
        wait_until(lambda: len(refused) > 1)
        assert client.stats().enqueued == 0
        bad.clear()
        wait_until(lambda: client.stats().delivered == 10)
    assert not files(tmp_path, "*.unreadable")


@pytest.mark.parametrize("policy", ["interval", "always"])
def test_a_disk_that_cannot_be_written_through_keeps_the_account(
    mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, policy: str
) -> None:
    def fail(_descriptor: int) -> None:
        raise OSError(errno.EIO, "the disk fails")

    monkeypatch.setattr(spool, "SYNC_INTERVAL", 0.02)
    client = Client(WRITE_KEY, NOWHERE, spool_dir=tmp_path, spool_above=0, spool_sync=policy, exit_timeout=0.3)
    client.track("u-1", mark)
    assert client.flush(PATIENCE)
    monkeypatch.setattr(SegmentWriter, "sync", fail)
    with client, Auditor(client):
        for n in range(100):
            client.track("u-1", mark, {"n": n})
            time.sleep(0.002)
        wait_until(lambda: "the disk fails" in (client.stats().last_error or ""))
    stats = client.stats()
    assert stats.spooled == sum(len(decode_lines(path.read_bytes())[0]) for path in files(tmp_path))
    assert stats.spooled + stats.dropped == 101


def test_the_spooler_outlives_what_nobody_has_thought_of(
    mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[Spiller] = []
    sync = Spiller._sync

    def fail_once(spiller: Spiller) -> None:
        if not failed:
            failed.append(spiller)
            raise RuntimeError("nobody has thought of this")
        sync(spiller)

    monkeypatch.setattr(Spiller, "_sync", fail_once)
    client = Client(WRITE_KEY, NOWHERE, spool_dir=tmp_path, spool_above=0, exit_timeout=0.3)
    with client, Auditor(client):
        client.track("u-1", mark)
        wait_until(lambda: failed)
        client.track("u-1", mark)
        assert client.flush(PATIENCE)
        assert client.stats().spooled == 2


def test_half_a_line_that_cannot_be_cut_off_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Spool(tmp_path, 10**9, "never")
    own.append([b"first"])
    write = os.write

    def write_some(descriptor: int, data: memoryview) -> int:
        if len(data) < 8:
            raise OSError(errno.ENOSPC, "full")
        return write(descriptor, data[: len(data) - 4])

    def truncate(_descriptor: int, _size: int) -> None:
        raise OSError(errno.EIO, "the disk fails")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", write_some)
        patch.setattr(os, "ftruncate", truncate)
        with pytest.raises(OSError, match="disk fails"):
            own.append([b"second"])
    own.append([b"second"])
    found = []
    while (segment := own.oldest(0)) is not None:
        found.append(segment[1:])
        own.remove(segment[0])
    assert found == [([b"first"], 0), ([b"second"], 0)]


def test_with_a_spool_for_all_no_event_waits_in_memory_for_a_server_that_hangs(
    mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Spool.append

    def append_slowly(own: Spool, payloads: list[bytes]) -> None:
        time.sleep(0.1)
        append(own, payloads)

    monkeypatch.setattr(Spool, "append", append_slowly)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        host = f"http://127.0.0.1:{silent.getsockname()[1]}"
        client = Client(WRITE_KEY, host, spool_dir=tmp_path, spool_above=0, flush_interval=0.001, exit_timeout=0.3)
        with client, Auditor(client):
            for n in range(2000):
                client.track("u-1", mark, {"n": n})
                if n % 100 == 0:
                    time.sleep(0.01)
            assert client.flush(PATIENCE)
            assert client.stats().spooled == 2000


def test_the_folder_stays_where_it_was_when_the_process_goes_elsewhere(
    mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    client = Client(WRITE_KEY, NOWHERE, spool_dir="spool", exit_timeout=0.3)
    with client, Auditor(client):
        (tmp_path / "elsewhere").mkdir()
        for _ in range(2):
            client.track("u-1", mark)
            assert client.flush(PATIENCE)
            monkeypatch.chdir(tmp_path / "elsewhere")
        wait_until(lambda: client.stats().retries > 1)
    assert client.stats().spooled == 2
    assert files(tmp_path / "spool")
    assert not files(tmp_path / "elsewhere")


FORKS = f"""
import os, shutil, sys, time
from momsflow import Client
folder, host = sys.argv[1:]
client = Client("{WRITE_KEY}", host, spool_dir=folder, exit_timeout=1)
client.track("parent", "E")
client.flush(60)
child = os.fork()
if child == 0:
    os.setgid(65534)
    os.setuid(65534)
    client.track("child", "E")
    client.close()
    stats = client.stats()
    print(stats.enqueued, stats.delivered + stats.dropped, flush=True)
    os._exit(0)
os.waitpid(child, 0)
grandchild = os.fork()
if grandchild == 0:
    # Whoever made the folder a file: the fork must leave a client that works.
    client.close()
    shutil.rmtree(folder)
    open(folder, "w").close()
    if os.fork() == 0:
        print(client.stats().enqueued, flush=True)
        os._exit(0)
    os.wait()
    os._exit(0)
os.waitpid(grandchild, 0)
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give its rights up")
def test_a_child_without_the_right_to_the_folder_sends_from_memory(server: Server, tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    folder.mkdir(mode=0o700)
    done = subprocess.run(
        [sys.executable, "-c", FORKS, str(folder), server.host], capture_output=True, text=True, check=False
    )
    assert done.stdout == "1 1\n0\n", done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give its rights up")
def test_a_folder_of_another_user_is_refused_when_the_client_is_made() -> None:
    with tempfile.TemporaryDirectory() as root:
        # All may enter, and nobody but root may write.
        os.chmod(root, 0o755)
        _folder(Path(root), NOWHERE).mkdir(mode=0o755)
        child = os.fork()
        if child == 0:
            os.setgid(65534)
            os.setuid(65534)
            try:
                Client(WRITE_KEY, NOWHERE, spool_dir=root)
            except ConfigError as error:
                os._exit(0 if "spool_dir" in str(error) else 2)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0
