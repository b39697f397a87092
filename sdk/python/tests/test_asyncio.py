"""asyncio: a flush that the loop does not wait for."""

from __future__ import annotations

import asyncio
import time

from momsflow import Client
from proxy import Proxy
from server import WRITE_KEY, Server


def test_a_flush_lets_the_loop_go_on(server: Server, mark: str) -> None:
    proxy = Proxy(server.port)
    proxy.mode = "delay"
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0.01)

    async def main(client: Client) -> bool:
        ticking = asyncio.create_task(tick())
        for n in range(100):
            client.track("u-1", mark, {"n": n})
        flushed = await client.aflush(10)
        ticking.cancel()
        return flushed

    with Client(WRITE_KEY, proxy.host) as client:
        assert asyncio.run(main(client))
        assert client.stats().delivered == 100
    assert ticks > 40
    proxy.close()


def test_a_flush_ends_when_its_time_is_up_and_may_be_given_up(mark: str) -> None:
    async def main(client: Client) -> None:
        client.track("u-1", mark)
        begun = time.monotonic()
        assert not await client.aflush(0.2)
        flushing = asyncio.create_task(client.aflush())
        await asyncio.sleep(0.1)
        flushing.cancel()
        assert time.monotonic() - begun < 1

    with Client(WRITE_KEY, "http://127.0.0.1:9", exit_timeout=0.2) as client:
        asyncio.run(main(client))
        # Its loop is closed by now.
        assert client.close() is False


def test_many_flushes_at_once(server: Server, mark: str) -> None:
    async def one(client: Client, n: int) -> bool:
        client.track("u-1", mark, {"n": n})
        return await client.aflush(10)

    async def main(client: Client) -> list[bool]:
        return await asyncio.gather(*(one(client, n) for n in range(50)))

    with Client(WRITE_KEY, server.host) as client:
        assert all(asyncio.run(main(client)))
        assert client.stats().delivered == 50
    server.wait_for_count(50, f"event = '{mark}'")
