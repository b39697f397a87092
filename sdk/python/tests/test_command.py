"""`python -m momsflow`, and the helper for users' tests."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import momsflow
from momsflow.testing import capture
from server import WRITE_KEY, Server
from waiting import PATIENCE


def command(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "momsflow", *arguments],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
        check=False,
        timeout=PATIENCE,
    )


def test_each_command_delivers_one_event(server: Server, mark: str) -> None:
    environment = {"MOMSFLOW_WRITE_KEY": WRITE_KEY, "MOMSFLOW_HOST": server.host}
    for arguments in (
        ("track", mark, "n=3", "title=Hello world", "name=NaN", "--user", mark, "--json", '{"deep": {"x": 1}}'),
        ("identify", "--user", mark, "plan=pro"),
        ("page", "Home", "--user", mark),
        ("screen", "Start", "--user", mark),
        ("group", "g-1", "size=3", "--user", mark),
        ("alias", "old", "--user", mark),
        ("track", mark, "--user", mark, "--message-id", "00000000-0000-7000-8000-000000000001"),
        ("track", mark, "--user", mark, "--message-id", "00000000-0000-7000-8000-000000000001"),
    ):
        done = command(*arguments, **environment)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    server.wait_for_count(7, f"user_id = '{mark}'")
    properties = server.sql(f"select properties from events where event = '{mark}' and properties ? 'n'")
    assert properties == '{"n": 3, "deep": {"x": 1}, "name": "NaN", "title": "Hello world"}'


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("track", "E"), 2, "user_id or anonymous_id is needed"),
        (("track", "E", "--user", "u", "nonsense"), 2, "is not name=value"),
        (("track", "E", "--user", "u", "--json", "{"), 2, "--json"),
        (("track", "E", "--user", "u", "--timestamp", "noon"), 2, "/timestamp"),
        (("track", "E", "--user", "u", "--timeout", "0.3"), 1, "exit: 1 event(s)"),
        (("alias", "old", "--user", "u", "plan=pro"), 2, "an alias has no NAME=VALUE"),
        (("track", "E", "--user", "u", "--nonsense"), 2, "unrecognized"),
        (("nonsense",), 2, "usage"),
    ],
)
def test_what_goes_wrong_is_said_and_is_the_exit_code(arguments: tuple[str, ...], code: int, says: str) -> None:
    done = command(*arguments, "--write-key", "key", "--host", "http://127.0.0.1:9")
    assert done.returncode == code, done.stderr
    assert says in done.stderr


def test_a_wrong_key_is_a_failure(server: Server) -> None:
    done = command("track", "E", "--user", "u", "--write-key", "wrong", "--host", server.host)
    assert done.returncode == 1
    assert "unknown_key" in done.stderr


def test_cron_may_keep_events_for_its_next_run(server: Server, mark: str, tmp_path: Path) -> None:
    base = ("--user", "u", "--spool-dir", str(tmp_path), "--write-key", WRITE_KEY, "--host")
    done = command("track", mark, *base, "http://127.0.0.1:9")
    assert done.returncode == 0
    assert "1 event(s) wait" in done.stderr
    from momsflow.spool import folder_for

    folder_for(tmp_path, "http://127.0.0.1:9", WRITE_KEY).rename(folder_for(tmp_path, server.host, WRITE_KEY))
    done = command("track", mark, *base, server.host)
    assert (done.returncode, done.stderr) == (0, "")
    server.wait_for_count(2, f"event = '{mark}'")


def test_capture_records_from_all_threads_and_needs_nothing() -> None:
    with capture() as events:
        momsflow.identify("u-1", {"plan": "pro"})
        thread = threading.Thread(target=lambda: momsflow.track("u-1", "Article Read", {"content_id": "a-1"}))
        thread.start()
        thread.join()
        with capture() as inner:
            momsflow.track("u-1", "Inner")
    momsflow.close()
    assert [event["event"] for event in inner] == ["Inner"]
    assert len(events) == 2
    assert events.named("Article Read")[0]["properties"] == {"content_id": "a-1"}
    assert events.of_type("identify")[0]["traits"] == {"plan": "pro"}
