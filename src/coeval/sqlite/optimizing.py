"""PRAGMA optimize, now and then: statistics of tables that have grown since they were last counted.

Which have is asked on a reader; ours stay small. Only then is the turn taken, because counting writes; and because it changes the
schema, as SQLite counts that, the triggers are verified in the same transaction.

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

#: Say which tables should be counted, of all and not only those that this connection has read; but do not do it.
_ASK = "PRAGMA optimize = 0x10003"
#: Count no more than so many rows of each index.
_LIMIT = "PRAGMA analysis_limit = 2000"


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
            due = [
                sql
                for (sql,) in connection.raw.execute(_ASK).fetchall()
                if isinstance(sql, str) and '."_coeval_' not in sql
            ]
            if not due:
                return False
            connection.raw.execute(_LIMIT).fetchall()
            store.writer.alone("PRAGMA optimize")
            try:
                connection.raw.execute("BEGIN IMMEDIATE")
                for sql in due:
                    connection.raw.execute(sql).fetchall()
                repaired = store.verify_within(connection)
                connection.raw.execute("COMMIT")
            finally:
                store.writer.rollback()
        finally:
            store.readers.discard(connection)
        store.verified(repaired)
        self._tell("optimized")
        return True
