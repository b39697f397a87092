"""Django: `"momsflow.integrations.django"` in INSTALLED_APPS, and `settings.MOMSFLOW`.

MOMSFLOW = {
    "WRITE_KEY": "…", "HOST": "https://events.example.com",      # and any option of momsflow.Options
    "PIXEL": {"HOST": "https://events.example.com", "WRITE_KEY": "public key"},
    "WEB": {"send_ip": False},                                   # WebOptions
    "ANONYMOUS_ID": "shop.visitors.anonymous_id",                # a function of the request, or its dotted path
}
"""

from __future__ import annotations

from typing import Any

__all__ = ["track_on_commit"]


def track_on_commit(*args: Any, using: str | None = None, **kwargs: Any) -> None:
    """`momsflow.track` as soon as the transaction commits; where it is rolled back, nothing is sent.

    The event is made now: later changes of its properties do not show, and its time is that of the call. `using` is the
    database whose transaction is meant. Outside of a transaction it is sent at once.
    """
    from django.db import transaction

    from ...default import default_client

    client = default_client()
    payload = client.prepare_track(*args, **kwargs)
    if payload is not None:
        transaction.on_commit(lambda: client.submit(payload), using=using)
