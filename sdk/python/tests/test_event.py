"""What a call becomes: values, ids, times, and the misuse that raises."""

from __future__ import annotations

import dataclasses
import enum
import json
import re
import threading
import time
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import pytest

import momsflow
from momsflow import Client, InvalidEvent
from momsflow.testing import capture
from momsflow.uuid7 import Stamps

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture
def client() -> Client:
    return Client("key", "http://127.0.0.1:9", strict=True)


class Colour(enum.Enum):
    RED = "red"


class Text(str, enum.Enum):
    A = "a"


class Level(enum.IntEnum):
    HIGH = 3


@dataclasses.dataclass
class Article:
    id: str
    published: date


class Row(Mapping[str, Any]):
    def __getitem__(self, name: str) -> Any:
        return {"a": 1}[name]

    def __iter__(self) -> Any:
        return iter(["a"])

    def __len__(self) -> int:
        return 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc), "2026-11-24T12:00:00+00:00"),
        (datetime(2026, 11, 24, 12, 0), "2026-11-24T12:00:00"),
        (date(2026, 11, 24), "2026-11-24"),
        (timedelta(minutes=1.5), 90.0),
        (Decimal("19.90"), 19.9),
        (Decimal("7"), 7.0),
        (Decimal("0.1234567890123456789012345"), "0.1234567890123456789012345"),
        (UUID("018f0000-0000-7000-8000-000000000000"), "018f0000-0000-7000-8000-000000000000"),
        (Colour.RED, "red"),
        (Level.HIGH, 3),
        ({3, 1, 2}, [1, 2, 3]),
        (frozenset({"b", "a"}), ["a", "b"]),
        ((1, "a"), [1, "a"]),
        (Article("a-1", date(2026, 1, 2)), {"id": "a-1", "published": "2026-01-02"}),
        (Row(), {"a": 1}),
        (PurePosixPath("/a/b"), "/a/b"),
        ({1: "one", None: "none"}, {"1": "one", "null": "none"}),
        ({Text.A: Text.A}, {"a": "a"}),
        ("Grüße 🎈 \\u0000 \\\\u0000", "Grüße 🎈 \\u0000 \\\\u0000"),
        (10**30, 10**30),
    ],
)
def test_a_value_is_encoded(client: Client, value: object, expected: object) -> None:
    with capture() as events:
        assert client.track("u-1", "E", {"x": [value]})
    assert events[0]["properties"] == {"x": [expected]}


def _cycle() -> dict[str, Any]:
    value: dict[str, Any] = {"a": []}
    value["a"].append(value)
    return value


@pytest.mark.parametrize(
    ("value", "place", "detail"),
    [
        (float("nan"), "/properties/x/0", "nan"),
        (float("-inf"), "/properties/x/0", "inf"),
        (Decimal("NaN"), "/properties/x/0", "NaN"),
        (b"bytes", "/properties/x/0", "bytes"),
        (object(), "/properties/x/0", "object"),
        ({(1, 2): 3}, "/properties/x/0", "key"),
        ({"a/b~": {"deep": object()}}, "/properties/x/0/a~1b~0/deep", "object"),
        (_cycle(), "/properties/x/0/a/0", "itself"),
        ("nul \0", "/properties/x/0", "NUL"),
        ("\\\0", "/properties/x/0", "NUL"),
        ("half \ud800", "/properties/x/0", "surrogate"),
        ({"half \ud800": 1}, "/properties/x/0/half \ud800", "surrogate"),
    ],
)
def test_what_json_does_not_have_is_named(client: Client, value: object, place: str, detail: str) -> None:
    with pytest.raises(InvalidEvent) as raised:
        client.track("u-1", "E", {"x": [value]})
    assert raised.value.pointer == place
    assert detail in raised.value.detail
    assert client.track("u-1", "E", {"x": ["fine"]}), "a fault leaves nothing behind in the encoder"


