"""The settings of a connection: one function each, its docstring the reason.

Every connection gets all of ``EVERY``, in order; the one that creates or first opens the file gets ``FILE`` before.

Ring: shell.
"""

from __future__ import annotations

import apsw

from ..config import Settings


def busy_timeout(connection: apsw.Connection, settings: Settings) -> None:
    """First of all: later settings may have to wait for a lock. Without it the first collision is an error."""
    connection.set_busy_timeout(max(1, int(settings.timeout * 1000)))


def page_size(connection: apsw.Connection, settings: Settings) -> None:
    """Before WAL, and of a new file alone: WAL fixes it. 4,096 bytes write a quarter of the WAL that 16,384 do per small update."""
    connection.execute(f"PRAGMA page_size = {settings.page_size}")


def journal_mode(connection: apsw.Connection, settings: Settings) -> None:
    """WAL: readers never wait for the writer, nor it for them, and the commit clock lives in its index.

    With ``coherence="clock"`` the file's own mode stays as it is: such files are not ours to change.
    """
    if settings.coherence == "stamps":
        connection.execute("PRAGMA journal_mode = WAL").fetchall()


def synchronous(connection: apsw.Connection, settings: Settings) -> None:
    """FULL: a commit is on the disk when it returns (law 6). NORMAL: a power failure may take the last commits."""
    connection.execute(f"PRAGMA synchronous = {'FULL' if settings.durability == 'full' else 'NORMAL'}")


def foreign_keys(connection: apsw.Connection, settings: Settings) -> None:
    """SQLite does not enforce REFERENCES unless each connection asks for it."""
    connection.execute(f"PRAGMA foreign_keys = {'ON' if settings.foreign_keys else 'OFF'}")


def cache_size(connection: apsw.Connection, settings: Settings) -> None:
    """Page cache of one connection, in KiB; the system's own cache stands behind all of them."""
    connection.execute(f"PRAGMA cache_size = -{max(1, settings.cache_size // 1024)}")


def mmap_size(connection: apsw.Connection, settings: Settings) -> None:
    """0: mapped reading widens the window of the WAL-reset bug of old libraries, and turns an I/O error into SIGBUS."""
    connection.execute(f"PRAGMA mmap_size = {settings.mmap_size}").fetchall()


def temp_store(connection: apsw.Connection, settings: Settings) -> None:  # noqa: ARG001 - one shape for all
    """Sorts may leave the page cache for a file when they outgrow it. With MEMORY a sort allocates each row by itself, and frees all
    of them in one step that holds Python's interpreter lock: 15 ms for 200,000 rows, in which no other thread runs."""
    connection.execute("PRAGMA temp_store = FILE")


def wal_autocheckpoint(connection: apsw.Connection, settings: Settings) -> None:  # noqa: ARG001 - one shape for all
    """0: SQLite would checkpoint in whichever commit reaches 1,000 pages, and make its caller wait; `checkpoints` does it beside them."""
    connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()


def checkpoint_on_close(connection: apsw.Connection, settings: Settings) -> None:
    """With Litestream not even the last one to close moves the WAL into the file: it would have to copy the whole database again."""
    if settings.checkpoint == "litestream":
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)


FILE = (busy_timeout, page_size, journal_mode, wal_autocheckpoint, checkpoint_on_close)
EVERY = (
    busy_timeout,
    synchronous,
    foreign_keys,
    cache_size,
    mmap_size,
    temp_store,
    wal_autocheckpoint,
    checkpoint_on_close,
)
