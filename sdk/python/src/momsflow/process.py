"""A client's place in the life of a process: forks, and the end.

Signals are left alone.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import signal
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Callable

if TYPE_CHECKING:
    from .client import Client

_clients: weakref.WeakSet[Client] = weakref.WeakSet()
#: Those that may have events, which live until they are closed, also where nobody refers to them any more.
_started: set[Client] = set()
_locked: list[Client] = []
_one_fork = threading.RLock()
_finalized_in = 0


def register(client: Client) -> None:
    """From now on the client follows forks and is closed at the end."""
    _clients.add(client)


async def flush_all() -> None:
    """Flushes every client, each within its exit_timeout."""
    await asyncio.gather(*(client.aflush(client.exit_timeout) for client in list(_clients)))


def started(client: Client) -> None:
    _started.add(client)


def closed(client: Client) -> None:
    _started.discard(client)


def close_all() -> None:
    """Closes every client, all at once and each within its exit_timeout."""
    clients = list(_clients)
    for client in clients:
        client.engine.begin_close(client.exit_timeout)
    with contextlib.ExitStack() as stack:
        # Each is finished, also where a Ctrl-C ends the wait for another.
        for client in reversed(clients):
            stack.callback(client.engine.finish_close)
    _started.clear()


def make_thread(name: str, body: Callable[[], None]) -> threading.Thread:
    """A daemon thread that no signal comes to: uWSGI ends a worker in whatever thread has it."""
    starter = threading.get_native_id()

    def run() -> None:
        # Under gevent and eventlet a thread is none: the signals would be kept from the application.
        if hasattr(signal, "pthread_sigmask") and threading.get_native_id() != starter:
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        body()

    return threading.Thread(target=run, name=name, daemon=True)


def is_ending() -> bool:
    """Whether the interpreter is at its end, where no thread can be started any more."""
    return not threading.main_thread().is_alive()


def before_exit_of_child() -> None:
    """Children of `multiprocessing` end without atexit, but run its finalizers, which they clear when they begin."""
    global _finalized_in
    util = sys.modules.get("multiprocessing.util")
    parent = sys.modules.get("multiprocessing.process")
    if util is None or parent is None or parent.parent_process() is None or _finalized_in == os.getpid():
        return
    _finalized_in = os.getpid()
    util.Finalize(None, close_all, exitpriority=10)


def _before_fork() -> None:
    # So that no other thread is inside of a queue or a spool at the moment that the child copies.
    _one_fork.acquire()
    for client in list(_clients):
        client.engine.lock_for_fork()
        _locked.append(client)


def _in_parent() -> None:
    while _locked:
        _locked.pop().engine.unlock_after_fork()
    _one_fork.release()


def _in_child() -> None:
    # uWSGI forks by itself and calls only this one.
    global _one_fork
    _one_fork = threading.RLock()
    _locked.clear()
    for client in list(_clients):
        client.after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_in_parent, after_in_child=_in_child)
atexit.register(close_all)