@pytest.mark.parametrize(
    ("call", "place"),
    [
        (lambda c: c.track(None, "E"), ""),
        (lambda c: c.track("", "E"), ""),
        (lambda c: c.track(True, "E"), "/userId"),
        (lambda c: c.track(1.5, "E"), "/userId"),
        (lambda c: c.track("u" * 513, "E"), "/userId"),
        (lambda c: c.track("u\0", "E"), "/userId"),
        (lambda c: c.track("u-1", ""), "/event"),
        (lambda c: c.track("u-1"), "/event"),
        (lambda c: c.track("u-1", 5), "/event"),
        (lambda c: c.track("u-1", "E", ["list"]), "/properties"),
        (lambda c: c.track("u-1", "E", context="text"), "/context"),
        (lambda c: c.track("u-1", "E", timestamp="yesterday"), "/timestamp"),
        (lambda c: c.track("u-1", "E", timestamp="2026-11-24T12:00:00"), "/timestamp"),
        (lambda c: c.track("u-1", "E", timestamp=1732449600), "/timestamp"),
        (lambda c: c.track("u-1", "E", timestamp="٢٠٢٦-11-24T12:00:00Z"), "/timestamp"),
        (lambda c: c.track("u-1", "E", message_id=""), "/messageId"),
        (lambda c: c.identify("u-1", "traits"), "/traits"),
        (lambda c: c.group("u-1"), "/groupId"),
        (lambda c: c.alias(None, "u-1"), "/previousId"),
        (lambda c: c.alias("old"), ""),
        (lambda c: c.page("u-1", name=""), "/name"),
        (lambda c: c.track("u-1", "E", {"text": "x" * 300_000}), ""),
    ],
)
def test_misuse_raises_in_development_and_is_counted_in_production(call: Any, place: str) -> None:
    with pytest.raises(InvalidEvent) as raised:
        call(Client("key", "http://127.0.0.1:9", strict=True))
    assert raised.value.pointer == place
    lenient = Client("key", "http://127.0.0.1:9", strict=False)
    assert call(lenient) is False
    stats = lenient.stats()
    assert (stats.invalid, stats.enqueued) == (1, 0)


class Broken(Exception):
    def __str__(self) -> str:
        raise RuntimeError("even its text")


@pytest.mark.parametrize("error", [RuntimeError("broken"), Broken()])
def test_a_broken_hook_or_object_never_raises_in_production(error: Exception) -> None:
    def hook(value: object) -> object:
        raise error

    client = Client("key", "http://127.0.0.1:9", strict=False, default=hook)
    assert client.track("u-1", "E", {"x": object()}) is False
    assert client.stats().invalid == 1


def test_an_id_that_is_an_enum_is_its_value(client: Client) -> None:
    with capture() as events:
        client.track(Text.A, Text.A, anonymous_id=Level.HIGH)
    assert (events[0]["userId"], events[0]["event"], events[0]["anonymousId"]) == ("a", "a", "3")


def test_a_hook_encodes_what_is_unknown(client: Client) -> None:
    client = Client("key", "http://127.0.0.1:9", strict=True, default=lambda value: {"type": type(value).__name__})
    with capture() as events:
        client.track("u-1", "E", {"x": object(), "y": date(2026, 1, 1)})
    assert events[0]["properties"] == {"x": {"type": "object"}, "y": "2026-01-01"}


def test_what_changes_after_the_call_does_not_change_the_event(client: Client) -> None:
    properties = {"list": [1]}
    with capture() as events:
        client.track("u-1", "E", properties)
        properties["list"].append(2)
    assert events[0]["properties"] == {"list": [1]}


