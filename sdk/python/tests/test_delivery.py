"""The whole path: a call becomes a row."""

from __future__ import annotations

import json

from momsflow import Client
from server import WRITE_KEY, Server
from waiting import PATIENCE


def test_each_call_is_one_row_as_it_was_given(server: Server, mark: str) -> None:
    with Client(WRITE_KEY, server.host, strict=True) as client:
        client.track("u-1", mark, {"n": 1, "text": "Grüße 🎈"}, {"app": mark})
        client.identify("u-1", {"plan": "pro"}, {"app": mark}, anonymous_id="a-1")
        client.page("u-1", "Front", "Home", {"path": "/"}, {"app": mark})
        client.screen("u-1", None, "Start", None, {"app": mark})
        client.group("u-1", "g-1", {"size": 3}, {"app": mark})
        client.alias("old", "u-1", {"app": mark})
        assert client.flush(PATIENCE)
        assert client.stats().delivered == 6
    server.wait_for_count(6, f"context->>'app' = '{mark}'")
    rows = server.sql(
        "select type, coalesce(event, name), user_id, anonymous_id, group_id, previous_id,"
        " properties::text, traits::text"
        f" from events where context->>'app' = '{mark}' order by event_id"
    ).splitlines()
    assert rows[0].split("|")[:3] == ["track", mark, "u-1"]
    assert json.loads(rows[0].split("|")[6]) == {"n": 1, "text": "Grüße 🎈"}
    assert rows[1].startswith('identify||u-1|a-1||||{"plan": "pro"}')
    assert rows[2].startswith('page|Home|u-1||||{"path": "/"}')
    assert rows[3].startswith("screen|Start|u-1")
    assert rows[4].startswith("group||u-1||g-1|")
    assert rows[5].startswith("alias||u-1|||old|")


def test_nothing_is_left_behind_after_many_calls(server: Server, mark: str) -> None:
    with Client(WRITE_KEY, server.host, strict=True) as client:
        for n in range(20_000):
            client.track(f"u-{n % 100}", mark, {"n": n})
        assert client.flush(PATIENCE)
    stats = client.stats()
    assert (stats.enqueued, stats.delivered, stats.pending) == (20_000, 20_000, 0)
    server.wait_for_count(20_000, f"event = '{mark}'")
    assert server.sql(f"select count(distinct properties->>'n') from events where event = '{mark}'") == "20000"
