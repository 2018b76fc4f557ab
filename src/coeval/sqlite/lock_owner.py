"""Which process holds a lock of SQLite's, asked of the kernel through SQLite's own descriptors (law 8: nothing is opened).

The lock bytes: https://www.sqlite.org/walformat.html#wal_locks

Ring: shell.
"""

from __future__ import annotations

import os
import struct
import sys
from contextlib import suppress

from . import guard

#: Bytes of the -shm file: the write lock; the five read marks.
WRITE, READ = 120, 123
READS = 5

_FLOCK = "hhqqi4x"  #: struct flock of 64-bit Linux


def lock_owner(path: str, first: int, count: int = 1) -> int | None:
    """The process, other than this one, that holds a lock on bytes of ``path``'s -shm; None where none does or it cannot be told."""
    if sys.platform != "linux" or struct.calcsize("P") != 8:
        return None
    import fcntl

    ask = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, first, count, 0)
    shared = guard.identity_of(f"{path}-shm")
    for descriptor in guard.descriptors(path):
        with suppress(OSError):
            status = os.fstat(descriptor)
            if (status.st_dev, status.st_ino) != shared:
                continue
            kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, ask))
            return pid if kind != fcntl.F_UNLCK and pid > 0 else None
    return None


def process_name(pid: int) -> str:
    """What the process calls itself, for messages; '' where that cannot be told."""
    with suppress(OSError), open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
        return file.read().strip()
    return ""
