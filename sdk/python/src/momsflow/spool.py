"""Events on this machine's disk, in a folder that any number of processes share.

Each process is an owner: a lock file, which it holds locked while it lives, and segments. Where the lock of another is
free, its process is dead, and who gets the lock takes its segments over. A segment is deleted when all its events
have been delivered. What a kill leaves half delivered is sent again, and the server knows it by its ids.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import threading
from collections import deque
from pathlib import Path
from time import monotonic, time_ns

from .errors import ConfigError
from .segment import SUFFIX, SegmentWriter, decode_lines, encode_lines

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

log = logging.getLogger("momsflow")

SEGMENT_BYTES = 2 * 1024 * 1024
SYNC_INTERVAL = 1.0
POLICIES = ("always", "interval", "never")
#: Of a segment that cannot be read.
ASIDE = ".unreadable"
#: Faults of the process and not of the file.
_PASSING = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.EAGAIN)


class SpoolFull(Exception):
    """The folder has its full size."""


def folder_for(spool_dir: str | os.PathLike[str], host: str, write_key: str) -> Path:
    """Clients of one server and key share a folder; others must not send each other's events."""
    name = hashlib.sha256(f"{host}\n{write_key}".encode()).hexdigest()[:16]
    # Absolute, since a process may change its folder later.
    return Path(spool_dir).absolute() / name


