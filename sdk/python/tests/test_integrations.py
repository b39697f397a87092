"""The example applications, run by gunicorn, uvicorn and Celery, and what of them is in the event store."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from celery import Celery
from flask import Flask

import momsflow
from application import TESTS, Application
from momsflow.integrations import celery as celery_integration
from momsflow.integrations.asgi import MomsflowMiddleware
from momsflow.integrations.flask import Momsflow
from momsflow.testing import capture
from server import Server
from waiting import wait_until

GUNICORN = (
    "gunicorn",
    "--no-control-socket",
    "--config",
    str(TESTS / "gunicorn_conf.py"),
    # Longer than the tests wait: a worker that does not hear its signal fails them.
    "--graceful-timeout",
    "3600",
    "--preload",
    "--workers",
    "4",
    "--bind",
    "127.0.0.1:{port}",
    "--log-level",
    "warning",
)
UVICORN = ("uvicorn", "--port", "{port}", "--log-level", "warning")
AGENT = "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"


def context_of(server: Server, mark: str, name: str = "Article Viewed") -> dict[str, object]:
    server.wait_for_count(1, f"event = '{name}' and properties->>'content_id' = '{mark}'")
    found = server.sql(
        f"select context || jsonb_build_object('user', user_id, 'anonymous', anonymous_id)"
        f" from events where event = '{name}' and properties->>'content_id' = '{mark}'"
    )
    context = json.loads(found)
    assert isinstance(context, dict)
    return context


@pytest.fixture
def mark(mark: str) -> str:
    """Fit for a path."""
    return mark.replace(" ", "-")


@pytest.fixture
def django(server: Server, tmp_path: Path) -> Iterator[Application]:
    with_database = {"DATABASE": str(tmp_path / "db.sqlite3")}
    application = Application(server, "django_site", *GUNICORN, "magazine.wsgi", **with_database)
    application.run("manage.py", "migrate", "--verbosity", "0")
    with application:
        yield application.wait_until_it_listens().wait_for_workers(4)


def test_flask_under_gunicorn_with_preload_and_four_workers(server: Server, mark: str) -> None:
    with Application(server, "flask_app", *GUNICORN, "app:app") as application:
        application.wait_until_it_listens().wait_for_workers(4)
        for n in range(200):
            application.get(f"/articles/{mark}-{n}")
        body, _ = application.get(f"/articles/{mark}")
        assert '<script async src="https://events.example.com/p.js" data-write-key="public-key"></script>' in body
        _, cookies = application.get("/login/u-flask", "POST")
        application.get(f"/articles/{mark}-signed-in", Cookie=cookies[0])
        application.stop()
    # All workers were stopped with events in their queues.
    server.wait_for_count(202, f"properties->>'content_id' like '{mark}%'")
    assert server.count(f"properties->>'content_id' = '{mark}-signed-in' and user_id = 'u-flask'") == 1
    assert server.count("type = 'identify' and user_id = 'u-flask'") == 1


def test_gunicorns_gevent_workers_deliver_and_still_hear_their_signals(server: Server, mark: str) -> None:
    with Application(server, "flask_app", *GUNICORN, "--worker-class", "gevent", "app:app") as application:
        application.wait_until_it_listens().wait_for_workers(4)
        for n in range(100):
            application.get(f"/articles/{mark}-{n}")
        application.stop()
    server.wait_for_count(100, f"properties->>'content_id' like '{mark}%'")


def test_a_request_gives_its_page_and_nothing_private(server: Server, mark: str) -> None:
    with Application(server, "flask_app", *GUNICORN, "app:app") as application:
        application.wait_until_it_listens().wait_for_workers(4)
        application.get(
            f"/articles/{mark}?token=secret",
            User_Agent=AGENT,
            Referer="https://search.example.com/find?q=illness",
            Accept_Language="de-AT,de;q=0.8",
            Cookie="userprint=v1.k.id.day.tag; session_of_another=secret",
        )
        application.stop()
    context = context_of(server, mark)
    assert context.pop("library")
    anonymous = context.pop("anonymous")
    assert str(anonymous).startswith("request-"), "the cookie is no id before the server has verified it"
    assert context == {
        "page": {
            "path": f"/articles/{mark}",
            "url": f"http://127.0.0.1:{application.port}/articles/{mark}",
            "referrer": "https://search.example.com/find",
        },
        "userAgent": AGENT,
        "locale": "de-AT",
        "userprint_state": "forged",
        "user": None,
    }


def test_the_pixels_visitor_is_the_visitor_of_the_sites_events(server: Server, mark: str) -> None:
    cookie, visitor = server.userprint()
    with Application(server, "flask_app", *GUNICORN, "app:app") as application:
        application.wait_until_it_listens().wait_for_workers(4)
        application.get(f"/articles/{mark}", User_Agent=AGENT, Cookie=f"userprint={cookie}")
        application.get(f"/articles/{mark}-host", User_Agent=AGENT, Cookie=f"userprint=x; __Host-userprint={cookie}")
        application.stop()
    for content in (mark, f"{mark}-host"):
        context = context_of(server, content)
        assert context["anonymous"] == visitor
        assert (context["userprint"], context["userprint_state"]) == (visitor, "returned")


def test_who_opted_out_is_not_counted_as_anybody(server: Server, mark: str) -> None:
    with Application(server, "fastapi_app", *UVICORN, "app:app") as application:
        application.wait_until_it_listens()
        application.get(f"/articles/{mark}", Sec_GPC="1", Cookie="userprint=v1.k.id.day.tag")
        application.get(f"/articles/{mark}", Cookie="userprint=v1.k.id.day.tag; userprint_state=optout")
        application.get(f"/orders/{mark}", "POST", Sec_GPC="1", Cookie="userprint=v1.k.id.day.tag")
        application.get(f"/articles/{mark}-last")
        application.stop()
    server.wait_for_count(1, f"properties->>'content_id' = '{mark}-last'")
    assert server.count(f"properties->>'content_id' = '{mark}'") == 0
    # What a user did under its own name is the platform's record; it carries the signal and no cookie.
    server.wait_for_count(1, f"user_id = '{mark}' and context->>'gpc' = 'true' and not context ? 'userprint'")


def test_fastapi_in_the_loop_and_in_threads(server: Server, mark: str) -> None:
    with Application(server, "fastapi_app", *UVICORN, "app:app") as application:
        application.wait_until_it_listens()
        for n in range(50):
            application.get(f"/articles/{mark}-{n}", User_Agent=AGENT)
            application.get(f"/orders/{mark}-{n}", "POST", User_Agent=AGENT)
        assert application.get("/flush", "POST")[0] == '{"flushed":true}'
        server.wait_for_count(50, f"properties->>'content_id' like '{mark}-%'")
        server.wait_for_count(50, f"user_id like '{mark}-%'")
        paths = f"select count(distinct context#>>'{{page,path}}') from events where user_id like '{mark}-%'"
        assert server.sql(paths) == "50"


def test_django_under_gunicorn_with_preload_and_four_workers(server: Server, django: Application, mark: str) -> None:
    body, _ = django.get(f"/articles/{mark}", User_Agent=AGENT)
    assert '<script async src="https://events.example.com/p.js" data-write-key="public-key"></script>' in body
    cookie, visitor = server.userprint()
    user, cookies = django.get(f"/login/{mark}", Cookie=f"userprint={cookie}")
    session = next(one for one in cookies if one.startswith("sessionid"))
    django.get(f"/articles/{mark}-signed-in", Cookie=session)
    for n in range(100):
        django.get(f"/articles/{mark}-{n}")
    django.stop()
    server.wait_for_count(102, f"properties->>'content_id' like '{mark}%'")
    context = context_of(server, mark)
    assert context["page"] == {"path": f"/articles/{mark}", "url": f"http://127.0.0.1:{django.port}/articles/{mark}"}
    assert context_of(server, f"{mark}-signed-in")["user"] == user
    identified = f"type = 'identify' and user_id = '{user}' and context->>'userprint' = '{visitor}'"
    assert server.count(f"{identified} and traits->>'name' = '{mark}'") == 1
    assert server.count(f"properties->>'content_id' = '{mark}' and properties->>'section' = 'News'") == 1


def test_a_transaction_that_is_rolled_back_sends_nothing(server: Server, django: Application, mark: str) -> None:
    number = abs(hash(mark)) % 10**9
    assert django.get(f"/orders/{number}/works")[0] == "committed"
    assert django.get(f"/orders/{number}/fails")[0] == "rolled back"
    assert django.get(f"/orders/{number + 1}/works")[0] == "committed"
    django.stop()
    server.wait_for_count(1, f"event = 'Order Completed' and properties->>'number' = '{number + 1}'")
    states = f"select properties->>'state' from events where properties->>'number' = '{number}'"
    assert server.sql(states) == "new"


def test_django_under_asgi(server: Server, tmp_path: Path, mark: str) -> None:
    with_database = {"DATABASE": str(tmp_path / "db.sqlite3")}
    application = Application(server, "django_site", *UVICORN, "magazine.asgi:application", **with_database)
    application.run("manage.py", "migrate", "--verbosity", "0")
    with application:
        application.wait_until_it_listens()
        application.get(f"/async/{mark}-async", User_Agent=AGENT)
        application.get(f"/articles/{mark}-sync", User_Agent=AGENT)
        _, cookies = application.get(f"/login/{mark}")
        session = next(one for one in cookies if one.startswith("sessionid"))
        application.get(f"/async/{mark}-known", Cookie=session)
        application.stop()
    for name in ("async", "sync"):
        assert context_of(server, f"{mark}-{name}")["userAgent"] == AGENT
    # The async view has not loaded its user, and asking the database is not the SDK's to do.
    assert context_of(server, f"{mark}-known")["user"] is None


def test_celery_prefork_delivers_before_its_processes_end(server: Server, tmp_path: Path, mark: str) -> None:
    worker = ("celery", "--app", "tasks", "worker", "--pool", "prefork", "--concurrency", "3", "--loglevel", "warning")
    application = Application(server, "celery_app", *worker, BROKER_FOLDER=str(tmp_path), C_FORCE_ROOT="1")
    outbox, queue = tmp_path / "outbox", tmp_path / "queue"
    queue.mkdir()
    program = f"""
