"""The client: what code of a platform calls."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import os
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import process, recording
from .account import Stats
from .encode import Encoder
from .engine import Engine
from .errors import ConfigError, InvalidEvent
from .event import Composer, Suppressed, id_text, name_member
from .options import GivenOptions, is_development, options_of, text_option
from .recording import Recorder
from .spool import Spool, folder_for
from .transport import Transport
from .uuid7 import Stamps

if TYPE_CHECKING:
    # Every type checker has it; nothing of it is needed when the program runs.
    from typing_extensions import Unpack

log = logging.getLogger("momsflow")

DEFAULT_HOST = "http://127.0.0.1:8080"

Members = Mapping[str, Any]


class Client:
    """Sends events to momsflow.

    A call checks and encodes its event, puts it into memory and returns; a thread sends it. It never waits for the
    network and never raises because of it. What calls take by position stands in the order of Segment's SDK.

        with momsflow.Client(write_key, "https://events.example.com") as client:
            client.track("u-1", "Article Read", {"content_id": "a-1"})

    Each method returns whether the event was taken. `options` are the fields of `Options`.
    """

    def __init__(self, write_key: str | None = None, host: str | None = None, **options: Unpack[GivenOptions]) -> None:
        self._write_key = text_option("write_key", write_key or os.environ.get("MOMSFLOW_WRITE_KEY", ""))
        self._host = text_option("host", host or os.environ.get("MOMSFLOW_HOST") or DEFAULT_HOST)
        self._options = options_of(options)
        if not self._write_key and self._options.enabled:
            raise ConfigError("a write key is needed: Client(write_key=…) or MOMSFLOW_WRITE_KEY")
        self._strict = is_development() if self._options.strict is None else self._options.strict
        self._sink: Recorder | None = None
        self._composer = self._make_composer()
        self.engine = self._make_engine()
        process.register(self)
        if self._options.enabled and self.engine.has_left_over():
            self.engine.start()

    def track(
        self,
        user_id: Any = None,
        event: str | None = None,
        properties: Members | None = None,
        context: Members | None = None,
        timestamp: datetime | str | None = None,
        anonymous_id: Any = None,
        integrations: Members | None = None,
        message_id: str | None = None,
    ) -> bool:
        """Something that somebody did: `track("u-1", "Article Read", {"content_id": "a-1"})`."""
        try:
            payload = self._composer.compose(
                "track", name_member("event", event), "properties", properties, user_id, anonymous_id,
                context, timestamp, message_id, integrations,
            )  # fmt: skip
        except Exception as error:  # noqa: BLE001 - a request must not fail because of its tracking
            return self._misuse(error)
        return self.submit(payload)

    def identify(
        self,
        user_id: Any = None,
        traits: Members | None = None,
        context: Members | None = None,
        timestamp: datetime | str | None = None,
        anonymous_id: Any = None,
        integrations: Members | None = None,
        message_id: str | None = None,
    ) -> bool:
        """Who somebody is: `identify("u-1", {"plan": "pro"})`. With both ids the anonymous visits become the user's."""
        return self._call(
            "identify", "", "traits", traits, user_id, anonymous_id, context, timestamp, message_id, integrations,
        )  # fmt: skip

    def page(
        self,
        user_id: Any = None,
        category: str | None = None,
        name: str | None = None,
        properties: Members | None = None,
        context: Members | None = None,
        timestamp: datetime | str | None = None,
        anonymous_id: Any = None,
        integrations: Members | None = None,
        message_id: str | None = None,
    ) -> bool:
        """A page that somebody saw."""
        return self._view(
            "page", category, name, properties,
            user_id, anonymous_id, context, timestamp, message_id, integrations,
        )  # fmt: skip

    def screen(
        self,
        user_id: Any = None,
        category: str | None = None,
        name: str | None = None,
        properties: Members | None = None,
        context: Members | None = None,
        timestamp: datetime | str | None = None,
        anonymous_id: Any = None,
        integrations: Members | None = None,
        message_id: str | None = None,
    ) -> bool:
        """A screen of an app that somebody saw."""
        return self._view(
            "screen", category, name, properties,
            user_id, anonymous_id, context, timestamp, message_id, integrations,
        )  # fmt: skip

    def group(
        self,
        user_id: Any = None,
        group_id: Any = None,
        traits: Members | None = None,
        context: Members | None = None,
        timestamp: datetime | str | None = None,
        anonymous_id: Any = None,
        integrations: Members | None = None,
        message_id: str | None = None,
    ) -> bool:
        """A group that somebody belongs to: `group("u-1", "team-7", {"name": "Editors"})`."""
        return self._call(
            "group", lambda: f',"groupId":{id_text(group_id, "/groupId")}', "traits", traits,
            user_id, anonymous_id, context, timestamp, message_id, integrations,
        )  # fmt: skip

    def alias(
        self,
        previous_id: Any = None,
        user_id: Any = None,
        context: Members | None = None,
        timestamp: datetime | str | None = None,
        integrations: Members | None = None,
        message_id: str | None = None,
    ) -> bool:
        """Says that `previous_id` is `user_id` now."""
        return self._call(
            "alias", lambda: f',"previousId":{id_text(previous_id, "/previousId")}', "traits", None,
            user_id, None, context, timestamp, message_id, integrations,
        )  # fmt: skip

    def prepare_track(self, *args: Any, **kwargs: Any) -> bytes | None:
        """The event of a `track` call as it is now, to be given to `submit` later; None on misuse."""
        kept: list[bytes] = []
        preparing = copy.copy(self)
        preparing._sink = kept.append
        preparing.track(*args, **kwargs)
        return kept[0] if kept else None

    def flush(self, timeout: float | None = 30.0) -> bool:
        """Waits until every event so far is delivered, refused, or in the spool. False if the time was up."""
        return self.engine.flush(timeout)

    async def aflush(self, timeout: float | None = 30.0) -> bool:
        """`flush` for asyncio: the loop goes on meanwhile."""
        loop = asyncio.get_running_loop()
        settled: asyncio.Future[None] = loop.create_future()

        def fire() -> None:
            if not settled.done():
                settled.set_result(None)

        def fire_from_sender() -> None:
            # The loop may be closed by then, because its flush was given up.
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(fire)

        self.engine.queue.when_settled(fire_from_sender)
        try:
            await asyncio.wait_for(settled, timeout)
        except asyncio.TimeoutError:
            return False
        finally:
            self.engine.queue.forget_waiter(fire_from_sender)
        return True

    def close(self, timeout: float | None = None) -> bool:
        """Delivers what waits, for `timeout` (exit_timeout) at the most. False if the time was up and events were lost.

        What cannot be delivered in time goes to the spool, or is counted as dropped. The client takes nothing any more.
        Where another thread closes it already, this waits for that.
        """
        try:
            return self.engine.close(self._options.exit_timeout if timeout is None else timeout)
        finally:
            process.closed(self)

    def stats(self) -> Stats:
        """What became of every event."""
        return self.engine.stats()

    @property
    def is_strict(self) -> bool:
        """Whether misuse raises."""
        return self._strict

    @property
    def exit_timeout(self) -> float:
        """How long the end of the process may be delayed."""
        return self._options.exit_timeout

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def after_fork(self) -> None:
        """In a forked child: what waits is the parent's, who sends it; the child begins with nothing."""
        self.engine = self.engine.for_child()
        self._composer = self._make_composer()

    def _make_engine(self) -> Engine:
        options, spool = self._options, None
        transport = Transport(options.endpoint(self._write_key, self._host))
        if options.spool_dir is not None:
            folder = folder_for(options.spool_dir, self._host, self._write_key)
            spool = Spool(folder, options.spool_max_bytes, options.spool_sync)
            spool.prepare()
        return Engine(options, transport, spool, lambda: process.started(self))

    def _make_composer(self) -> Composer:
        return Composer(Encoder(self._options.default), Stamps(), self._options.max_event_bytes)

    def _view(self, kind: str, category: str | None, name: str | None, *rest: Any) -> bool:
        def own() -> str:
            of_name = "" if name is None else name_member("name", name)
            return of_name if category is None else of_name + name_member("category", category)

        return self._call(kind, own, "properties", *rest)

    def _call(self, kind: str, own: Any, body_name: str, *rest: Any) -> bool:
        try:
            payload = self._composer.compose(kind, own() if callable(own) else own, body_name, *rest)
        except Exception as error:  # noqa: BLE001 - as in `track`
            return self._misuse(error)
        return self.submit(payload)

    def submit(self, payload: bytes) -> bool:
        """Takes an event that is made, such as by `prepare_track`."""
        sink = self._sink or recording.recorder
        if sink is not None:
            sink(payload)
            return True
        return self.engine.put(payload) if self._options.enabled else False

    def _misuse(self, error: Exception) -> bool:
        """Raises what the caller did wrong, or counts and logs it in production."""
        counters, lock = self.engine.queue.counters, self.engine.queue.lock
        if isinstance(error, Suppressed):
            with lock:
                counters.suppressed += 1
            return False
        if not isinstance(error, InvalidEvent):
            # The hook's own exception, or that of an object's attribute.
            error = InvalidEvent(_described(error))
        if self._strict:
            raise error
        with lock:
            counters.invalid += 1
            count = counters.invalid
        if count & (count - 1) == 0:  # at 1, 2, 4, 8 …
            log.error("not a valid event (%d so far): %s", count, error)
        return False


def _described(error: Exception) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - its text is the caller's code too
        return type(error).__name__
