"""The CDNOW purchase history: an order a line, sent as history. Run as a program it sends the file.

Usage: cdnow.py FILE HOST WRITE_KEY
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

from momsflow import Client

HEADER = ["customer_id", "date", "number_of_cds", "dollar_value"]


def orders(path: Path) -> Iterator[tuple[str, datetime, int, Decimal]]:
    with path.open(encoding="ascii") as file:
        assert next(file).split() == HEADER, "this is not the CDNOW file"
        for line in file:
            customer, day, units, dollars = line.split()
            yield customer, datetime.strptime(day, "%Y%m%d").replace(tzinfo=timezone.utc), int(units), Decimal(dollars)


def send(path: Path, host: str, write_key: str) -> Client:
    # History may wait for room: there is no request behind it.
    with Client(write_key, host, strict=True, history=True, when_full="block", exit_timeout=120) as client:
        for number, (customer, day, units, dollars) in enumerate(orders(path), start=1):
            client.track(
                customer,
                "Order Completed",
                {"order_id": number, "units": units, "total": dollars, "currency": "USD"},
                timestamp=day,
                message_id=f"cdnow-{number}",
            )
    return client


def months(path: Path) -> list[str]:
    """Orders, customers, units and dollars of each month, as SQL prints them."""
    found: dict[str, list[tuple[str, int, Decimal]]] = defaultdict(list)
    for customer, day, units, dollars in orders(path):
        found[f"{day:%Y-%m}"].append((customer, units, dollars))
    return [
        f"{month}|{len(rows)}|{len({customer for customer, _, _ in rows})}"
        f"|{sum(units for _, units, _ in rows)}|{sum(dollars for _, _, dollars in rows):.2f}"
        for month, rows in sorted(found.items())
    ]


if __name__ == "__main__":
    print(send(Path(sys.argv[1]), sys.argv[2], sys.argv[3]).stats())
