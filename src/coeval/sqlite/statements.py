"""Statements analysed once: what they do, what they read, whether their results may be kept (law 3).

The analysis is made on a connection of its own, because an authorizer that reports everything slows compiling down, and is
remembered by the statement's text together with the schema it holds for. Bounded: the oldest half goes when it is full (law 10).

Ring: shell.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from functools import lru_cache

import apsw

from ..coherence.names import fold
from ..coherence.read_set import Catalogue, ReadSet, read_set
from ..coherence.scopes import Scope
from ..coherence.stamps import Stamp
from .commit_clock import CommitClock
from .connection import Connection, Hooked
from .functions import Functions, Repertoire
from .readers import Retired
from .statement import Kind, Statement, check_text
from .triggers import catalogue

#: Statements remembered at the most.
MOST = 4096


@dataclass(frozen=True, slots=True)
class Analysis:
    """A statement, its read set, and the schema that both hold for; ``schema`` None: for no schema that is verified."""

    statement: Statement
    read_set: ReadSet
    schema: Stamp
    cacheable: bool
    scopes: tuple[Scope, ...] | None


class Statements:
    """The analyses of one store."""

    def __init__(self, connection: Connection, clock: CommitClock, functions: Functions, *, stamps: bool) -> None:
        """Takes ``connection`` over; ``stamps``: False where the file has no triggers of ours."""
        self._connection = connection
        self._clock = clock
        self._functions = functions
        self._stamps = stamps
        self._lock = threading.Lock()
        self._closed = False
        self._known: dict[str, Analysis] = {}
        self._catalogue: tuple[Stamp, Catalogue] | None = None
        self.latest: Stamp = None  #: the schema as it was last known
        self._hooked = _hooked(connection.raw)
        self._collations = _foreign_collations(connection.raw)
        self.unfit = _unfit(connection.raw)

    def analyse(self, sql: str) -> Analysis:
        """The analysis of ``sql``, remembered or made; another process may have changed the schema since.

        Raises SQLError where it cannot be compiled; Retired.
        """
        known = self._known.get(sql) if type(sql) is str else None
        if known is not None and known.schema == self.latest:
            return known
        return self.renew(sql)

    def renew(self, sql: str) -> Analysis:
        """The analysis of ``sql`` for the schema as it is now."""
        check_text(sql)
        with self._lock:
            if self._closed:
                raise Retired
            self._connection.run("BEGIN")
            try:
                schema = self._connection.seen((), self._clock).schema
                statement = self._connection.compile(sql)
                found = self._judge(statement, schema)
                analysis = Analysis(statement, found, schema, schema is not None and not found.reasons, found.scopes)
            finally:
                self._connection.run("COMMIT")
            if len(self._known) >= MOST:
                for old in list(self._known)[: MOST // 2]:
                    del self._known[old]
            self._known[sql] = analysis
            self.latest = schema
            return analysis

    def forget(self) -> None:
        """The functions or collations have changed: analyse everything anew."""
        with self._lock:
            self._known.clear()
            self._catalogue = None

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._connection.close()

    def _judge(self, statement: Statement, schema: Stamp) -> ReadSet:
        names = self._names(schema)
        judged = read_set(statement.reads, statement.functions, names, self._steady(), stamps=self._stamps)
        reasons = (*self.unfit, *judged.reasons, *self._collated(statement))
        if statement.kind is not Kind.READ or statement.explains:
            reasons = (f"it {'explains' if statement.explains else statement.kind.value}", *reasons)
        return judged._replace(reasons=reasons)

    def _names(self, schema: Stamp) -> Catalogue:
        if self._catalogue is None or schema is None or self._catalogue[0] != schema:
            self._catalogue = schema, catalogue(self._connection.raw)
        return self._catalogue[1]

    def _steady(self) -> frozenset[str]:
        pristine = _pristine()
        given = [f for f in self._functions.given if not f.collation]
        own = {fold(f.name) for f in given if f.deterministic} - {fold(f.name) for f in given if not f.deterministic}
        return (pristine.steady - self._hooked - {fold(f.name) for f in given}) | (own - pristine.names)

    def _collated(self, statement: Statement) -> tuple[str, ...]:
        """Collations of the user are code of this process; the authorizer does not report them, so their names are looked for."""
        text = fold(statement.sql)
        tables = {fold(read.table) for read in statement.reads}
        for name in self._functions.collations | self._collations:
            used = name in text
            if not used and tables:
                rows = self._connection.raw.execute(
                    "SELECT lower(tbl_name) FROM sqlite_schema WHERE instr(lower(sql), ?)", (name,)
                )
                used = any(table in tables for (table,) in rows.fetchall())
            if used:
                return (f"it may use the collation {name}, which is not SQLite's own",)
        return ()


@lru_cache(maxsize=1)
def _pristine() -> Repertoire:
    connection = apsw.Connection(":memory:")
    try:
        return Repertoire(connection)
    finally:
        connection.close()


def _hooked(connection: apsw.Connection) -> frozenset[str]:
    """Functions that ``on_connect`` added or replaced: of those nothing is known."""
    return _pristine().changed_by(connection)[0]


def _foreign_collations(connection: apsw.Connection) -> frozenset[str]:
    """Collations that are not SQLite's own, and those of its own that ``on_connect`` replaced."""
    listed = frozenset(fold(name) for _, name in connection.execute("PRAGMA collation_list")) - _SQLITE_COLLATIONS
    return listed | connection.collations if isinstance(connection, Hooked) else listed


_SQLITE_COLLATIONS = frozenset({"binary", "nocase", "rtrim"})


def _unfit(connection: apsw.Connection) -> tuple[str, ...]:
    """Why no statement of these connections may be cached, after ``on_connect`` (hole 12)."""
    reasons = []
    if any(name not in ("main", "temp") for _, name, _ in connection.execute("PRAGMA database_list").fetchall()):
        reasons.append("on_connect attaches another file")
    if connection.execute("SELECT count(*) FROM sqlite_temp_schema").get:
        reasons.append("on_connect makes temporary objects, which may hide others")
    if not connection.execute("SELECT 'a' LIKE 'A'").get:
        reasons.append("on_connect sets case_sensitive_like")
    return tuple(reasons)
