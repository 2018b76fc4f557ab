"""What a statement is, told by compiling it once; remembered by its text.

Nothing in a plan depends on the schema but ``columns``, which are asked for again where that matters.

Ring: shell.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import apsw

#: Stands for any number of parameters, all NULL; APSW's own tools use it, its type stubs do not name it.
_NULLS: Any = apsw._null_bindings  # type: ignore[attr-defined]

_SPACE = re.compile(r"(?:\s|--[^\n]*(?:\n|$)|/\*.*?(?:\*/|$))*", re.DOTALL)
_DML = re.compile(r"(?:INSERT|UPDATE|DELETE|REPLACE)", re.IGNORECASE)
_PRAGMA = re.compile(r"PRAGMA\s+(?:\w+\s*\.\s*)?(\w+)\s*[=(]\s*([^\s;)]+)", re.IGNORECASE)


class Plan(NamedTuple):
    """One statement, compiled and not run."""

    text: str  #: the statement without what follows it
    names: tuple[str | None, ...]  #: of its placeholders, without the sign before them; None where nameless
    named: bool  #: it has placeholders with names
    readonly: bool  #: it writes to no file
    runs: bool  #: it is more than white space and comments
    dml: bool  #: it begins with INSERT, UPDATE, DELETE or REPLACE: by the letter, as sqlite3's implicit transactions go
    columns: tuple[tuple[str, str | None], ...]  #: name and declared type of each column; () where it gives no rows
    rest: str  #: what follows it
    sets: str = ""  #: the PRAGMA that it gives an argument to

    @property
    def places(self) -> int:
        """How many placeholders it has."""
        return len(self.names)


def compile(raw: apsw.Connection, sql: str, *, cached: bool = True) -> Plan:
    """The plan of the first statement in ``sql``; raises apsw.Error where it cannot be compiled."""
    found: list[Plan] = []

    def stop_before_running(cursor: apsw.Cursor, text: str, bindings: object) -> bool:  # noqa: ARG001 - APSW's signature
        found.append(described(cursor, text, sql[len(text) :]))
        return False

    cursor = raw.cursor()
    cursor.exec_trace = stop_before_running
    try:
        cursor.execute(sql, _NULLS, can_cache=cached)
    except apsw.ExecTraceAbort:
        pass
    finally:
        cursor.close(True)
    return found[0] if found else Plan(sql, (), False, True, False, False, (), "")


def described(cursor: apsw.Cursor, text: str, rest: str) -> Plan:
    """The plan of the statement that ``cursor`` is about to run."""
    names = tuple(cursor.bindings_names)
    bare = text[skipped(text) :]
    pragma = _PRAGMA.match(bare)
    return Plan(
        text,
        names,
        any(name is not None and not name.isdigit() for name in names),
        cursor.is_readonly,
        cursor.has_vdbe,
        _DML.match(bare) is not None,
        tuple(cursor.get_description()),
        rest[skipped(rest) :],
        pragma[1].lower() if pragma else "",
    )


def skipped(text: str) -> int:
    """How much white space and comments ``text`` begins with."""
    found = _SPACE.match(text)
    return found.end() if found else 0
