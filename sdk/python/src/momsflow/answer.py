"""What an answer of the server means for a batch: decided here and nowhere else. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from .backoff import retry_after


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    retry_after: str | None = None


@dataclass(frozen=True)
class Rejection:
    """One event that the server does not take."""

    index: int
    code: str
    detail: str
    pointer: str | None
    retryable: bool


@dataclass(frozen=True)
class Verdict:
    """`kind` is accepted (but for the rejections), retry, split, or refused."""

    kind: str
    detail: str = ""
    status: int | None = None
    code: str | None = None
    after: float | None = None
    rejections: dict[int, Rejection] = field(default_factory=dict)


def judge(answer: Answer, count: int) -> Verdict:
    """Judges the answer to a batch of `count` events."""
    body = _parse(answer.body)
    status = answer.status
    if 200 <= status < 300:
        # Another server, such as a captive portal, says 200 to anything.
        if body is None or "accepted" not in body:
            return Verdict("retry", "the answer does not say what was accepted; is this momsflow?", status)
        return Verdict("accepted", rejections=_rejections(body, count))
    detail, code = _detail(body, status), _text(body, "code")
    if status == 400 and len(rejections := _rejections(body or {}, count)) == count:
        return Verdict("accepted", rejections=rejections)
    # A redirect is not followed, since it may lead anywhere (the portal of a hotel's network): the host is to be named.
    if status >= 500 or 300 <= status < 400 or status in (408, 425, 429):
        return Verdict("retry", detail, status, code, retry_after(answer.retry_after))
    if status == 413 and count > 1:
        return Verdict("split", detail, status, code)
    return Verdict("refused", detail, status, code)


def _parse(body: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _text(body: dict[str, Any] | None, member: str) -> str | None:
    value = (body or {}).get(member)
    return value if isinstance(value, str) else None


def _detail(body: dict[str, Any] | None, status: int) -> str:
    detail = _text(body, "detail") or _text(body, "message")
    return f"the server answers {status}" + (f": {detail}" if detail else "")


def _rejections(body: dict[str, Any], count: int) -> dict[int, Rejection]:
    listed = body.get("rejected")
    found: dict[int, Rejection] = {}
    for entry in listed if isinstance(listed, list) else []:
        index = entry.get("index") if isinstance(entry, dict) else None
        if not isinstance(index, int) or not 0 <= index < count:
            continue
        found[index] = Rejection(
            index,
            _text(entry, "code") or "rejected",
            _text(entry, "detail") or "the server rejects the event",
            _text(entry, "pointer"),
            entry.get("retryable") is True,
        )
    return found
