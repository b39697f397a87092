"""Makes the calls of a file with an unmodified Python SDK.

Usage: send.py segment|rudder CALLS HOST WRITE_KEY
"""

import json
import sys
from datetime import datetime

ARGUMENTS = {
    "userId": "user_id",
    "anonymousId": "anonymous_id",
    "groupId": "group_id",
    "previousId": "previous_id",
    "event": "event",
    "name": "name",
    "properties": "properties",
    "traits": "traits",
}


def client_of(sdk, host, write_key, on_error):
    if sdk == "rudder":
        from rudderstack.analytics.client import Client
    else:
        from segment.analytics.client import Client
    return Client(write_key, host=host, gzip=True, max_queue_size=100_000, on_error=on_error)


def main():
    sdk, path, host, write_key = sys.argv[1:]
    failures = []
    client = client_of(sdk, host, write_key, lambda error, batch: failures.append((error, len(batch))))
    with open(path, encoding="utf-8") as file:
        calls = json.load(file)
    for call in calls:
        arguments = {ours: call[theirs] for theirs, ours in ARGUMENTS.items() if theirs in call}
        if call["type"] == "alias":
            # The only call without an anonymous_id of its own.
            arguments.pop("anonymous_id", None)
        getattr(client, call["type"])(timestamp=datetime.fromisoformat(call["timestamp"]), **arguments)
    client.flush()
    client.join()
    if failures:
        sys.exit(f"{len(failures)} batches failed, the first with: {failures[0][0]}")
    print(len(calls))


if __name__ == "__main__":
    main()
