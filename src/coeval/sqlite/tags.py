"""Stamps of tags: made together when the first is needed, replaced by `invalidate` (law 2; hole 13).

They are never taken away, so there is none whose absence could be mistaken for that of another. Their number is fixed, and so is the
room that they take: about 64 KiB.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import apsw

from ..coherence.scopes import TAGS, Scope
from .place import Turn

if TYPE_CHECKING:
    from .store import Store


def ensure(store: Store) -> None:
    """See to it that ``store`` has them: one transaction, once in the life of a file. Raises as `Writer.begin`."""
    if None not in store.seen((1, TAGS)).stamps:
        return
    connection = store.writer.begin(Turn("make the stamps of tags"))
    try:
        make(connection.raw)
    except BaseException:
        store.writer.rollback()
        raise
    store.writer.commit()


def make(connection: apsw.Connection) -> None:
    """Make the stamps that are missing, inside a write transaction."""
    connection.execute(
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {TAGS}) "
        "INSERT OR IGNORE INTO main._coeval_stamps SELECT i, random() FROM n"
    )


def replace(connection: apsw.Connection, scopes: Iterable[Scope]) -> None:
    """New stamps for ``scopes``, inside a write transaction."""
    for scope in scopes:
        connection.execute("INSERT OR REPLACE INTO main._coeval_stamps VALUES (?, random())", (scope,))
