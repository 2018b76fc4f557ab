"""Leaving: the file becomes plain SQLite again.

Ring: shell.
"""

from __future__ import annotations

import os
from contextlib import suppress

import apsw

from .errors import OpenError, ReentryError
from .sqlite import triggers
from .sqlite.failures import translate
from .sqlite.queue_file import SUFFIX


def uninstall(path: str | os.PathLike[str]) -> list[str]:
    """Remove every table and trigger of Coeval from the file ``path``, in one durable transaction; the names that were removed.

    The queue file beside it goes, too.

    Stop the programs that have it open through Coeval first: they would put them back. Raises ReentryError where this process
    has, OpenError where there is no such file, LockTimeoutError where another keeps writing.
    """
    from .engine import is_open

    name = os.path.realpath(path)
    if is_open(name):
        raise ReentryError(
            f"{name} is open in this process", hint="Close it first; an open database would install them again."
        )
    if not os.path.isfile(name):
        raise OpenError(f"{name} does not exist", hint="Name the database file.")
    try:
        connection = apsw.Connection(name, flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            connection.set_busy_timeout(5000)
            connection.execute("PRAGMA wal_autocheckpoint = 0").fetchall()
            connection.execute("BEGIN IMMEDIATE")
            removed = triggers.remove(connection)
            connection.execute("COMMIT")
        finally:
            connection.close()
    except apsw.Error as error:
        raise translate(error, name) from error
    with suppress(OSError):
        os.unlink(f"{name}{SUFFIX}")
    return removed
