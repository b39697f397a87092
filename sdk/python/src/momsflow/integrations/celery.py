"""Celery: `momsflow.integrations.celery.connect()` where the app is made.

A task sees the request that it was sent from: ids, page and consent travel in the message's headers. A pool's process
delivers what waits before it ends, which it else does without Python's atexit.
"""

from __future__ import annotations

import json
import logging
from typing import Any

from celery import signals

from .. import process
from ..context import RequestContext, current
from ..encode import Encoder

log = logging.getLogger("momsflow")

HEADER = "momsflow"


def connect() -> None:
    """Connects to Celery's signals; a second call changes nothing."""
    # Weak references to functions of a module would do, but for reloads.
    signals.before_task_publish.connect(_put_header, weak=False, dispatch_uid="momsflow-publish")
    signals.task_prerun.connect(_begin, weak=False, dispatch_uid="momsflow-prerun")
    signals.task_postrun.connect(_end, weak=False, dispatch_uid="momsflow-postrun")
    signals.worker_process_shutdown.connect(_close, weak=False, dispatch_uid="momsflow-process-shutdown")
    signals.worker_shutdown.connect(_close, weak=False, dispatch_uid="momsflow-shutdown")


def _put_header(headers: dict[str, Any] | None = None, **_: Any) -> None:
    request = current.get()
    if request is None or headers is None:
        return
    user_id = request.user_id()
    sent: dict[str, Any] = {
        "user_id": None if user_id is None else str(user_id),
        "anonymous_id": None if user_id is not None or request.opted_out else str(request.anonymous_id()),
        "userprint": request.userprint,
        "opted_out": request.opted_out,
    }
    try:
        # As a text, since brokers differ in what they take as a header; a task must not fail because of its tracking.
        headers[HEADER] = _text({**sent, "context": request.context})
    except ValueError as error:
        log.error("the context of the request is left out of a task's message: %s", error)
        headers[HEADER] = _text(sent)


def _text(sent: dict[str, Any]) -> str:
    text = Encoder().encode(sent, "")
    text.encode()  # half of a surrogate pair raises here
    return text


def _begin(task: Any = None, **_: Any) -> None:
    task.request.momsflow_before = current.get()
    if task.request.is_eager:  # it runs inside the request itself, whose context holds
        return
    text = getattr(task.request, HEADER, None) or (task.request.get("headers") or {}).get(HEADER)
    if not isinstance(text, str):
        current.set(None)
        return
    sent = json.loads(text)
    user_id = sent["user_id"]
    current.set(
        RequestContext(
            sent.get("context"),
            user_id=None if user_id is None else lambda: user_id,
            anonymous_id=sent["anonymous_id"],
            userprint=sent["userprint"],
            opted_out=sent["opted_out"],
        )
    )


def _end(task: Any = None, **_: Any) -> None:
    current.set(getattr(task.request, "momsflow_before", None))


def _close(**_: Any) -> None:
    process.close_all()
