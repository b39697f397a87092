"""Much: a real history, and a day's worth of events through one client."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import cdnow
from momsflow import Client
from server import REPOSITORY, WRITE_KEY, Server

CDNOW = REPOSITORY / "tests" / ".cache" / "CDNOW_master.txt"
#: A million in `make bench-sdk`.
EVENTS = int(os.environ.get("SDK_BULK_EVENTS", "150000"))

PROGRAM = f"""
import resource, sys
from momsflow import Client
def resident():
    # Not ru_maxrss: it begins with that of the process which started this one.
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024
host, mark, events = sys.argv[1], sys.argv[2], int(sys.argv[3])
properties = {{"content_id": "a-1", "text": "x" * 450}}
MIB = 1024 * 1024
client = Client("{WRITE_KEY}", host, when_full="block", max_queue_bytes=16 * MIB, exit_timeout=300)
client.track("u-1", mark, properties)
assert client.flush()
before = resident()
for n in range(1, events):
    client.track("u-%d" % (n % 1000), mark, properties)
client.close()
assert client.stats().delivered == events, client.stats()
after = resource.getrusage(resource.RUSAGE_SELF)
print(before, resident(), after.ru_utime + after.ru_stime)
"""


@pytest.mark.skipif(not CDNOW.exists(), reason="scripts/setup.sh test fetches the CDNOW file")
def test_cdnow_as_history_has_the_sums_of_the_file(own_server: Server) -> None:
    stats = cdnow.send(CDNOW, own_server.host, WRITE_KEY).stats()
    assert stats.delivered == stats.enqueued == 69_659
    own_server.wait_for("select sum(stored + duplicate) from positions", "69659")
    query = """
        select to_char(received_at at time zone 'UTC', 'YYYY-MM'), count(*), count(distinct user_id),
               sum((properties->>'units')::int), sum((properties->>'total')::numeric(12, 2))
        from events where event = 'Order Completed' group by 1 order by 1"""
    assert own_server.sql(query).splitlines() == cdnow.months(CDNOW)


@pytest.mark.timeout(900)
def test_a_days_worth_of_events_needs_bounded_memory(own_server: Server, mark: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, own_server.host, mark, str(EVENTS)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    before, after, seconds = done.stdout.split()
    print(f"{EVENTS} events: {before} MB before, {after} MB at the most, {seconds} s of CPU")
    # The queue's bound, a batch as it is joined and sent, and what the allocator keeps between them.
    assert int(after) - int(before) < 16 + 24
    own_server.wait_for_count(EVENTS, f"event = '{mark}'", timeout=600)


def test_a_call_costs_little_more_than_its_json() -> None:
    """Counted in calls, which no busy machine changes. How long they take is what the benchmark measures."""
    calls = 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event in ("call", "c_call")

    client = Client(WRITE_KEY, "http://127.0.0.1:9", flush_interval=3600, exit_timeout=0.1)
    client.track("u-1", "Article Viewed", {"content_id": "a-1"})
    sys.setprofile(count)
    try:
        for _ in range(100):
            client.track("u-1", "Article Viewed", {"content_id": "a-1"})
    finally:
        sys.setprofile(None)
    client.close()
    # 30, most of them the JSON encoder's and the id's.
    assert calls / 100 < 36
