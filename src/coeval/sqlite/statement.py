"""What a statement is, told by compiling it: routed by what it does, never by how its text begins.

A statement is compiled on a connection whose authorizer reports every table, column, function and action in it, and not run.
That the report was complete is what the read set rests on (laws 2 and 3).

Ring: shell.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import apsw

from ..coherence.names import fold
from ..coherence.read_set import OWN_TABLES, Read
from ..errors import SQLError
from .failures import shorten


class Kind(enum.Enum):
    """What running the statement does."""

    READ = "reads"
    WRITE = "writes rows"
    SCHEMA = "changes the schema"
    TRANSACTION = "controls a transaction"
    PRAGMA = "is a PRAGMA"
    ATTACH = "attaches another file"
    VACUUM = "rebuilds the file"
    NOTHING = "is empty"


class Program(NamedTuple):
    """What the compiled statement opens and calls, whatever the authorizer was told.

    SQLite resolves the columns of USING and NATURAL joins without asking the authorizer, so a table that is only joined on may not
    be reported. What a program does not open cannot change its result under the same schema.
    """

    roots: frozenset[int]  #: root pages of tables and indexes in the main database
    virtual: int  #: how many virtual tables it opens
    elsewhere: bool  #: it opens a table of another database
    functions: frozenset[str]
    opcodes: frozenset[str]


@dataclass(frozen=True)
class Statement:
    """One statement and all that its compilation told."""

    sql: str
    kind: Kind
    count: int = 0  #: placeholders
    names: tuple[str | None, ...] = ()  #: of the placeholders; None where positional
    reads: tuple[Read, ...] = ()
    functions: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()  #: tables that the text itself writes, not what triggers do
    inserts: bool = False
    temporary: bool = False  #: creates something in the temp schema
    pragma: tuple[str, str | None] = ("", None)  #: name and argument
    explains: bool = False
    returns: bool = True  #: it may give rows
    complete: bool = False  #: without a transaction around it, too, it leaves nothing where it fails
    program: Program | None = None  #: of a statement that reads; None where it was not looked at


#: Stands for any number of parameters, all NULL; APSW's own tools use it, its type stubs do not name it.
_NULLS: Any = apsw._null_bindings  # type: ignore[attr-defined]

_CODES = apsw.mapping_authorizer_function
_SCHEMA = frozenset(
    code
    for name, code in _CODES.items()
    if isinstance(name, str)
    and (
        name.startswith(("SQLITE_CREATE_", "SQLITE_DROP_"))
        or name in {"SQLITE_ALTER_TABLE", "SQLITE_REINDEX", "SQLITE_ANALYZE"}
    )
)
_TEMPORARY = frozenset(
    code for name, code in _CODES.items() if isinstance(name, str) and name.startswith("SQLITE_CREATE_TEMP_")
)
#: VACUUM is the one statement that the authorizer is told nothing of.
_VACUUM = re.compile(r"(?:\s|;|--[^\n]*\n|/\*.*?\*/)*VACUUM\b", re.IGNORECASE | re.DOTALL)

_DML = frozenset({apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE})

Action = tuple[int, str | None, str | None, str | None, str | None]


#: PRAGMAs that tell about the file and take the name of a thing, or how many to tell.
_TELLING = frozenset(
    "table_info table_xinfo table_list index_list index_info index_xinfo foreign_key_list foreign_key_check "
    "integrity_check quick_check".split()
)
#: PRAGMAs that do something although they take no argument.
_ACTING = frozenset("optimize incremental_vacuum wal_checkpoint shrink_memory".split())
#: PRAGMAs with an argument that change the file, in a transaction like any other write.
WRITING_PRAGMAS = frozenset("user_version application_id".split())


def only_tells(pragma: str, argument: str | None) -> bool:
    """Whether a PRAGMA only tells something."""
    return fold(pragma) in _TELLING or (argument is None and fold(pragma) not in _ACTING)


class Watcher:
    """The authorizer of one connection: writes down what is asked for, and allows all but PRAGMAs that set something up.

    ``recompiled`` turns True when a statement that reads our schema row is compiled, anew or again. SQLite compiles a
    statement again when the schema has changed, so as long as it stays False the schema is the one last looked at.
    ``heard`` turns True when anything is compiled: what is known of a statement's columns holds where it stayed False.
    While ``shut`` nothing is compiled: what runs then was compiled before.
    """

    __slots__ = ("actions", "heard", "recompiled", "shut")

    def __init__(self) -> None:
        self.actions: list[Action] | None = None
        self.heard = True
        self.recompiled = True
        self.shut = False

    def __call__(self, code: int, a: str | None, b: str | None, c: str | None, d: str | None) -> int:
        self.heard = True
        if self.shut:
            return apsw.SQLITE_DENY
        if a == "_coeval_schema":
            self.recompiled = True
        if self.actions is not None:
            self.actions.append((code, a, b, c, d))
        if code == apsw.SQLITE_PRAGMA and not (only_tells(a or "", b) or fold(a or "") in WRITING_PRAGMAS):
            return apsw.SQLITE_DENY  # SQLite carries many PRAGMAs out while it compiles them
        return apsw.SQLITE_OK


@dataclass
class _Report:
    text: str = ""
    count: int = 0
    names: tuple[str | None, ...] = ()
    readonly: bool = True
    explains: bool = False
    runs: bool = False
    actions: list[Action] = field(default_factory=list)


def check_text(sql: object) -> None:
    """A statement is text that SQLite can take: Unicode without NUL."""
    if not isinstance(sql, str):
        raise SQLError(f"A statement is text, and this is {type(sql).__name__}", hint="Give the SQL as a str.")
    if "\0" in sql or (not sql.isprintable() and not _encodes(sql)):
        raise SQLError(
            f"{shorten(ascii(sql))} has a NUL or half a surrogate pair in it", hint="Pass such values as parameters."
        )


def _encodes(sql: str) -> bool:
    try:
        sql.encode()
    except UnicodeEncodeError:
        return False
    return True


def compile_one(connection: apsw.Connection, watcher: Watcher, sql: str) -> Statement:
    """Compile ``sql``, which must be one statement, in the connection's present snapshot; it is not run.

    Raises apsw.Error where SQLite cannot compile it, SQLError for two statements.
    """
    reports = [report for report in _reports(connection, watcher, sql) if report.runs]
    if any({apsw.SQLITE_PRAGMA, apsw.SQLITE_SELECT} <= {code for code, *_ in report.actions} for report in reports):
        # FTS4, connected for the first time, asks for the page size, which is reported as if the statement did: now it is connected
        reports = [report for report in _reports(connection, watcher, sql) if report.runs]
    if not reports:
        return Statement(sql, Kind.NOTHING)
    if len(reports) > 1:
        raise SQLError(
            f"Two statements in one string: {shorten(reports[0].text, 60)} and {shorten(reports[1].text, 60)}",
            hint="Run them one by one, or all in one transaction with `script`.",
        )
    statement = _judge(sql, reports[0])
    if statement.kind is Kind.READ and not statement.explains and not statement.pragma[0]:
        return replace(statement, program=_program(connection, sql))
    return statement


def _program(connection: apsw.Connection, sql: str) -> Program | None:
    """Opcodes: https://www.sqlite.org/opcode.html"""
    try:
        listing: list[Any] = connection.execute(f"EXPLAIN {sql}", _NULLS, can_cache=False).fetchall()
    except (apsw.Error, UnicodeDecodeError):  # an operand of some opcodes is no text, though SQLite lists it as one
        return None
    opened = [(p2, p3) for _, opcode, _, p2, p3, *_ in listing if opcode in {"OpenRead", "ReopenIdx", "OpenWrite"}]
    return Program(
        frozenset(int(root) for root, database in opened if database == 0),
        len({p4 for _, opcode, _, _, _, p4, *_ in listing if opcode == "VOpen"}),
        any(database != 0 for _, database in opened),
        frozenset(fold(str(p4).partition("(")[0]) for _, opcode, _, _, _, p4, *_ in listing if opcode in _CALLS),
        frozenset(opcode for _, opcode, *_ in listing),
    )