def test_ids_and_times_are_made_in_the_call(client: Client) -> None:
    before = time.time()
    with capture() as events:
        for _ in range(1000):
            client.track("u-1", "E")
    ids = [event["messageId"] for event in events]
    assert len(set(ids)) == 1000
    assert ids == sorted(ids), "ids of one thread sort in the order of the calls"
    assert all(UUID7.fullmatch(one) for one in ids)
    moment = datetime.fromisoformat(events[0]["timestamp"].replace("Z", "+00:00")).timestamp()
    assert before - 0.001 <= moment <= time.time()
    assert int(ids[0].replace("-", "")[:12], 16) == round(moment * 1000)


def test_ids_of_many_threads_differ() -> None:
    stamps = Stamps()
    found: list[list[str]] = [[] for _ in range(8)]

    def make(ids: list[str]) -> None:
        ids.extend(stamps.next()[0] for _ in range(5000))

    threads = [threading.Thread(target=make, args=(ids,)) for ids in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({one for ids in found for one in ids}) == 40_000


def test_what_a_caller_names_wins(client: Client) -> None:
    local = datetime(2026, 7, 1, 12, 0).astimezone()
    with capture() as events:
        client.track(
            7, "E", message_id="m-1", timestamp=datetime(2026, 7, 1, 14, 0, tzinfo=timezone(timedelta(hours=2)))
        )
        client.track("u", "E", timestamp=datetime(2026, 7, 1, 12, 0))
        client.track("u", "E", timestamp="2025-03-01T12:00:00.5+01:00", integrations={"All": False})
    assert (events[0]["userId"], events[0]["messageId"], events[0]["timestamp"]) == ("7", "m-1", "2026-07-01T12:00:00Z")
    assert datetime.fromisoformat(events[1]["timestamp"].replace("Z", "+00:00")) == local
    assert events[2]["timestamp"] == "2025-03-01T12:00:00.5+01:00"
    assert events[2]["integrations"] == {"All": False}


def test_a_request_gives_its_calls_what_they_do_not_name(client: Client) -> None:
    with capture() as events, momsflow.request_context({"page": {"path": "/a"}}, user_id=5, userprint="cookie"):
        client.track(event="E")
        client.track("5", "E", context={"page": {"path": "/b"}})
        client.track("someone-else", "E")
        with pytest.raises(InvalidEvent) as raised:
            client.track(event="E", context="text")  # type: ignore[arg-type]
    assert raised.value.pointer == "/context"
    assert [event["userId"] for event in events] == ["5", "5", "someone-else"]
    assert events[0]["context"] == {"page": {"path": "/a"}, "userprint": "cookie"}
    assert events[1]["context"] == {"page": {"path": "/b"}, "userprint": "cookie"}
    assert events[2]["context"] == {"page": {"path": "/a"}}, "who acts for another is not joined with that user"


def test_a_visitor_without_a_cookie_has_one_id_for_the_request(client: Client) -> None:
    with capture() as events:
        for _ in range(2):
            with momsflow.request_context():
                client.track(event="A")
                client.track(event="B")
    ids = [event["anonymousId"] for event in events]
    assert ids[0] == ids[1] != ids[2] == ids[3]


def test_who_opted_out_gets_no_id(client: Client) -> None:
    signed_in = {"user_id": "u-1"}
    for known in ({}, signed_in):
        with capture() as events, momsflow.request_context(userprint="c", anonymous_id="a", opted_out=True, **known):
            assert client.track(event="E") is False
            assert client.track("u-1", "Order Completed") is True
        assert [event.get("context") for event in events] == [None]
    assert client.stats().suppressed == 2


def test_events_after_the_end_are_counted() -> None:
    client = Client("key", "http://127.0.0.1:9")
    client.close()
    assert client.track("u-1", "E") is False
    assert client.stats().dropped_by == {"closed": 1}
    assert json.dumps(dataclasses.asdict(client.stats()))


def test_a_fault_in_a_key_can_be_logged() -> None:
    with pytest.raises(InvalidEvent) as raised:
        Client("key", strict=True).track("u-1", "E", {"\ud800": 1})
    str(raised.value).encode()
