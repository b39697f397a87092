"""Sends the CDNOW orders as history with the unmodified Segment SDK, each with the id of its line.

Usage: send.py FILE HOST WRITE_KEY
"""

import sys
from datetime import datetime, timezone

from segment.analytics.client import Client


def orders(path):
    """Yields an order a line: customer, day as YYYYMMDD, units, dollars."""
    with open(path, encoding="ascii") as file:
        header = next(file).split()
        if header != ["customer_id", "date", "number_of_cds", "dollar_value"]:
            sys.exit(f"not the CDNOW file: {header}")
        for number, line in enumerate(file, start=1):
            customer, day, units, dollars = line.split()
            yield {
                "user_id": customer,
                "event": "Order Completed",
                "message_id": f"cdnow-{number}",
                "timestamp": datetime.strptime(day, "%Y%m%d").replace(tzinfo=timezone.utc),
                "properties": {
                    "order_id": str(number),
                    "units": int(units),
                    "total": float(dollars),
                    "currency": "USD",
                },
            }


def main():
    path, host, write_key = sys.argv[1:]
    failures = []
    client = Client(
        write_key,
        host=host,
        gzip=True,
        # The SDK drops what does not fit into its queue.
        max_queue_size=100_000,
        on_error=lambda error, batch: failures.append((error, len(batch))),
    )
    sent = 0
    for order in orders(path):
        queued, _ = client.track(**order)
        if not queued:
            sys.exit(f"order {order['message_id']} found no room in the SDK's queue")
        sent += 1
    # Without these the SDK loses what is still queued when the process ends.
    client.flush()
    client.join()
    if failures:
        sys.exit(f"{len(failures)} batches failed, the first with: {failures[0]}")
    print(sent)


if __name__ == "__main__":
    main()
