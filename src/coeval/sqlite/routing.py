"""Which statement may go through which call, refused before anything runs.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..coherence.names import fold
from ..errors import ParameterError, SQLError
from .failures import shorten
from .statement import WRITING_PRAGMAS, Kind, Statement, only_tells, refuse_touching_ours

_CONTROL = "`with db.transaction():` commits at the end of its block, and rolls back where that raises; `script` runs a text of statements."


def may_read(statement: Statement) -> bool:
    """Whether `query` and its like may run it."""
    return statement.kind is Kind.READ or (statement.kind is Kind.PRAGMA and _only_tells(statement))


def check_read(statement: Statement) -> None:
    """For `query` and its like: the statement must read."""
    if may_read(statement):
        return
    if statement.kind in (Kind.WRITE, Kind.SCHEMA):
        raise SQLError(
            f"{shorten(statement.sql)} {statement.kind.value}, and this call only reads", hint="Use `execute` for it."
        )
    _refuse(statement)


def check_write(statement: Statement, *, in_transaction: bool) -> None:
    """For `execute` and its like: anything but what would end or escape the transaction around it."""
    refuse_touching_ours(statement)
    if statement.temporary and not in_transaction:
        raise SQLError(
            f"{shorten(statement.sql)} makes something temporary, which only one connection would see",
            hint="Make and use it inside one `with db.transaction():`; it is gone afterwards.",
        )
    if statement.kind in (Kind.READ, Kind.WRITE, Kind.SCHEMA):
        return
    if statement.kind is Kind.PRAGMA and (_only_tells(statement) or fold(statement.pragma[0]) in WRITING_PRAGMAS):
        return
    _refuse(statement)


def check_parameters(statement: Statement, parameters: tuple[Any, ...] | Mapping[str, Any]) -> None:
    """One value for each placeholder, by name or by place."""
    if type(parameters) is tuple and len(parameters) == statement.count:
        return
    if isinstance(parameters, Mapping):
        if None in statement.names:
            raise ParameterError(
                f"{shorten(statement.sql)} has placeholders without a name, and the values came by name",
                hint="Write `:name` for each placeholder, or give the values one by one.",
            )
        missing = [name for name in statement.names if name not in parameters]
        if missing:
            raise ParameterError(
                f"{shorten(statement.sql)} asks for {', '.join(f':{name}' for name in missing)}, and no such value was given",
                hint=f"Given were: {', '.join(sorted(map(str, parameters))) or 'none'}.",
            )
    elif len(parameters) != statement.count:
        raise ParameterError(
            f"{shorten(statement.sql)} has {statement.count} placeholder{'' if statement.count == 1 else 's'}, "
            f"and {len(parameters)} value{' was' if len(parameters) == 1 else 's were'} given",
            hint="Give the values one by one after the statement: query(sql, a, b), or one dict for :names.",
        )


def _only_tells(statement: Statement) -> bool:
    return only_tells(*statement.pragma)


def _refuse(statement: Statement) -> None:
    said = shorten(statement.sql)
    match statement.kind:
        case Kind.NOTHING:
            raise SQLError(f"There is no statement in {said!r}", hint="Give one SQL statement.")
        case Kind.TRANSACTION:
            raise SQLError(f"{said} controls a transaction that other calls rely on", hint=_CONTROL)
        case Kind.VACUUM:
            raise SQLError(f"{said} {statement.kind.value}, outside any transaction", hint="Call `db.vacuum()`.")
        case Kind.ATTACH:
            raise SQLError(
                f"{said} {statement.kind.value} to one connection of several",
                hint="Open the other file with coeval.open.",
            )
        case _:
            raise SQLError(
                f"{said} would set up one connection of several, or change what stamps rest on",
                hint="Use a setting of coeval.open, or set it on every connection with `on_connect`.",
            )
