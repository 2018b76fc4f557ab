"""The commit clock: did anybody commit since? Asked on every read, answered in tens of nanoseconds.

SQLite keeps a header of 48 bytes at the start of the WAL-index, shared memory that every process with the file open has
mapped. Each commit of each process changes it. ``HeaderClock`` reads it in place; ``VersionClock`` asks
``PRAGMA data_version`` instead, where the header cannot be had.

What must hold here (law 1):

* A value read after a COMMIT returned, in whatever process, differs from every value read before that COMMIT began.
* A value that proves nothing is ``None``, and equals no mark (hole 8): no shared memory, an unknown version word, or zero salts,
  which a header has until the first commit after the file was last closed by everybody, so that it could repeat.
* The mapping is SQLite's own, had through the VFS's ``xShmMap``: we open and map nothing, because closing any
  descriptor of ours would drop SQLite's locks (law 8). It is alive as long as one connection of this process is, so the clock
  owns one, and lets go of the mapping before it closes that.

Format of the header: https://www.sqlite.org/walformat.html#the_wal_index_file_format

Ring: shell.
"""

from __future__ import annotations

import ctypes
import os
import threading
from collections.abc import Callable
from typing import NamedTuple, Protocol

import apsw

from ..coherence.stamps import Mark

HEADER = 48
CHECKPOINTS = 100  #: bytes up to and with the count of frames that were copied into the file
VERSION_WORD = (3007000).to_bytes(4, "little"), (3007000).to_bytes(4, "big")
SALTS = slice(32, 40)
NO_SALTS = bytes(8)
REGION = 32768  #: bytes of WAL-index that SQLite maps at a time

_XSHMMAP = 13  # in sqlite3_io_methods: iVersion, then 12 methods, then xShmMap
_SHMMAP = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.POINTER(ctypes.c_void_p)
)


class Frames(NamedTuple):
    """What the WAL holds, as its index says at this moment."""

    pages: int  #: frames
    moved: int  #: of them, copied into the file already
    page: int  #: bytes of a page


class CommitClock(Protocol):
    """Both clocks. ``raw`` is the quick one, for comparing with a mark that is known to be good."""

    #: the value now, unchecked and never None; raises ValueError once the clock is closed
    raw: Callable[[], Mark]

    def read(self) -> Mark:
        """The value now, or None where it proves nothing. Safe from any thread."""

    def frames(self) -> Frames | None:
        """What the WAL holds; None where that cannot be seen. Raises ValueError once the clock is closed."""

    def moved(self) -> bool:
        """True when the path leads to another file by now, or to none (hole 9)."""

    def close(self) -> None:
        """Let go of the mapping, then of the connection. Readers in other threads get ValueError, never a fault."""


class HeaderClock:
    """Reads the WAL-index header through SQLite's own mapping."""

    def __init__(self, connection: apsw.Connection) -> None:
        """Takes ``connection`` over. It must have read once, in WAL mode; else ``Unavailable``."""
        self._connection = connection
        whole = _map_header(connection)
        self._words = whole.cast("I")
        self._halves = whole.cast("H")
        self._view = whole[:HEADER]
        self.raw: Callable[[], Mark] = self._view.tobytes

    def read(self) -> Mark:
        header = self._view.tobytes()
        return header if _proves(header) else None

    def frames(self) -> Frames | None:
        size = self._halves[7]  # 65,536 is written as 1
        return Frames(self._words[4], self._words[24], (size & 0xFE00) + ((size & 1) << 16))

    def moved(self) -> bool:
        return has_moved(self._connection)

    def close(self) -> None:
        for view in (self._view, self._words, self._halves):
            view.release()  # under the interpreter's lock: no other thread is inside tobytes()
        self._connection.close(True)


class VersionClock:
    """Asks ``PRAGMA data_version`` on a connection that never commits, and so sees every commit of all others."""

    def __init__(self, connection: apsw.Connection) -> None:
        """Takes ``connection`` over."""
        connection.set_busy_timeout(0)  # a clock that is locked proves nothing, and nobody waits for it
        self._connection = connection
        self._lock = threading.Lock()
        self._name = os.urandom(8)  # the number is comparable on this connection alone
        self.raw: Callable[[], Mark] = lambda: self.read() or b""

    def read(self) -> Mark:
        with self._lock:
            try:
                version = self._connection.execute("PRAGMA data_version").get
            except apsw.ConnectionClosedError:
                raise ValueError("the commit clock is closed") from None
            except apsw.Error:  # busy in recovery, an I/O error: nothing is proved now
                return None
        return self._name + int(version).to_bytes(8, "little", signed=True)

    def frames(self) -> Frames | None:
        return None

    def moved(self) -> bool:
        with self._lock:
            return has_moved(self._connection)

    def close(self) -> None:
        with self._lock:
            self._connection.close(True)


class Unavailable(Exception):
    """The header cannot be had here; the message says why."""


def has_moved(connection: apsw.Connection) -> bool:
    """SQLITE_FCNTL_HAS_MOVED: the path no longer leads to the file that ``connection`` has open."""
    return moved_asker(connection)()


def moved_asker(connection: apsw.Connection) -> Callable[[], bool]:
    """`has_moved` of ``connection`` for one thread at a time, made once for many times."""
    answer = ctypes.c_int(0)
    ask, address, question = connection.file_control, ctypes.addressof(answer), apsw.SQLITE_FCNTL_HAS_MOVED

    def moved() -> bool:
        return ask("main", question, address) and answer.value != 0

    return moved


def _proves(header: bytes) -> bool:
    return header[:4] in VERSION_WORD and header[SALTS] != NO_SALTS


def _map_header(connection: apsw.Connection) -> memoryview:
    file = ctypes.c_void_p()
    found = connection.file_control("main", apsw.SQLITE_FCNTL_FILE_POINTER, ctypes.addressof(file))
    if not found or not file.value:
        raise Unavailable("the VFS does not give its file")
    # Asking the VFS for shared memory would create it, beside a file that is perhaps not ours to change.
    if connection.execute("PRAGMA journal_mode").get != "wal":
        raise Unavailable("the file is not in WAL mode")
    methods = ctypes.cast(file.value, ctypes.POINTER(ctypes.c_void_p))[0]
    if not methods or ctypes.cast(methods, ctypes.POINTER(ctypes.c_int))[0] < 2:
        raise Unavailable("the VFS has no shared memory")
    entry = ctypes.cast(methods, ctypes.POINTER(ctypes.c_void_p))[_XSHMMAP]
    if not entry:
        raise Unavailable("the VFS has no shared memory")
    start = ctypes.c_void_p()
    result = _SHMMAP(entry)(file.value, 0, REGION, 0, ctypes.byref(start))
    if result != apsw.SQLITE_OK or not start.value:
        raise Unavailable(f"the WAL-index is not mapped (result {result})")
    view = memoryview((ctypes.c_char * CHECKPOINTS).from_address(start.value)).cast("B")
    if bytes(view[:4]) not in VERSION_WORD:
        raise Unavailable("the WAL-index has an unknown version")
    return view
