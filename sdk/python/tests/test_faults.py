"""The network and the server fail in every way, and the client's account and the server's table still agree."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from account import Auditor
from momsflow import Client, Failure
from proxy import Proxy
from server import WRITE_KEY, Server
from waiting import PATIENCE, wait_until


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    proxy = Proxy(server.port)
    yield proxy
    proxy.close()


@pytest.mark.parametrize("mode", ["hang", "reset", "refuse", "delay", "half", "lose", "drip"])
def test_each_event_arrives_once_through_a_bad_network(server: Server, proxy: Proxy, mark: str, mode: str) -> None:
    client = Client(WRITE_KEY, proxy.host, strict=True, timeout=1.0, flush_interval=0.05, exit_timeout=PATIENCE)
    with client, Auditor(client):
        client.track("u-1", mark, {"n": 0})
        assert client.flush(PATIENCE)
        before = client.stats().retries
        proxy.mode = mode
        if mode == "refuse":
            proxy.cut()
        for n in range(1, 400):
            client.track("u-1", mark, {"n": n})
            if n % 100 == 0:
                time.sleep(0.4)
        if mode != "delay":
            wait_until(lambda: client.stats().retries > before)
        proxy.mode = "pass"
        assert client.flush(PATIENCE), client.stats()
    stats = client.stats()
    assert (stats.delivered, stats.dropped, stats.rejected) == (400, 0, 0)
    server.wait_for_count(400, f"event = '{mark}'")
    assert server.sql(f"select count(distinct properties->>'n') from events where event = '{mark}'") == "400"


def test_a_server_that_is_killed_and_started_again_loses_nothing(own_server: Server, mark: str) -> None:
    client = Client(WRITE_KEY, own_server.host, strict=True, flush_interval=0.02, batch_size=200, exit_timeout=PATIENCE)
    over = threading.Event()

    def track() -> None:
        n = 0
        while not over.is_set():
            client.track(f"u-{n % 50}", mark, {"n": n})
            n += 1
            if n % 50 == 0:
                time.sleep(0.01)

    threads = [threading.Thread(target=track) for _ in range(2)]
    with client, Auditor(client):
        for thread in threads:
            thread.start()
        try:
            for _ in range(3):
                before = client.stats()
                wait_until(lambda before=before: client.stats().delivered > before.delivered + 300)
                own_server.kill()
                wait_until(lambda before=before: client.stats().retries > before.retries)
                own_server.start()
        finally:
            over.set()
            for thread in threads:
                thread.join()
        assert client.flush(PATIENCE), client.stats()
        stats = client.stats()
        assert stats.delivered == stats.enqueued > 900
    own_server.wait_for_count(stats.delivered, f"event = '{mark}'")


def test_rejected_events_are_named_and_their_neighbours_arrive(server: Server, mark: str) -> None:
    failures: list[Failure] = []
    with Client(WRITE_KEY, server.host, on_error=failures.append) as client:
        for n in range(100):
            # The client leaves numbers beyond PostgreSQL's to the server.
            client.track("u-1", mark, {"n": n, "x": 10**150 if n % 10 == 0 else 1})
        assert client.flush(PATIENCE)
        stats = client.stats()
    assert (stats.delivered, stats.rejected) == (90, 10)
    assert [failure.events[0]["properties"]["n"] for failure in failures] == list(range(0, 100, 10))
    assert {(failure.reason, failure.code, failure.pointer) for failure in failures} == {
        ("rejected", "number_out_of_range", "/properties/x")
    }
    server.wait_for_count(90, f"event = '{mark}'")


def test_a_callback_may_close_the_client_and_track(server: Server, mark: str) -> None:
    """It runs in the sender's own thread."""
    all_tracked = threading.Event()

    def on_error(failure: Failure) -> None:
        all_tracked.wait(PATIENCE)
        client.track("u-2", mark)
        assert client.close()

    client = Client(WRITE_KEY, server.host, on_error=on_error, batch_size=10, exit_timeout=PATIENCE)
    for n in range(100):
        client.track("u-1", mark, {"n": n, "x": 10**150 if n == 5 else 1})
    all_tracked.set()
    wait_until(lambda: not client.stats().pending)
    stats = client.stats()
    assert (stats.delivered, stats.rejected, stats.dropped) == (100, 1, 0), stats
    server.wait_for_count(100, f"event = '{mark}'")


