"""Stamps of tags and of plain values: made together when the first is needed, replaced by who changes them (law 2; hole 13).

They are never taken away, so there is none whose absence could be mistaken for that of another. Their number is fixed, and so is the
room that they take: about 64 KiB. Where somebody else took them away, or the table that they are in, they are made anew, and are other
numbers then.

Ring: shell.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

import apsw

from ..coherence.scopes import TAGS, Scope
from ..errors import Error

if TYPE_CHECKING:
    from .connection import Connection
    from .store import Store

log = logging.getLogger("coeval")


def ensure(store: Store) -> bool:
    """See to it that ``store`` has them, where that can be done at once: one transaction, once in the life of a file. True where it has."""
    seen = store.seen((1, TAGS))
    if seen.schema is None and not store.verify():
        return False
    if None not in seen.stamps:
        return True
    try:
        return store.writer.at_leisure("make the stamps of tags", make) is not None
    except (apsw.Error, Error) as error:
        log.warning("%s: tags can have no stamps now, so nothing that has one is cached: %s", store.path, error)
        return False


def make(connection: Connection) -> bool:
    """Make the stamps that are missing, inside a write transaction. True."""
    connection.change(
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {TAGS}) "
        "INSERT OR IGNORE INTO main._coeval_stamps SELECT i, random() FROM n",
        (),
    )
    return True


def replace(connection: Connection, scopes: Iterable[Scope]) -> None:
    """New stamps for ``scopes``, inside a write transaction."""
    for scope in scopes:
        connection.change("INSERT OR REPLACE INTO main._coeval_stamps VALUES (?, random())", (scope,))
