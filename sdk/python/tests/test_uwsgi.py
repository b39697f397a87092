"""uWSGI, which ends its workers in ways of its own. With the settings that the README names nothing is lost."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from application import EXAMPLES, TESTS, Application
from server import Server

INI = str(EXAMPLES / "flask_app" / "uwsgi.ini")
pytestmark = pytest.mark.skipif(not Path(sys.executable).with_name("uwsgi").exists(), reason="uWSGI is not installed")


#: A worker says when it hears its signals: one that comes before is lost.
READY = ("--hook-accepting", 'exec:touch "$READY/$PPID"')


def uwsgi(server: Server, *options: str) -> Application:
    return Application(server, "flask_app", "uwsgi", "--http-socket", "127.0.0.1:{port}", *READY, *options)


@pytest.mark.parametrize("options", [(), ("--threads", "3"), ("--lazy-apps",)])
def test_a_worker_that_is_busy_at_its_sigterm_still_delivers(
    server: Server, mark: str, options: tuple[str, ...]
) -> None:
    mark = mark.replace(" ", "-")
    # Given later they count instead of the file's.
    own = ("--module", "uwsgi_app", "--pythonpath", str(TESTS), "--processes", "1")
    application = uwsgi(server, "--ini", INI, *own, *options)
    with application:
        application.wait_until_it_listens().wait_for_workers(1)
        assert application.get(f"/{mark}")[0] == "answer"
        assert application.process is not None
        application.process.terminate()
        (application.ready / "sigterm").touch()
        application.stop()
    server.wait_for_count(1, f"event = '{mark}'")


@pytest.mark.parametrize("attempt", range(2))
def test_a_sigterm_right_after_the_last_answer_loses_nothing(server: Server, mark: str, attempt: int) -> None:
    mark = mark.replace(" ", "-")
    with uwsgi(server, "--ini", INI) as application:
        application.wait_until_it_listens().wait_for_workers(4)
        for n in range(100):
            application.get(f"/articles/{mark}-{n}")
        application.stop()
    server.wait_for_count(100, f"properties->>'content_id' like '{mark}-%'")
