"""Restoring an older copy, so that no process serves a result that is not true of it (hole 9).

The copy is prepared aside first: its triggers are verified and its schema stamp is new, so whatever moment another process looks at, the
contents vouch for themselves. Then SQLite's backup replaces the pages in one transaction.

Ring: shell.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import apsw

from ..errors import DamagedError, NotADatabaseError, OpenError
from .triggers import verify


def restore(connection: apsw.Connection, source: str, path: str, *, stamps: bool) -> None:
    """Replace the contents of ``connection``, which has the turn and no transaction, by those of the file ``source``.

    ``stamps``: False where the file gets no tables and triggers of ours.
    """
    if not os.path.isfile(source):
        raise OpenError(f"{source} does not exist or is no file", hint="Name the SQLite file to restore from.")
    if os.path.samefile(source, path):
        raise OpenError(f"{source} is the open database itself", hint="Name an older copy of it.")
    folder = os.path.dirname(path)
    with tempfile.TemporaryDirectory(prefix=".coeval-restore-", dir=folder) as aside:
        prepared = apsw.Connection(os.path.join(aside, "prepared.db"))
        try:
            _copy(source, prepared, connection.execute("PRAGMA page_size").get)
            if stamps:
                prepared.execute("BEGIN IMMEDIATE")
                verify(prepared)
                prepared.execute("UPDATE _coeval_schema SET stamp = random()")
                prepared.execute("COMMIT")
            with connection.backup("main", prepared, "main") as backup:
                backup.step(-1)  # one step: under steady writers a stepwise backup never ends
        finally:
            prepared.close()


def _copy(source: str, prepared: apsw.Connection, page_size: int) -> None:
    try:
        original = apsw.Connection(_address(source), flags=apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI)
    except apsw.CantOpenError as error:
        raise OpenError(f"{source} cannot be opened: {error}", hint="Look at its permissions.") from error
    try:
        with prepared.backup("main", original, "main") as backup:
            backup.step(-1)
        found = prepared.execute("PRAGMA quick_check(1)").get
        if found != "ok":
            raise DamagedError(f"{source} is damaged: {found}", hint="Restore from another copy.")
        prepared.execute("PRAGMA journal_mode = DELETE").fetchall()
        if prepared.execute("PRAGMA page_size").get != page_size:
            prepared.execute(f"PRAGMA page_size = {page_size}")
            prepared.execute("VACUUM")  # pages in WAL mode keep their size, so the copy takes the target's
    except apsw.NotADBError as error:
        raise NotADatabaseError(f"{source} is not a SQLite database", hint="Name a SQLite file.") from error
    except apsw.CorruptError as error:
        raise DamagedError(f"{source} is damaged: {error}", hint="Restore from another copy.") from error
    finally:
        original.close()


def _address(source: str) -> str:
    """Without a WAL beside it the copy is read as it lies there: a reader of a WAL file would leave two files behind."""
    wal = f"{source}-wal"
    alone = not os.path.exists(wal) or os.path.getsize(wal) == 0
    return f"{Path(source).absolute().as_uri()}{'?immutable=1' if alone else ''}"
