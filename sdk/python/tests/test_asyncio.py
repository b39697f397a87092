"""asyncio: a flush that the loop does not wait for."""

from __future__ import annotations

import asyncio

import pytest

from momsflow import Client
from proxy import Proxy
from server import WRITE_KEY, Server
from waiting import PATIENCE


def test_a_flush_lets_the_loop_go_on(server: Server, mark: str) -> None:
    """The answer comes only when the loop has gone round many times: had the flush stopped it, there would be none."""
    proxy = Proxy(server.port)
    proxy.mode = "hold"

    async def go_round() -> None:
        for _ in range(100):
            await asyncio.sleep(0.001)
        proxy.release.set()

    async def main(client: Client) -> bool:
        for n in range(100):
            client.track("u-1", mark, {"n": n})
        flushed, _ = await asyncio.gather(client.aflush(PATIENCE), go_round())
        return flushed

    with Client(WRITE_KEY, proxy.host, timeout=2 * PATIENCE) as client:
        assert asyncio.run(main(client))
        assert client.stats().delivered == 100
    proxy.close()


def test_a_flush_ends_when_its_time_is_up_and_may_be_given_up(mark: str) -> None:
    async def main(client: Client) -> None:
        client.track("u-1", mark)
        assert not await client.aflush(0.2)
        flushing = asyncio.create_task(client.aflush(None))
        await asyncio.sleep(0)
        flushing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await flushing

    with Client(WRITE_KEY, "http://127.0.0.1:9", exit_timeout=0.2) as client:
        asyncio.run(main(client))
        # Its loop is closed by now.
        assert client.close() is False


def test_many_flushes_at_once(server: Server, mark: str) -> None:
    async def one(client: Client, n: int) -> bool:
        client.track("u-1", mark, {"n": n})
        return await client.aflush(PATIENCE)

    async def main(client: Client) -> list[bool]:
        return await asyncio.gather(*(one(client, n) for n in range(50)))

    with Client(WRITE_KEY, server.host) as client:
        assert all(asyncio.run(main(client)))
        assert client.stats().delivered == 50
    server.wait_for_count(50, f"event = '{mark}'")
