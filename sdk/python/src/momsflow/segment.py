"""A file of the spool: one event a line, each with a checksum, so that one damaged line costs one event.

    <crc32 of the text, 8 hex digits> <the event's JSON text>

A line without its newline was being written when the process or the machine died. It was never counted.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from time import monotonic
from zlib import crc32

SUFFIX = ".spool1"


def encode_lines(payloads: list[bytes]) -> bytes:
    return b"".join(b"%08x %s\n" % (crc32(payload), payload) for payload in payloads)


def decode_lines(data: bytes) -> tuple[list[bytes], int]:
    """The events, and how many lines were damaged."""
    lines = data.split(b"\n")[:-1]
    events = [line[9:] for line in lines if _is_whole(line)]
    return events, len(lines) - len(events)


def _is_whole(line: bytes) -> bool:
    try:
        return line[8:9] == b" " and int(line[:8], 16) == crc32(line[9:])
    except ValueError:
        return False


class SegmentWriter:
    """The segment that a process appends to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.count = 0
        self.begun = monotonic()
        self.unsynced = False
        #: Whether there is something behind the last whole line that could not be cut off.
        self.is_torn = False
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)

    def append(self, data: bytes, count: int, sync: bool) -> None:
        """Writes all of it or nothing: a disk that fills up must not leave half a line before the next."""
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            self.unsynced = True
            if sync:
                self.sync()
        except OSError:
            self.is_torn = True
            os.ftruncate(self._file, self.size)
            os.lseek(self._file, self.size, os.SEEK_SET)
            self.is_torn = False
            raise
        self.size += len(data)
        self.count += count

    def sync(self) -> None:
        if self.unsynced:
            os.fsync(self._file)
            self.unsynced = False

    def close(self) -> None:
        # A network's disk may tell only now that something is wrong; the file is closed all the same.
        with contextlib.suppress(OSError):
            os.close(self._file)
