"""PRAGMA optimize, now and then: statistics of tables that have grown since they were last counted.

Whether any has is looked at on a reader. Only then is the turn taken, because counting writes; and because it changes the schema, as SQLite
counts that, the triggers are verified in the same transaction.

Ring: shell.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import apsw

from ..errors import Error
from .readers import Retired

if TYPE_CHECKING:
    from collections.abc import Callable

    from .store import Store

log = logging.getLogger("coeval")

#: Seconds after opening before the first time, so that short programs are spared; and between two times.
FIRST, EVERY = 30.0, 4 * 3600.0

#: All tables, not only those of this connection's own statements; count no more than some 2,000 rows of each index.
_WHAT = 0x10012
_ASK = _WHAT | 1  #: only say what would be done


class Optimizing:
    """When it is due, and doing it. For one thread."""

    def __init__(self, store: Store, tell: Callable[..., None]) -> None:
        self._store = store
        self._tell = tell
        self._next = time.monotonic() + FIRST
        #: files with another's schema stay as they are
        self._wanted = store.writable and store.settings.coherence == "stamps"

    def due(self, now: float) -> bool:
        """Whether it is time."""
        return self._wanted and now >= self._next

    def run(self) -> bool:
        """Do it; True where anything had to be counted. Its result is durable then, and every statement sees it. Raises Retired."""
        self._next = time.monotonic() + EVERY
        try:
            return self._run()
        except Retired:
            raise
        except (apsw.Error, Error) as error:
            log.info("%s: PRAGMA optimize was not possible: %s", self._store.path, error)
            return False

    def _run(self) -> bool:
        store = self._store
        connection = store.readers.take()  # one of those, because they are waited for before a fork
        try:
            connection.raw.authorizer = None  # it keeps such PRAGMAs from users
            connection.raw.set_busy_timeout(0)
            if not connection.raw.execute(f"PRAGMA optimize = {_ASK}").fetchall():
                return False
            store.writer.alone("PRAGMA optimize")
            try:
                connection.raw.execute("BEGIN IMMEDIATE")
                connection.raw.execute(f"PRAGMA optimize = {_WHAT}").fetchall()
                store.verify_within(connection)
                connection.raw.execute("COMMIT")
            finally:
                store.writer.rollback()
        finally:
            store.readers.discard(connection)
        self._tell("optimized")
        return True