_CALLS = frozenset({"Function", "PureFunc", "AggStep", "AggInverse", "AggValue", "AggFinal"})


def _reports(connection: apsw.Connection, watcher: Watcher, sql: str) -> Iterator[_Report]:
    """A report for each statement in ``sql``; later ones that cannot be compiled yet are reported by their text."""
    rest = sql
    while rest.strip():
        report = _Report()
        try:
            _prepare(connection, watcher, rest, report)
        except apsw.Error:
            if rest is sql:
                raise
            report.text, report.runs = rest, True
        yield report
        if not report.text or report.text == rest:
            return
        rest = rest[len(report.text) :]


def _prepare(connection: apsw.Connection, watcher: Watcher, sql: str, report: _Report) -> None:
    def stop_before_running(cursor: apsw.Cursor, text: str, bindings: object) -> bool:  # noqa: ARG001 - APSW's signature
        report.text = text
        report.count, report.names = cursor.bindings_count, cursor.bindings_names
        report.readonly, report.explains, report.runs = cursor.is_readonly, cursor.is_explain > 0, cursor.has_vdbe
        return False

    cursor = connection.cursor()
    cursor.exec_trace = stop_before_running
    watcher.actions = report.actions
    try:
        cursor.execute(sql, _NULLS, can_cache=False)
    except apsw.ExecTraceAbort:
        pass
    except apsw.AuthError:  # a PRAGMA that we denied: to be refused by its name
        report.text, report.runs = sql, True
    finally:
        watcher.actions = None
        cursor.close(True)


