"""Statements analysed once: what they do, what they read, whether their results may be kept (law 3).

The analysis is made on a connection of its own, because an authorizer that reports everything slows compiling down, and is
remembered by the statement's text together with the schema it holds for. Bounded: the oldest half goes when it is full (law 10).

Ring: shell.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from operator import itemgetter
from typing import Any

import apsw

from ..coherence.names import fold
from ..coherence.narrowed import scopes_for
from ..coherence.read_set import OWN_TABLES, PURE_TABLES, Catalogue, Read, ReadSet, read_set
from ..coherence.scopes import Scope
from ..coherence.stamps import Stamp
from ..pace import Pace, Stretch, stretch
from .commit_clock import CommitClock
from .connection import Connection, Hooked, Parameters
from .functions import Functions, Repertoire
from .narrowing import WHOLE, Fineness, fineness
from .readers import Retired
from .routing import may_read
from .statement import Kind, Statement, check_text
from .triggers import catalogue, schema_version

#: Statements remembered at the most, and characters of their texts together.
MOST, MOST_TEXT = 4096, 1 << 24


@dataclass(frozen=True, slots=True)
class Analysis:
    """A statement, its read set, and the schema that both hold for; ``schema`` None: for no schema that is verified."""

    statement: Statement
    read_set: ReadSet
    schema: Stamp
    cacheable: bool
    fineness: Fineness = WHOLE  #: finer than the read set, where columns are tracked

    @property
    def names(self) -> tuple[str | None, ...]:
        """Of the placeholders; None where positional."""
        return self.statement.names

    def scopes_for(self, parameters: Parameters) -> tuple[Scope, ...] | None:
        """What a call with ``parameters`` depends on, sorted; None: by the clock alone."""
        whole = self.read_set.scopes
        if whole is None or not self.fineness.narrowed:
            return whole
        return scopes_for(whole, self.fineness.narrowed, parameters)


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
        #: of each remembered statement that reads, how many placeholders it has; that holds in any schema
        self.readable: dict[str, int] = {}
        #: of those whose placeholders all have names, what takes their values, in order, out of a dict
        self.named: dict[str, Callable[[dict[str, Any]], tuple[Any, ...]]] = {}
        self.pace = Pace()
        #: each remembered statement that writes, and runs nobody's code: it may be made for its caller by another thread (hole 7)
        self.shared: dict[str, Statement] = {}
        self._shared_for: Stamp = None
        self._version = -1  # of the schema when last analysed
        self._text = 0
        self._catalogue: tuple[Stamp, Catalogue] | None = None
        self.latest: Stamp = None  #: the schema as it was last known
        self._searching = connection.raw.searching if isinstance(connection.raw, Hooked) else frozenset[str]()
        self._hooked = _hooked(connection.raw) | self._searching
        self._collations = _foreign_collations(connection.raw)
        self._modules = _modules(connection.raw) - _pristine_modules()
        self.unfit = _unfit(connection.raw)

    def remembered(self, sql: str) -> Analysis | None:
        """The analysis of ``sql``, if it is known and holds as far as is known; nothing is waited for."""
        known = self._known.get(sql)
        return known if known is not None and known.schema == self.latest else None

    def analyse(self, sql: str) -> Analysis:
        """The analysis of ``sql``, remembered or made; another process may have changed the schema since.

        Raises SQLError where it cannot be compiled; Retired.
        """
        known = self._known.get(sql) if type(sql) is str else None
        if known is not None and known.schema == self.latest:
            return known
        return self.renew(sql)

    def sharable(self, sql: str) -> Statement | None:
        """The statement, where it may be made for its caller by another thread (hole 7); None where not, or it is not known yet."""
        if self._shared_for != self.latest:
            self._forget_shared()
        return self.shared.get(sql) if type(sql) is str else None

    def _forget_shared(self) -> None:
        """The schema has changed, if it has: a trigger may call a function of the user's by now."""
        if self._shared_for != self.latest:
            self.shared.clear()
            self._shared_for = self.latest

    def in_doubt(self, connection: Connection) -> bool:
        """Whether `sharable` may be wrong for the schema that ``connection`` sees, which another process may have changed."""
        return bool(self._users_code()) and schema_version(connection.raw) != self._version

    def _users_code(self) -> frozenset[str]:
        return (
            frozenset(fold(function.name) for function in self._functions.given)
            | self._hooked
            | self._collations
            | self._modules
        )

    def renew(self, sql: str) -> Analysis:
        """The analysis of ``sql`` for the schema as it is now."""
        check_text(sql)
        with self._lock:
            if self._closed:
                raise Retired
            try:
                if self._connection.raw.in_transaction:  # an interrupt between two steps has left it so
                    self._connection.run("ROLLBACK")
                self._connection.run("BEGIN")
                schema = self._connection.seen((), self._clock).schema
                statement = self._connection.compile(sql)
                found = self._judge(statement, schema)
                fine = WHOLE
                if found.scopes is not None and not found.reasons:
                    fine = fineness(self._connection.raw, sql, found, self._names(schema))
                shared = (
                    replace(statement, complete=self._complete(statement)) if self._may_be_shared(statement) else None
                )
                self._version = schema_version(self._connection.raw)
                analysis = Analysis(statement, found, schema, schema is not None and not found.reasons, fine)
            except apsw.Error as error:
                raise self._connection.failure(error, sql) from error
            finally:
                if self._connection.raw.in_transaction:  # an I/O error ends it
                    self._connection.run("COMMIT")
            self.latest = schema
            self._forget_shared()
            self._remember(sql, analysis, shared)
            return analysis

    def _remember(self, sql: str, analysis: Analysis, shared: Statement | None) -> None:
        if sql not in self._known:
            self._text += len(sql)
        self._known[sql] = analysis
        if may_read(analysis.statement):
            self.readable[sql] = analysis.statement.count
            if (order := _order(analysis.statement.names)) is not None:
                self.named[sql] = order
            self.pace.learn(sql, analysis.statement.count, self._stretch(analysis.statement))
        elif shared is not None:
            self.shared[sql] = shared
        if len(self._known) > MOST or self._text > MOST_TEXT:
            for old in list(self._known)[: (len(self._known) + 1) // 2]:
                del self._known[old]
                self.readable.pop(old, None)
                self.named.pop(old, None)
                self.pace.forget(old)
                self.shared.pop(old, None)
                self._text -= len(old)

    def forget(self) -> None:
        """The functions or collations have changed: analyse everything anew."""
        with self._lock:
            self._known.clear()
            self.readable.clear()
            self.named.clear()
            self.pace.clear()
            self.shared.clear()
            self._text = 0
            self._catalogue = None

    def close(self) -> None:
        with self._lock:
            self._closed = True
            self._connection.close()

    def doubt(self, sql: str) -> None:
        """``sql`` was compiled anew, perhaps for another schema: what is known of it is found out again."""
        with self._lock:
            self.shared.pop(sql, None)
            self.readable.pop(sql, None)
            self.named.pop(sql, None)
            if self._known.pop(sql, None) is not None:
                self._text -= len(sql)

    def _complete(self, statement: Statement) -> bool:
        """OR FAIL, ON CONFLICT FAIL and RAISE(FAIL) leave what was done before (hole 29); rows may fail to be converted."""
        if statement.returns or "fail" in fold(statement.sql):
            return False
        found: Any = self._connection.raw.execute(
            "SELECT 1 FROM main.sqlite_schema WHERE sql LIKE '%fail%' LIMIT 1"
        ).get
        return found is None

    def _may_be_shared(self, statement: Statement) -> bool:
        if statement.kind is not Kind.WRITE or statement.temporary or statement.writes & OWN_TABLES or self.unfit:
            return False
        names = self._users_code()
        if not names:
            return True
        # The authorizer reports functions, but not those of CHECKs, generated columns and indexes, and no collations.
        texts: list[Any] = self._connection.raw.execute(
            "SELECT sql FROM main.sqlite_schema WHERE sql NOT NULL"
        ).fetchall()
        whole = fold(" ".join((statement.sql, *(text for (text,) in texts))))
        return not any(name in whole for name in names)

    def _judge(self, statement: Statement, schema: Stamp) -> ReadSet:
        if statement.kind is not Kind.READ or statement.explains:
            what = "explains" if statement.explains else statement.kind.value
            touched = {read.table for read in statement.reads} | statement.writes
            return ReadSet(None, tuple(sorted(touched - OWN_TABLES)), (), (f"it {what}",))
        names = self._names(schema)
        reads, functions, hidden = self._whole(statement, names)
        judged = read_set(reads, functions, names, self._steady(), stamps=self._stamps)
        ranked = self._searching and any(_is_virtual(read, names) for read in reads)
        if ranked:  # a ranking of the user's may stand behind the column rank, of which the authorizer tells nothing
            hidden = (*hidden, "it may search with a function of FTS5 that on_connect registers")
        reasons = (*self.unfit, *judged.reasons, *hidden, *self._collated(statement, reads))
        return judged._replace(reasons=reasons)

    def _whole(
        self, statement: Statement, names: Catalogue
    ) -> tuple[tuple[Read, ...], frozenset[str], tuple[str, ...]]:
        """What it reads and calls by the authorizer and by its program together, and what of that cannot be named."""
        program = statement.program
        if program is None:
            return (
                statement.reads,
                statement.functions,
                ("its program cannot be looked at",),
            )
        rows: list[Any] = self._connection.raw.execute(
            "SELECT rootpage, tbl_name FROM main.sqlite_schema WHERE rootpage > 0"
        ).fetchall()
        owners: dict[int, str] = {1: "sqlite_schema", **dict(rows)}
        reads = (*statement.reads, *(Read(owners[root], "", "main") for root in program.roots if root in owners))
        hidden = []
        if program.elsewhere or not program.roots <= owners.keys():
            hidden.append("it opens a table outside the main schema")
        if program.virtual > len({fold(read.table) for read in statement.reads if _is_virtual(read, names)}):
            hidden.append("it opens a virtual table that SQLite does not name")
        return reads, statement.functions | program.functions, tuple(hidden)

    def _stretch(self, statement: Statement) -> Stretch:
        program = statement.program
        if self._collated(statement, statement.reads):
            return Stretch.ANY
        if program is None:
            return Stretch.SOME
        own = {fold(function.name) for function in self._functions.given}
        return stretch(program.opcodes, statement.functions | program.functions, _pristine().names - own - self._hooked)

    def _names(self, schema: Stamp) -> Catalogue:
        if self._catalogue is None or schema is None or self._catalogue[0] != schema:
            self._catalogue = schema, catalogue(self._connection.raw)
        return self._catalogue[1]

    def _steady(self) -> frozenset[str]:
        pristine = _pristine()
        given = [f for f in self._functions.given if not f.collation]
        own = {fold(f.name) for f in given if f.deterministic} - {fold(f.name) for f in given if not f.deterministic}
        return (pristine.steady - self._hooked - {fold(f.name) for f in given}) | (own - pristine.names)

    def _collated(self, statement: Statement, reads: tuple[Read, ...]) -> tuple[str, ...]:
        """Collations of the user are code of this process; the authorizer does not report them, so their names are looked for."""
        text = fold(statement.sql)
        tables = {fold(read.table) for read in reads}
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


def _order(names: tuple[str | None, ...]) -> Callable[[dict[str, Any]], tuple[Any, ...]] | None:
    match names:
        case ():
            return None
        case (str() as name,):
            return lambda values: (values[name],)
        case _:
            return None if None in names else itemgetter(*names)


def _is_virtual(read: Read, names: Catalogue) -> bool:
    name = fold(read.table)
    relation = names.relations.get(name)
    if relation is None:
        return name in PURE_TABLES or name in names.modules or name.startswith("pragma_")
    return relation.kind == "virtual"


@lru_cache(maxsize=1)
def _pristine() -> Repertoire:
    connection = apsw.Connection(":memory:")
    try:
        return Repertoire(connection)
    finally:
        connection.close()


def _hooked(connection: apsw.Connection) -> frozenset[str]:
    """Functions that ``on_connect`` added or replaced: of those nothing is known."""
    return _pristine().changed_by(connection)


def _modules(connection: apsw.Connection) -> frozenset[str]:
    listed: list[Any] = connection.execute("PRAGMA module_list").fetchall()
    return frozenset(fold(name) for (name,) in listed)


@lru_cache(maxsize=1)
def _pristine_modules() -> frozenset[str]:
    connection = apsw.Connection(":memory:")
    try:
        return _modules(connection)
    finally:
        connection.close()


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
