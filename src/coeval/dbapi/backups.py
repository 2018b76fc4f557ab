"""Copying a database into another connection's.

What a file is to contain is prepared aside first, with triggers of ours verified and a new schema stamp, so that whatever moment another
process looks at, the contents vouch for themselves (hole 9).

Ring: shell.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import apsw

from ..errors import Error
from ..sqlite.triggers import verify
from . import errors
from .handle import Handle

if TYPE_CHECKING:
    from .connection import Connection

Progress = Callable[[int, int, int], object] | None
_WAITING = (apsw.BusyError, apsw.LockedError)


def copy(source: Connection, target: Connection, pages: int, progress: Progress, name: str, sleep: float) -> None:
    """As `Connection.backup`, with its arguments checked."""
    with source._lock, target._lock:
        handle = target._live()
        if handle.raw.in_transaction:
            raise errors.made(errors.OperationalError, "target is in transaction", apsw.SQLITE_ERROR)
        try:
            if handle.engine is None:
                _steps(source, handle.raw, pages, progress, name, sleep)
            else:
                _into_file(source, handle, pages, progress, name, sleep)
        except apsw.Error as error:
            raise target._error(error) from error


def _steps(
    source: Connection, target: apsw.Connection, pages: int, progress: Progress, name: str, sleep: float
) -> None:
    with target.backup("main", source._live().raw, name) as backup:
        done = False
        while not done:
            status: int = apsw.SQLITE_OK
            try:
                done = backup.step(pages)
            except _WAITING as error:
                status = errors.result_of(error) & 0xFF
            if progress is not None:
                progress(apsw.SQLITE_DONE if done else status, backup.remaining, backup.page_count)
            if status in {apsw.SQLITE_BUSY, apsw.SQLITE_LOCKED}:
                time.sleep(sleep)


def _into_file(source: Connection, handle: Handle, pages: int, progress: Progress, name: str, sleep: float) -> None:
    assert handle.engine is not None
    with tempfile.TemporaryDirectory(prefix=".coeval-backup-", dir=os.path.dirname(handle.engine.path)) as aside:
        prepared = apsw.Connection(os.path.join(aside, "prepared.db"))
        try:
            _steps(source, prepared, pages, progress, name, sleep)
            prepared.execute("PRAGMA journal_mode = DELETE").fetchall()
            size = handle.raw.execute("PRAGMA page_size").get
            if prepared.execute("PRAGMA page_size").get != size:
                prepared.execute(f"PRAGMA page_size = {size}")
                prepared.execute("VACUUM")  # pages in WAL mode keep their size, so the copy takes the target's
            if handle.engine.settings.coherence == "stamps":
                prepared.execute("BEGIN IMMEDIATE")
                verify(prepared)
                prepared.execute("UPDATE _coeval_schema SET stamp = random()")
                prepared.execute("COMMIT")
            handle.enter("backup")
            with handle.raw.backup("main", prepared, "main") as backup:
                backup.step(-1)
        except Error as error:
            raise errors.made(errors.OperationalError, str(error), apsw.SQLITE_ERROR) from error
        finally:
            handle.settle()
            prepared.close()
    handle.engine.forget()
