"""Scopes finer than a table: which columns are tracked, changed by `Database.track` and `Database.untrack` (laws 1 and 3).

Ring: shell.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING

import apsw

from .coherence.names import fold
from .coherence.read_set import OWN_TABLES, Relation
from .errors import ConfigError, SQLError
from .sqlite import tracking
from .sqlite.failures import translate
from .sqlite.triggers import catalogue
from .transaction import Transaction

if TYPE_CHECKING:
    from .engine import Engine


log = logging.getLogger("coeval")


def track(engine: Engine, table: str, by: str | Sequence[str]) -> None:
    """`Database.track`."""
    names = _names(table, by)

    def work(raw: apsw.Connection, known: Relation, number: int) -> None:
        anatomy = tracking.examine(raw, known.name)
        spelt = [_column(known.name, name, anatomy.columns) for name in names]
        for name in spelt:
            why = tracking.unfit(anatomy, name)
            if why:
                raise ConfigError(
                    f"{known.name} cannot be tracked by {name}: {why}",
                    hint="Track another column, or leave the table as it is: its results are valid until it changes.",
                )
        tracking.add(raw, number, spelt)

    _change(engine, "track", table, work)
    if find_spec("syntaqlite") is None:
        log.warning(
            "%s is tracked by %s, and in this process its results depend on all of it all the same: the SQL parser is not "
            "installed (pip install 'coeval[track]')", table, ", ".join(names)
        )  # fmt: skip


def untrack(engine: Engine, table: str, by: str | Sequence[str] | None) -> None:
    """`Database.untrack`."""
    names = None if by is None else _names(table, by)

    def work(raw: apsw.Connection, known: Relation, number: int) -> None:
        present = (*tracking.examine(raw, known.name).columns, *tracking.columns(raw).get(number, ()))
        tracking.drop(raw, number, None if names is None else [_column(known.name, name, present) for name in names])

    _change(engine, "untrack", table, work)


def _change(engine: Engine, call: str, table: str, work: Callable[[apsw.Connection, Relation, int], None]) -> None:
    """``work`` in a transaction of its own, at whose end the triggers are made to fit."""
    if engine.settings.coherence != "stamps":
        raise ConfigError(
            f'coherence="clock" leaves the file as it is, so there is nothing to {call}',
            hint="Open it with the default coherence.",
        )

    def change(own: Transaction) -> None:
        connection = own._ready()
        try:
            found = catalogue(connection.raw).relations.get(fold(table))
            if found is not None and found.kind == "table" and found.number is None:  # another program made it just now
                own._store.verify_within(connection)
                found = catalogue(connection.raw).relations[fold(table)]
            known = _ordinary(table, found, catalogue(connection.raw).relations.values)
            assert known.number is not None
            work(connection.raw, known, known.number)
        except apsw.Error as error:
            raise translate(error, connection.path, f"{call} {table}") from error
        own._schema_changed = True

    Transaction(engine, f"{call} {table}").alone(change)


def _ordinary(table: str, found: Relation | None, others: Callable[[], Iterable[Relation]]) -> Relation:
    """``found``, which is called ``table``; raises SQLError where it is nothing that has stamps."""
    if found is None:
        schema, _, name = table.partition(".")
        if fold(schema) == "main" and any(fold(one.name) == fold(name) for one in others()):
            raise SQLError(
                f"no such table: {table}, because tables are named here without the schema they are in",
                hint=f'Leave out `{schema}.`: the table is "{name}".',
            )
        users = [one.name for one in others() if one.kind == "table" and fold(one.name) not in OWN_TABLES]
        raise SQLError(f"no such table: {table}", hint=_near(table, users))
    if fold(found.name) in OWN_TABLES:
        raise SQLError(f"Coeval keeps its stamps in {found.name}", hint="Leave this table alone.")
    if found.kind != "table":
        what = {"view": "a view", "virtual": "a virtual table"}.get(found.kind, "part of a virtual table")
        raise SQLError(
            f"{found.name} is {what}, which has no stamps", hint="Name an ordinary table, such as one that it shows."
        )
    return found


def _names(table: object, by: object) -> list[str]:
    """The columns that were named, each once."""
    if isinstance(by, str):
        by = [by]
    if isinstance(table, str) and isinstance(by, Sequence) and by and all(isinstance(name, str) for name in by):
        return list(dict.fromkeys(by))
    raise SQLError(
        f"A table and its columns are named by text, and these are {table!r} and {by!r}",
        hint='Write db.track("orders", by=["customer_id"]).',
    )


def _column(table: str, name: str, present: Iterable[str]) -> str:
    """The column in the schema's spelling."""
    spelt = {fold(one): one for one in present}
    if fold(name) not in spelt:
        parts = [one.strip() for one in name.split(",")]
        if len(parts) > 1 and spelt.keys() >= set(map(fold, parts)):
            listed = ", ".join(f'"{one}"' for one in parts)
            raise SQLError(f'{table} has no column "{name}": this is one text', hint=f"Give a list: by=[{listed}].")
        raise SQLError(f"{table} has no column {name}", hint=_near(name, spelt.values()))
    return spelt[fold(name)]


def _near(name: str, present: Iterable[str]) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, list(present), 3, 0.5)
    return f"Did you mean {' or '.join(near)}?" if near else "Correct the name."
