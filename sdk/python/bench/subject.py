"""One program for every SDK: what it does is the same, only the client differs.

Usage: subject.py SDK SCENARIO HOST MARK COUNT. Prints what it measured as one line of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from typing import Any, Callable

WRITE_KEY = "wk_sdk_tests"

#: 500 bytes of JSON, as an article's page would send.
PROPERTIES: dict[str, Any] = {
    "content_id": "a-12345",
    "title": "The quick brown fox jumps over the lazy dog",
    "tags": ["news", "politics", "europe"],
    "author": {"id": "au-7", "name": "Jane Doe"},
    "word_count": 1234,
    "score": 0.873,
    "premium": False,
    "url": "https://example.com/articles/2026/11/the-quick-brown-fox",
    "section": "world",
    "referrer": "https://www.google.com/",
    "experiment": {"name": "headline", "variant": "b"},
    "device": "mobile",
    "scroll_depth": 75,
    "dwell_ms": 45213,
    "pad": "x" * 31,
}

Track = Callable[[str, str, dict[str, Any]], Any]


def make(sdk: str, host: str) -> tuple[Track, Callable[[], Any]]:
    """The call and what ends the client, with everything else as it comes; the queue has room for all."""
    if sdk == "momsflow":
        import momsflow

        ours = momsflow.Client(WRITE_KEY, host, max_queue_bytes=1 << 30)
        return ours.track, lambda: ours.close(600)
    if sdk == "segment":
        import segment.analytics.client as segment

        theirs = segment.Client(WRITE_KEY, host=host, max_queue_size=10**7)
    elif sdk == "rudder":
        import rudderstack.analytics.client as rudder

        theirs = rudder.Client(WRITE_KEY, host=host, max_queue_size=10**7)
    else:
        # The yardstick: what encoding alone costs.
        return lambda _user, _event, properties: json.dumps(properties), lambda: None
    return theirs.track, lambda: (theirs.flush(), theirs.join())


def calls(track: Track, end: Callable[[], Any], mark: str, count: int) -> dict[str, float]:
    for n in range(200):
        track("u-%d" % n, f"{mark} warm-up", PROPERTIES)
    thread, wall = time.thread_time(), time.perf_counter()
    for n in range(count):
        track("u-%d" % (n % 1000), mark, PROPERTIES)
    called = time.perf_counter() - wall
    of_thread = time.thread_time() - thread
    end()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return {
        "calls_per_s": count / called,
        "us_of_cpu": of_thread / count * 1e6,
        "us_of_cpu_all": (usage.ru_utime + usage.ru_stime) / count * 1e6,
        "delivered_per_s": count / (time.perf_counter() - wall),
    }


def latency(track: Track, end: Callable[[], Any], mark: str, count: int) -> dict[str, float]:
    """Calls as a busy web server makes them: one in a while, and the sender beside them."""
    clock = time.perf_counter_ns
    took = []
    for n in range(count):
        begun = clock()
        track("u-%d" % (n % 1000), mark, PROPERTIES)
        took.append(clock() - begun)
        if n % 20 == 19:
            time.sleep(0.001)
    end()
    took.sort()
    return {"p50_us": took[count // 2] / 1e3, "p99_us": took[count * 99 // 100] / 1e3}


def main() -> None:
    sdk, scenario, host, mark, count = sys.argv[1:]
    track, end = make(sdk, host)
    if scenario == "calls":
        print(json.dumps(calls(track, end, mark, int(count))))
    elif scenario == "latency":
        print(json.dumps(latency(track, end, mark, int(count))))
    elif scenario == "exit":
        for n in range(int(count)):
            track("u-%d" % n, mark, PROPERTIES)
    elif scenario == "fork":
        # What an application does whose server loads it before it forks its workers.
        track("u-parent", f"{mark} parent", PROPERTIES)
        child = os.fork()
        if child == 0:
            for n in range(int(count)):
                track("u-%d" % n, mark, PROPERTIES)
            sys.exit()
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()