class Spool:
    """The spool of one client in one process. Its lock is held over disk I/O and never over the queue's lock."""

    def __init__(self, folder: Path, max_bytes: int, sync: str) -> None:
        if fcntl is None:
            raise ConfigError("spool_dir needs file locks that this system does not have")
        self.lock = threading.RLock()
        self._folder = folder
        self._max_bytes = max_bytes
        self._sync = sync
        self._owner = ""
        self._locks: dict[str, int] = {}
        self._sealed: deque[Path] = deque()
        self._counts: dict[Path, int] = {}  # events of each sealed segment
        self._active: SegmentWriter | None = None
        self._made = 0
        self._bytes = 0
        self._last_sync = monotonic()

    def prepare(self) -> None:
        """Makes the folder. Raises ConfigError where it cannot be used."""
        try:
            self._make_folder()
        except OSError as error:
            raise ConfigError(f"spool_dir cannot be used: {error}") from None
        if not os.access(self._folder, os.R_OK | os.W_OK | os.X_OK):
            raise ConfigError(f"spool_dir cannot be used: {self._folder} is not this user's to write")

    def for_child(self) -> Spool:
        """In a forked child: one of its own. The files are the parent's, and so are the locks without our copies."""
        for descriptor in self._locks.values():
            with contextlib.suppress(OSError):
                os.close(descriptor)
        if self._active is not None:
            self._active.close()
        return Spool(self._folder, self._max_bytes, self._sync)

    def append(self, payloads: list[bytes]) -> None:
        """Writes events, all or none. Raises SpoolFull or OSError."""
        data = encode_lines(payloads)
        with self.lock:
            if self._bytes + len(data) > self._max_bytes:
                self._measure()
                if self._bytes + len(data) > self._max_bytes:
                    raise SpoolFull
            writer = self._writer()
            writer.append(data, len(payloads), self._sync == "always")
            self._bytes += len(data)
            if writer.size >= SEGMENT_BYTES:
                self._seal()
        # What is written stays written: the spooler asks again, and tells of a disk that fails.
        with contextlib.suppress(OSError):
            self.sync_when_due()

    def sync_when_due(self) -> None:
        """With the policy `interval`: writes through to the disk at most every second."""
        with self.lock:
            if self._sync == "interval" and self._active and monotonic() - self._last_sync >= SYNC_INTERVAL:
                self._active.sync()
                self._last_sync = monotonic()

    def oldest(self, interval: float) -> tuple[Path, list[bytes], int] | None:
        """The oldest segment of ours, its events, and how many are damaged or gone. None where others may join it."""
        with self.lock:
            if self.time_to_grow(interval) > 0:
                return None
            if not self._sealed:
                self._seal()
            if not self._sealed:
                return None
            path = self._sealed[0]
            count = self._counts[path]
            events = decode_lines(_read(path))[0][:count]
            return path, events, count - len(events)

    def has_files(self) -> bool:
        """Whether anybody left events here."""
        return any(True for _ in self._folder.glob(f"*{SUFFIX}"))

    def has_events(self) -> bool:
        """Whether any wait here. It does without the lock, which may be held over a write to the disk: `_seal` puts a
        segment among the sealed before it takes it from its place, and this looks at the places the other way round.
        """
        active = self._active
        return (active is not None and active.size > 0) or bool(self._sealed)

    def time_to_grow(self, interval: float) -> float:
        """How long events may still join the oldest, until those are `interval` old. It does without the lock too."""
        active = self._active
        return 0.0 if self._sealed or active is None else max(0.0, active.begun + interval - monotonic())

    def remove(self, path: Path) -> None:
        """Deletes a segment whose events are all delivered."""
        with self.lock:
            with contextlib.suppress(ValueError):
                self._sealed.remove(path)
            self._counts.pop(path, None)
            with contextlib.suppress(OSError):
                size = path.stat().st_size
                path.unlink()
                self._bytes = max(0, self._bytes - size)
            owner = _owner_of(path)
            if owner != self._owner and not any(_owner_of(other) == owner for other in self._sealed):
                self._release(owner)

    def take_over(self) -> int:
        """Makes the segments of dead processes ours, and says how many events they hold."""
        count = 0
        with self.lock:
            for path in sorted(self._folder.glob("*.lock")):
                if path.stem not in self._locks and self._acquire(path.stem, create=False):
                    count += self._adopt(path.stem)
            self._sealed = deque(sorted(self._sealed))
        return count

    def _adopt(self, owner: str) -> int:
        found: dict[Path, int] = {}
        try:
            for path in sorted(self._folder.glob(f"{owner}.*{SUFFIX}")):
                if lines := _read(path).count(b"\n"):
                    found[path] = lines
                else:
                    with contextlib.suppress(OSError):
                        path.unlink()
        except OSError as error:
            log.debug("%s is left for later: %s", owner, error)
            self._release(owner, keep_file=True)
            return 0
        self._sealed.extend(found)
        self._counts.update(found)
        if not found:
            self._release(owner)
        return sum(found.values())

    def close(self) -> None:
        """Leaves what is there to other processes."""
        with self.lock:
            self._seal()
            own_left = any(_owner_of(path) == self._owner for path in self._sealed)
            for owner in list(self._locks):
                self._release(owner, keep_file=owner != self._owner or own_left)
            self._sealed.clear()

    def _make_folder(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _writer(self) -> SegmentWriter:
        if self._active is not None and self._active.is_torn:
            self._seal()
        if self._active is None:
            if not (self._folder / f"{self._owner}.lock").exists():
                # Somebody deleted the folder. Segments without a lock file beside them would never be taken over.
                self._release(self._owner)
                self._make_folder()
            while not self._owner or self._owner not in self._locks:
                self._owner = f"{time_ns():020d}-{os.getpid()}-{os.urandom(2).hex()}"
                # Another process may take the lock of a new owner between its making and its locking.
                self._acquire(self._owner, create=True)
            self._measure()
            self._made += 1
            self._active = SegmentWriter(self._folder / f"{self._owner}.{self._made:08d}{SUFFIX}")
            if self._sync != "never":
                _sync_folder(self._folder)
        return self._active

    def _seal(self) -> None:
        writer = self._active
        if writer is None:
            return
        try:
            if self._sync != "never":
                writer.sync()
        except OSError as error:
            log.warning("events in the spool may not outlive this machine: %s", error)
        if writer.count:
            self._counts[writer.path] = writer.count
            self._sealed.append(writer.path)
        self._active = None
        writer.close()
        if not writer.count:
            with contextlib.suppress(OSError):
                writer.path.unlink()

    def _measure(self) -> None:
        self._bytes = 0
        for path in self._folder.glob(f"*{SUFFIX}"):
            with contextlib.suppress(FileNotFoundError):
                self._bytes += path.stat().st_size

    def _acquire(self, owner: str, create: bool) -> bool:
        path = self._folder / f"{owner}.lock"
        flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        try:
            descriptor = os.open(path, flags, 0o600)
        except OSError:
            if create:
                raise
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who had it before may have deleted the file meanwhile; a lock on a deleted file keeps nobody out.
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                self._locks[owner] = descriptor
                return True
        except OSError:
            pass
        os.close(descriptor)
        return False

    def _release(self, owner: str, keep_file: bool = False) -> None:
        descriptor = self._locks.pop(owner, None)
        if descriptor is None:
            return
        if not keep_file:
            with contextlib.suppress(OSError):
                (self._folder / f"{owner}.lock").unlink()
        os.close(descriptor)


def _read(path: Path) -> bytes:
    """A segment's bytes. None of one that is gone, or that the disk does not give back: it is set aside, since it would
    stop all that is behind it.
    """
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except OSError as error:
        if error.errno in _PASSING:
            raise
        log.error("a segment of the spool cannot be read and is set aside as *%s: %s", ASIDE, error)
        with contextlib.suppress(OSError):
            path.rename(path.with_suffix(ASIDE))
        return b""


def _owner_of(path: Path) -> str:
    return path.name.partition(".")[0]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