def judge_prepared(cursor: apsw.Cursor, text: str, actions: list[Action]) -> Statement:
    """The statement that ``cursor`` is about to run, for execution traces."""
    report = _Report(
        text,
        cursor.bindings_count,
        cursor.bindings_names,
        cursor.is_readonly,
        cursor.is_explain > 0,
        cursor.has_vdbe,
        actions,
    )
    return _judge(text, report) if report.runs else Statement(text, Kind.NOTHING)


def _judge(sql: str, report: _Report) -> Statement:
    codes = {action[0] for action in report.actions}
    direct = [action for action in report.actions if action[0] in _DML and action[4] is None]
    pragma = next(((a or "", b) for code, a, b, _, _ in report.actions if code == apsw.SQLITE_PRAGMA), None)
    if apsw.SQLITE_TRANSACTION in codes or apsw.SQLITE_SAVEPOINT in codes:
        kind = Kind.TRANSACTION
    elif apsw.SQLITE_ATTACH in codes or apsw.SQLITE_DETACH in codes:
        kind = Kind.ATTACH
    elif report.explains:
        kind = Kind.READ
    elif pragma is not None and apsw.SQLITE_SELECT not in codes:
        kind = Kind.PRAGMA
    elif codes & _SCHEMA:
        kind = Kind.SCHEMA
    elif report.readonly:
        kind = Kind.READ
    elif direct:
        kind = Kind.WRITE
    elif _VACUUM.match(sql):
        kind = Kind.VACUUM
    else:
        kind = Kind.SCHEMA  # such as CREATE INDEX IF NOT EXISTS of one that exists: it compiles to nothing
    return Statement(
        sql,
        kind,
        report.count,
        tuple(report.names),
        tuple(Read(a or "", b or "", c) for code, a, b, c, _ in report.actions if code == apsw.SQLITE_READ),
        frozenset(fold(b or "") for code, _, b, _, _ in report.actions if code == apsw.SQLITE_FUNCTION),
        frozenset(fold(a or "") for _, a, _, _, _ in direct),
        any(code == apsw.SQLITE_INSERT for code, *_ in direct),
        bool(codes & _TEMPORARY),
        pragma or ("", None),
        report.explains,
        kind is not Kind.WRITE or "returning" in fold(sql),
    )


def refuse_touching_ours(statement: Statement) -> None:
    """Writes to the stamps by hand could make a stale entry valid again."""
    touched = statement.writes & OWN_TABLES
    if touched:
        raise SQLError(
            f"{shorten(statement.sql)} writes to {', '.join(sorted(touched))}, where Coeval keeps its stamps",
            hint="Leave these tables alone; `coeval uninstall FILE` removes them.",
        )