def test_a_batch_without_any_good_event_is_rejected_event_by_event(server: Server, mark: str) -> None:
    failures: list[Failure] = []
    with Client(WRITE_KEY, server.host, on_error=failures.append) as client:
        for _ in range(5):
            client.track("u-1", mark, {"x": 10**150})
        assert client.flush(PATIENCE)
        assert client.stats().rejected == len(failures) == 5


def test_a_wrong_key_drops_the_events_and_says_so(server: Server, mark: str) -> None:
    failures: list[Failure] = []
    with Client("wk_wrong", server.host, on_error=failures.append) as client, Auditor(client):
        client.track("u-1", mark)
        client.track("u-2", mark)
        assert client.flush(PATIENCE)
        assert client.stats().dropped_by == {"refused": 2}
    assert [(failure.status, failure.code, len(failure.events)) for failure in failures] == [(401, "unknown_key", 2)]


def test_a_batch_that_is_too_large_is_split(mark: str) -> None:
    small = Server(extra_config='[ingest]\nmax_batch = 300\nmax_event = "64 KiB"\n')
    failures: list[Failure] = []
    try:
        small.start()
        with Client(WRITE_KEY, small.host, on_error=failures.append, max_event_bytes=10**6) as client, Auditor(client):
            client.track("u-1", mark, {"text": "x" * 100_000})
            for n in range(2000):
                client.track("u-1", mark, {"n": n})
            assert client.flush(PATIENCE)
            stats = client.stats()
        assert (stats.delivered, stats.rejected) == (2000, 1)
        assert failures[0].code == "event_too_large"
        small.wait_for_count(2000, f"event = '{mark}'")
    finally:
        small.stop()


def test_memory_that_is_full_drops_the_newest_and_counts(mark: str) -> None:
    failures: list[Failure] = []
    client = Client(
        WRITE_KEY,
        "http://127.0.0.1:9",
        max_queue_bytes=100_000,
        max_event_bytes=1000,
        on_error=failures.append,
        exit_timeout=0.2,
    )
    with client, Auditor(client):
        taken = [client.track("u-1", mark, {"n": n, "text": "x" * 500}) for n in range(1000)]
        stats = client.stats()
        assert stats.dropped_by["queue_full"] == taken.count(False) == len(failures) > 500
        assert taken[:100] == [True] * 100
        assert not any(taken[-100:])
    assert client.stats().dropped == 1000
    assert client.stats().dropped_by["exit"] == taken.count(True)


def test_a_client_that_may_block_waits_for_room(server: Server, mark: str) -> None:
    with Client(WRITE_KEY, server.host, max_queue_bytes=300_000, when_full="block", batch_bytes=50_000) as client:
        for n in range(5000):
            assert client.track("u-1", mark, {"n": n, "text": "x" * 300})
        assert client.flush(PATIENCE)
        assert client.stats().delivered == 5000


def test_an_overloaded_server_is_left_alone_for_as_long_as_it_asks(mark: str) -> None:
    """The server's log has no room, so it refuses with 503 and a Retry-After, which is 1 s at least."""
    full = Server(extra_config='[event_log]\nmin_free_disk = "100 TiB"\n')
    try:
        full.start(until="/live")
        proxy = Proxy(full.port)
        with Client(WRITE_KEY, proxy.host, exit_timeout=0.5, timeout=PATIENCE) as client:
            client.track("u-1", mark)
            wait_until(lambda: client.stats().retries == 1)
            assert "503" in (client.stats().last_error or "")
            wait_until(lambda: client.stats().retries == 2)
        # On its own it would come again after a quarter of a second.
        again = next(moment for moment in proxy.asked if moment > proxy.answered[0])
        assert again - proxy.answered[0] >= 1
        proxy.close()
    finally:
        full.stop()
