"""Several close at once, and somebody interrupts: each event is still in the account."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Callable

import pytest

import momsflow
from account import adds_up
from momsflow import Client, Failure, Stats
from momsflow.queue import OVERHEAD, EventQueue, Limits, Outcome
from proxy import Proxy
from server import WRITE_KEY, Server
from waiting import PATIENCE, wait_until

FOR_EVER = 3600


@pytest.fixture
def holding(server: Server) -> Iterator[Proxy]:
    """Keeps the server's answer back until the test lets it go."""
    proxy = Proxy(server.port)
    proxy.mode = "hold"
    yield proxy
    proxy.close()


class Closing(threading.Thread):
    """Closes, and looks at the account when that is over."""

    def __init__(self, close: Callable[[], bool], client: Client) -> None:
        super().__init__(daemon=True)
        self._close = close
        self._client = client
        self.found: tuple[bool, Stats] | None = None

    def run(self) -> None:
        closed = self._close()
        self.found = closed, self._client.stats()


def is_closing(client: Client) -> bool:
    return client.engine._closer is not None


def test_who_closes_second_waits_for_the_first(holding: Proxy, mark: str) -> None:
    client = Client(WRITE_KEY, holding.host, exit_timeout=PATIENCE, timeout=FOR_EVER)
    client.track("u-1", mark)
    first, second = (Closing(client.close, client) for _ in range(2))
    first.start()
    wait_until(lambda: is_closing(client))
    second.start()
    second.join(0.5)
    assert client.stats().pending == 1
    holding.release.set()
    for one in (first, second):
        one.join(PATIENCE)
        assert one.found is not None
        assert one.found[0] is True
        assert (one.found[1].delivered, one.found[1].pending) == (1, 0)
    assert client.close() is True


def test_the_default_client_is_closed_by_both_of_two(holding: Proxy, mark: str) -> None:
    client = momsflow.configure(WRITE_KEY, holding.host, exit_timeout=PATIENCE, timeout=FOR_EVER)
    momsflow.track("u-1", mark)
    first, second = (Closing(momsflow.close, client) for _ in range(2))
    first.start()
    wait_until(lambda: is_closing(client))
    second.start()
    second.join(0.5)
    holding.release.set()
    for one in (first, second):
        one.join(PATIENCE)
        assert one.found is not None
        assert one.found[0] is True
        assert one.found[1].delivered == 1
    assert momsflow.close() is True


def test_who_closes_second_has_the_deadline_of_the_first_and_its_own(holding: Proxy, mark: str) -> None:
    client = Client(WRITE_KEY, holding.host, timeout=FOR_EVER)
    client.track("u-1", mark)
    first = Closing(lambda: client.close(2.0), client)
    first.start()
    wait_until(lambda: is_closing(client))
    assert client.close(0.01) is False
    assert client.close(FOR_EVER) is False
    assert client.stats().dropped_by == {"exit": 1}
    first.join(PATIENCE)
    assert first.found is not None
    assert first.found[0] is False


def test_a_callback_that_closes_while_another_closes_is_not_waited_for(server: Server, mark: str) -> None:
    """In the sender, for which the other one waits, and in the closing thread itself: longer than the test may take."""
    closed: list[bool] = []

    def on_error(_failure: Failure) -> None:
        wait_until(lambda: is_closing(client))
        closed.append(client.close(FOR_EVER))

    client = Client(WRITE_KEY, server.host, on_error=on_error)
    client.track("u-1", mark, {"x": 10**150})
    client.track("u-1", mark)
    assert client.close(FOR_EVER) is True
    assert (client.stats().delivered, client.stats().rejected, len(closed)) == (1, 1, 1)

    client = Client(WRITE_KEY, "http://127.0.0.1:9", on_error=on_error)
    client.track("u-1", mark)
    assert client.close(0.1) is False
    assert closed[1:] == [True]
    assert client.stats().dropped_by == {"exit": 1}


def interrupt(function: Callable[..., object], at: int, *arguments: object) -> bool:
    """Calls a function with a KeyboardInterrupt before its step number `at`. False where it has fewer."""
    steps = 0

    def step(frame: FrameType, event: str, _argument: object) -> object:
        nonlocal steps
        if event == "opcode":
            steps += 1
            if steps == at:
                raise KeyboardInterrupt
        return step

    def trace(frame: FrameType, _event: str, _argument: object) -> object:
        if frame.f_code is not function.__code__:  # type: ignore[attr-defined]
            return None
        # In this order for Python 3.13; before, 3.12 has steps only for a tracer that is set after this.
        frame.f_trace = step
        frame.f_trace_opcodes = True
        sys.settrace(trace)
        return step

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        function(*arguments)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


def test_a_signals_handler_may_track_and_close_in_the_middle_of_a_call() -> None:
    """`notify_all` is a call, where a handler may come in between."""
    queue = EventQueue(Limits(10**6, 5, 10**6, 10**6))

    def handle() -> None:
        queue.changed.notify_all = lambda: None  # type: ignore[method-assign]
        assert queue.put(b"from the handler") is None
        queue.closing = True

    queue.changed.notify_all = handle  # type: ignore[method-assign]
    assert queue.put(b"event") == "closed"
    stats = queue.snapshot()
    assert (stats.enqueued, stats.pending, stats.dropped_by) == (2, 1, {"closed": 1})
    assert adds_up(stats)


@pytest.mark.parametrize(
    ("room", "first", "closing"), [(10, 0, False), (10, 3, False), (10, 4, False), (1, 1, False), (10, 1, True)]
)
def test_a_ctrl_c_anywhere_in_a_call_keeps_the_account(room: int, first: int, closing: bool) -> None:
    """Into an empty queue, one that is not, one that becomes a batch, one that is full, and one that is closed."""
    payload = b"event"
    at = 0
    interrupted = True
    while interrupted:
        at += 1
        queue = EventQueue(Limits((len(payload) + OVERHEAD) * room, 5, 10**6, 10**6))
        for _ in range(first):
            queue.put(payload)
        queue.closing = closing
        notified: list[bool] = []
        queue.changed.notify_all = lambda notified=notified: notified.append(True)  # type: ignore[method-assign]
        interrupted = interrupt(EventQueue.put, at, queue, payload)
        stats = queue.snapshot()
        assert adds_up(stats), (at, stats)
        assert stats.pending in (first, first + 1)
        if stats.pending == first + 1 and stats.pending in (1, 5):
            assert notified, f"nobody hears of the event that is in the queue at {at}"
        queue.closing = False
        with queue.lock:
            held = queue.take_locked()
            assert not queue.waits_locked(), "else the sender would go round without a rest"
        queue.settle(held, list(held.payloads), Outcome(delivered=len(held.payloads)))
        assert queue.snapshot().pending == 0
        assert adds_up(queue.snapshot())
    assert at > 20