import os
os.environ["BROKER_FOLDER"] = {str(outbox)!r}
import momsflow, tasks
for n in range(100):
    with momsflow.request_context({{"page": {{"path": "/{mark}"}}}}, user_id="reader-%d" % n):
        tasks.send_newsletter.delay(n)
with momsflow.request_context({{"page": {{"path": "/{mark}"}}}}, opted_out=True):
    tasks.send_newsletter.delay(1000)
"""

    def send() -> None:
        application.run("-c", program)
        # Into the queue as a whole: this broker's worker takes files that are still being written, and fails.
        for message in (outbox / "queue").iterdir():
            message.rename(queue / message.name)

    with application:
        send()
        where = f"event = 'Newsletter Sent' and context#>>'{{page,path}}' = '/{mark}'"
        server.wait_for_count(100, where)
        send()
        wait_until(lambda: not any(queue.iterdir()))
        # The last tasks may be running; a warm shutdown lets them end.
        application.stop()
    server.wait_for_count(200, where)
    assert server.sql(f"select count(distinct user_id) from events where {where}") == "100"


def test_what_a_visitor_sends_never_makes_an_event_invalid_or_hides_the_opt_out() -> None:
    async def application(_scope: object, _receive: object, _send: object) -> None:
        momsflow.track(event="Read")

    def visit(*cookies: bytes) -> None:
        headers = [(b"host", b"x"), *((b"cookie", cookie) for cookie in cookies)]
        scope = {"type": "http", "path": "/a\0b", "headers": headers}
        asyncio.run(MomsflowMiddleware(application)(scope, None, None))  # type: ignore[arg-type]

    flask = Flask("magazine")
    Momsflow(flask)
    flask.add_url_rule("/<path:_path>", view_func=lambda _path: str(momsflow.track(event="Read")))
    with capture() as events:
        assert (
            flask.test_client(use_cookies=False).get("/a%00b", headers={"Cookie": 'userprint="\\000x"'}).text == "True"
        )
        visit(b'odd={"a", "b"}; userprint=v1.abc')
        visit(b'{"odd": 1}=2; userprint=v1.abc; userprint_state=optout')
        # As HTTP/2 may send them.
        visit(b"userprint_state=optout", b"userprint=v1.abc")
    assert [event["context"]["page"]["path"] for event in events] == ["/ab", "/ab"]
    assert [event["context"]["userprint"] for event in events] == ["x", "v1.abc"]


def test_a_task_that_runs_eagerly_keeps_the_request() -> None:
    celery = Celery("magazine", broker="memory://")
    celery.conf.task_always_eager = True
    celery_integration.connect()

    @celery.task
    def task() -> None:
        momsflow.track(event="In the task")

    with capture() as events, momsflow.request_context({}, user_id="u-1"):
        task.delay()
        momsflow.track(event="After it")
    assert [(event["event"], event["userId"]) for event in events] == [("In the task", "u-1"), ("After it", "u-1")]


class Odd:
    """No JSON."""


@pytest.mark.parametrize("odd", [Odd(), float("nan"), b"bytes", "\ud800", {(1, 2): 3}, uuid4(), date(2026, 11, 24)])
def test_a_task_is_sent_whatever_the_requests_context_holds(odd: object, tmp_path: Path) -> None:
    celery = Celery("magazine", broker="filesystem://")
    celery.conf.broker_transport_options = {
        name: str(tmp_path / "queue") for name in ("data_folder_in", "data_folder_out", "control_folder")
    }
    (tmp_path / "queue").mkdir()
    celery_integration.connect()

    @celery.task
    def task() -> None: ...

    anonymous = uuid4()
    with momsflow.request_context({"odd": odd}, anonymous_id=anonymous):  # type: ignore[arg-type]
        task.delay()
    (message,) = (tmp_path / "queue").glob("*.msg")
    header = json.loads(json.loads(message.read_text())["headers"]["momsflow"])
    assert header["anonymous_id"] == str(anonymous)
    assert ("context" in header) == isinstance(odd, (UUID, date))
