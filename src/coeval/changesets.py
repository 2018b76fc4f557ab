"""Changesets: what a transaction changed, as bytes, and applying that to another copy of the data (SQLite's session extension).

Our own tables are in no changeset and are left out of foreign ones (hole 17): stamps that travelled would vouch, in another file, for
results that were made from other rows. After applying one, every table that it touched has a new stamp.

Format: https://www.sqlite.org/session/changeset.html

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

import apsw

from .coherence.names import fold
from .coherence.read_set import OWN_TABLES
from .coherence.scopes import block
from .errors import ClosedError, ConstraintError, ParameterError
from .sqlite.failures import translate

if TYPE_CHECKING:
    from types import TracebackType

    from .transaction import Transaction

_REASONS = {
    apsw.SQLITE_CHANGESET_DATA: "the row is there, and is not what it was",
    apsw.SQLITE_CHANGESET_NOTFOUND: "there is no such row",
    apsw.SQLITE_CHANGESET_CONFLICT: "there is such a row already",
    apsw.SQLITE_CHANGESET_CONSTRAINT: "a constraint refuses it",
    apsw.SQLITE_CHANGESET_FOREIGN_KEY: "a foreign key refuses it",
}
_REPLACEABLE = frozenset({apsw.SQLITE_CHANGESET_DATA, apsw.SQLITE_CHANGESET_CONFLICT})

Conflict = Literal["abort", "omit", "replace"]


@dataclass(frozen=True)
class Applied:
    """What `apply` did: the tables that the changeset names, and how many of its changes met a conflict and were left out or replaced."""

    tables: tuple[str, ...]
    conflicts: int


class Recording:
    """The changes made while its block runs, by this transaction, to tables that have a PRIMARY KEY."""

    def __init__(self, transaction: Transaction, tables: tuple[str, ...]) -> None:
        """``tables``: their names; none for all."""
        for table in tables:
            if fold(table) in OWN_TABLES:
                raise ParameterError(f"{table} is Coeval's own", hint="Record your own tables.")
        self._transaction = transaction
        self._tables = tables
        self._session: apsw.Session | None = None
        self._changeset: bytes | None = None

    @property
    def changeset(self) -> bytes:
        """The changes, once the block has ended; b'' where there were none. They are durable only when the transaction has committed."""
        if self._changeset is None:
            raise ClosedError("The recording has not ended", hint="Read `changeset` after its `with` block.")
        return self._changeset

    def __enter__(self) -> Self:
        connection = self._transaction._ready()
        session = apsw.Session(connection.raw, "main")
        if self._tables:
            for table in self._tables:
                session.attach(table)
        else:
            session.table_filter(lambda name: fold(name) not in OWN_TABLES)
            session.attach()
        self._session = session
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        session, self._session = self._session, None
        if session is not None:
            try:
                if error is None:
                    self._changeset = session.changeset()
            finally:
                session.close()


def apply(transaction: Transaction, changeset: object, conflict: Conflict) -> Applied:
    """`Database.apply`, in ``transaction``."""
    if not isinstance(changeset, bytes) or conflict not in ("abort", "omit", "replace"):
        raise ParameterError(
            f"apply takes the bytes of a changeset and what to do in a conflict, not {type(changeset).__name__}, {conflict!r}",
            hint='Give `recording.changeset`, and conflict="abort", "omit" or "replace".',
        )
    connection = transaction._ready()
    raw = connection.raw
    tables: dict[str, None] = {}
    met: list[str] = []

    def wanted(name: str) -> bool:
        if fold(name) in OWN_TABLES:
            return False
        tables[name] = None
        return True

    raw.authorizer = None  # SQLite sets a PRAGMA for this itself, which ours would deny
    try:
        apsw.Changeset.apply(changeset, raw, filter=wanted, conflict=_resolver(conflict, met))
        _restamp(raw, tuple(tables))
    except apsw.AbortError as error:
        raise ConstraintError(
            f"The changeset does not fit: {met[-1] if met else error}",
            hint='Nothing of it was applied. conflict="omit" leaves such changes out, "replace" makes them prevail.',
        ) from error
    except apsw.CorruptError as error:
        raise ParameterError("These bytes are no changeset", hint="Give what `recording.changeset` gave.") from error
    except apsw.Error as error:
        raise translate(error, connection.path, "apply") from error
    finally:
        raw.authorizer = connection.watcher
    return Applied(tuple(tables), len(met))


def _resolver(conflict: Conflict, met: list[str]) -> Callable[[int, Any], int]:
    def resolve(reason: int, change: Any) -> int:
        table = "" if reason == apsw.SQLITE_CHANGESET_FOREIGN_KEY else f" in an {change.op} of {change.name}"
        met.append(f"{_REASONS.get(reason, 'it cannot be applied')}{table}")
        if conflict == "replace" and reason in _REPLACEABLE:
            return apsw.SQLITE_CHANGESET_REPLACE
        return apsw.SQLITE_CHANGESET_ABORT if conflict == "abort" else apsw.SQLITE_CHANGESET_OMIT

    return resolve


def _restamp(raw: apsw.Connection, tables: tuple[str, ...]) -> None:
    """New stamps, whatever triggers ran or did not."""
    if raw.execute("SELECT 1 FROM main.sqlite_schema WHERE name = '_coeval_tables'").get is None:
        return
    names = {fold(table) for table in tables}
    numbers: list[Any] = raw.execute("SELECT id, name FROM main._coeval_tables").fetchall()
    for number, name in numbers:
        if fold(name) in names:
            raw.execute("UPDATE main._coeval_stamps SET stamp = random() WHERE id BETWEEN ? AND ?", block(number))
