"""Measures this SDK beside segment-analytics-python and rudder-sdk-python, on one machine and in turn.

Usage: compare.py [--rounds N] [--calls N]. MOMSFLOW_BINARY should be a release build. Prints a table in Markdown.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests"))

from server import Server  # noqa: E402

SDKS = ("momsflow", "segment", "rudder")
LONGEST_EXIT = 45


def subject(sdk: str, scenario: str, host: str, mark: str, count: int, timeout: float = 600) -> tuple[float, str]:
    begun = time.monotonic()
    command = [sys.executable, str(HERE / "subject.py"), sdk, scenario, host, mark, str(count)]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent / "src")}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    try:
        printed = process.communicate(timeout=timeout)[0]
    except subprocess.TimeoutExpired:
        process.kill()
        printed = process.communicate()[0]
    return time.monotonic() - begun, printed


def silent() -> tuple[socket.socket, str]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def accept() -> None:
        kept = []
        while True:
            try:
                kept.append(listener.accept()[0])
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()
    return listener, f"http://127.0.0.1:{listener.getsockname()[1]}"


@contextlib.contextmanager
def storing_frozen(server: Server) -> Iterator[None]:
    """The server acknowledges and stores nothing, as where PostgreSQL and capture have a machine of their own."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _works_in(entry, server)]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            # The server may have ended sessions that did not answer.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def _works_in(process: Path, server: Server) -> bool:
    try:
        return (process / "cwd").readlink().is_relative_to(server.data_dir.resolve())
    except OSError:
        return False


def stored(server: Server, mark: str) -> int:
    """How many events there are once no more come."""
    last = -1
    while (count := server.count(f"event = '{mark}'")) != last:
        last = count
        time.sleep(1.0)
    return count


def measure(server: Server, rounds: int, calls: int) -> dict[str, dict[str, list[float]]]:
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number in range(rounds):
        for sdk in ("json.dumps", *SDKS):
            mark = f"calls {sdk} {number}"
            # The others' queues are drained at a tenth of the speed; the rate of their calls needs no more.
            count = calls if sdk in ("momsflow", "json.dumps") else calls // 10
            _, printed = subject(sdk, "calls", server.host, mark, count)
            for name, value in json.loads(printed).items():
                found[sdk][name].append(value)
            if sdk == "json.dumps":
                continue
            found[sdk]["arrived_percent"].append(stored(server, mark) / count * 100)
            with storing_frozen(server):
                _, printed = subject(sdk, "calls", server.host, f"{mark} frozen", count)
            found[sdk]["calls_per_s_alone"].append(json.loads(printed)["calls_per_s"])
            found[sdk]["delivered_per_s_alone"].append(json.loads(printed)["delivered_per_s"])
            stored(server, f"{mark} frozen")
        for sdk in SDKS:
            _, printed = subject(sdk, "latency", server.host, f"latency {sdk} {number}", 20_000)
            for name, value in json.loads(printed).items():
                found[sdk][name].append(value)
    for sdk in SDKS:
        mark = f"exit {sdk}"
        took, _ = subject(sdk, "exit", server.host, mark, 5000)
        found[sdk]["exit_s"].append(took)
        found[sdk]["exit_arrived"].append(stored(server, mark))
        subject(sdk, "fork", server.host, f"fork {sdk}", 300, timeout=60)
        found[sdk]["fork_arrived"].append(stored(server, f"fork {sdk}"))
        listener, host = silent()
        took, _ = subject(sdk, "exit", host, "silent", 5000, timeout=LONGEST_EXIT)
        found[sdk]["silent_exit_s"].append(took)
        listener.close()
    return found


ROWS: Sequence[tuple[str, str, str]] = (
    ("calls_per_s", "track calls/s, one thread, the sender delivering", "{:,.0f}"),
    ("calls_per_s_alone", "the same, the server acknowledging and not storing", "{:,.0f}"),
    ("us_of_cpu", "CPU of a call, µs", "{:.1f}"),
    ("us_of_cpu_all", "CPU of an event until it is acknowledged, all threads, µs", "{:.1f}"),
    ("delivered_per_s", "events/s until all are acknowledged", "{:,.0f}"),
    ("delivered_per_s_alone", "the same, the server acknowledging and not storing", "{:,.0f}"),
    ("arrived_percent", "of these in SQL, %", "{:.1f}"),
    ("p50_us", "a call, median, µs", "{:.1f}"),
    ("p99_us", "a call, p99, µs", "{:.1f}"),
    ("exit_arrived", "5,000 queued, process ends: in SQL", "{:,.0f}"),
    ("exit_s", "the same: the process took, s", "{:.1f}"),
    ("fork_arrived", "client made before fork, 300 events in the child: in SQL", "{:,.0f}"),
    ("silent_exit_s", f"server accepts and never answers: the process took, s (ended at {LONGEST_EXIT})", "{:.1f}"),
)


def table(found: dict[str, dict[str, list[float]]]) -> str:
    columns = ("json.dumps", *SDKS)
    lines = [f"| | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for name, text, form in ROWS:
        values = [_cell(found[sdk].get(name, []), form) for sdk in columns]
        lines.append(f"| {text} | {' | '.join(values)} |")
    return "\n".join(lines)


def _cell(values: list[float], form: str) -> str:
    if not values:
        return ""
    middle = form.format(statistics.median(values))
    return middle if len(values) == 1 else f"{middle} ({form.format(min(values))}–{form.format(max(values))})"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measures Python SDKs side by side.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=200_000)
    options = parser.parse_args()
    server = Server().start()
    try:
        found = measure(server, options.rounds, options.calls)
    finally:
        server.stop()
    print(table(found))
    load = os.getloadavg()[0]
    print(f"\nPython {sys.version.split()[0]}, {os.cpu_count()} cores, load {load:.1f}, {options.rounds} rounds.")


if __name__ == "__main__":
    main()
