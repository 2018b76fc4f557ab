"""Bulk loading: rows from any iterator into one table, chunk by chunk, each a transaction (laws 1 and 6).

What must hold here:

* The iterator, the progress callback and all conversion of values run without the turn to write; memory holds one chunk.
* Where our triggers are all that would fire they are switched off for the chunk, and the table's stamp is replaced once. They are
  on again before the transaction ends, whatever happens, or later writes would not stamp.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import apsw

from .chunks import Chunk, Values, adapted, by_name, by_place, chunks
from .coherence.names import fold, quoted
from .errors import ConfigError, Error, ParameterError, SQLError
from .sqlite.failures import translate
from .sqlite.target import Target, find, restamp
from .sqlite.triggers import schema_version
from .transaction import Transaction
from .unit import joined

if TYPE_CHECKING:
    from .database import Database
    from .sqlite.connection import Connection

T = TypeVar("T")

#: Placeholders of one statement, about. Several rows a statement are quicker than raw `executemany`: docs/decisions.md.
PARAMETERS = 300

_TRIGGERS = apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER

#: One row's fault, and not the disk's or the lock's.
_OF_A_ROW = (apsw.ConstraintError, apsw.MismatchError, apsw.TooBigError, apsw.SQLError)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What `Database.load` did."""

    rows: int  #: taken from the iterator
    written: int  #: inserted or updated: fewer than ``rows`` where some were left out
    batches: int  #: transactions, or savepoints of the one around


def load(
    face: Database,
    table: str,
    rows: Iterable[Any],
    columns: Sequence[str] | None,
    batch: int,
    upsert: str | Sequence[str] | None,
    progress: Callable[[int], object] | None,
    go_on: Callable[[], object] = bool,
) -> Loaded:
    """`Database.load`, which says the rest. ``go_on`` is called between chunks and with each one's turn, and raises to stop there."""
    if type(batch) is not int or batch < 1:
        raise ConfigError(f"batch is {batch!r}", hint="Give the number of rows of one transaction, 10_000 for example.")
    if isinstance(rows, (str, bytes, Mapping)) or not hasattr(rows, "__iter__"):
        raise ParameterError(
            f"load takes rows, and this is a {type(rows).__name__}", hint="Give an iterable of tuples, lists or dicts."
        )
    what = f"load into {table}"
    wanted, keys = _names(columns), _names(upsert)
    _look(face, what, lambda connection: find(connection.raw, table))  # before anything is taken from the iterator
    within = isinstance(joined(face._engine), Transaction)
    done = written = batches = 0
    try:
        iterator = iter(rows)
        some = list(islice(iterator, 1))
        named = bool(some) and isinstance(some[0], Mapping)
        names = tuple(some[0]) if named and wanted is None else wanted
        plan = _look(face, what, lambda connection: Plan.on(connection, table, names, keys))
        take = by_name(names or (), exact=wanted is None) if named else by_place(plan.columns)
        for chunk in chunks(chain(some, iterator), plan.columns, batch, _together(plan.columns), take):
            go_on()
            written += _settle(face, what, _Writing(plan, chunk, keys, go_on))
            done, batches = done + chunk.rows, batches + 1
            if progress is not None:
                progress(done)
            go_on()
    except BaseException as error:
        _say_how_far(error, done, within=within)
        raise
    return Loaded(done, written, batches)


class Plan:
    """How rows go into a table at one version of its schema."""

    def __init__(self, target: Target, columns: Sequence[str] | None, keys: tuple[str, ...] | None) -> None:
        """``columns``: None for all that can be written. ``keys``: of the upsert; () leaves conflicting rows out; None: no upsert."""
        self.target = target
        self.columns = _checked(target, target.columns if columns is None else columns)
        self.quiet = target.quiet(updates=bool(keys))
        # A row is a statement of its own where it fires triggers, resolves conflicts or meets its foreign keys by itself.
        alone = target.virtual or target.triggers or target.resolves or target.refers_to_itself
        self.together = 1 if alone else _together(self.columns)
        self._row = f"({', '.join('?' * len(self.columns))})"
        self._head = f"INSERT INTO main.{quoted(target.name)} ({', '.join(map(quoted, self.columns))}) VALUES "
        self._tail = "" if keys is None else self._upsert(_checked(target, keys) if keys else ())

    @classmethod
    def on(
        cls, connection: Connection, table: str, columns: Sequence[str] | None, keys: tuple[str, ...] | None
    ) -> Plan:
        """The plan in the connection's present snapshot, once SQLite has compiled it."""
        plan = cls(find(connection.raw, table), columns, keys)
        connection.compile(plan.sql(1))
        return plan

    def sql(self, rows: int) -> str:
        """The statement for so many rows."""
        return f"{self._head}{', '.join([self._row] * rows)}{self._tail}"

    def _upsert(self, keys: tuple[str, ...]) -> str:
        if self.target.virtual:
            raise SQLError(f"{self.target.name} is a virtual table, which has no upsert", hint="Leave `upsert` away.")
        missing = [key for key in keys if key not in self.columns]
        if missing:
            raise SQLError(f"upsert goes by {', '.join(missing)}, which the rows do not give", hint="Load it too.")
        on = f" ON CONFLICT ({', '.join(map(quoted, keys))})" if keys else " ON CONFLICT"
        others = [quoted(column) for column in self.columns if column not in keys]
        if not keys or not others:
            return f"{on} DO NOTHING"
        return f"{on} DO UPDATE SET {', '.join(f'{column} = excluded.{column}' for column in others)}"


def _settle(face: Database, what: str, writing: _Writing) -> int:
    """``writing`` in the transaction of the same context, else in one of its own."""
    unit = joined(face._engine)
    if isinstance(unit, Transaction):
        return writing(unit)
    return Transaction(face._using(), what).alone(writing)


class _Writing:
    """One chunk, to be written in whatever transaction it is called with; all of it or nothing. Gives the number of rows written."""

    def __init__(self, plan: Plan, chunk: Chunk, keys: tuple[str, ...] | None, go_on: Callable[[], object]) -> None:
        self.plan = plan
        self.chunk = chunk
        self.keys = keys
        self.go_on = go_on

    def __call__(self, transaction: Transaction) -> int:
        self.go_on()
        connection = transaction._ready()
        try:
            return transaction._whole(lambda: self._write(connection))
        except apsw.Error as error:
            raise translate(error, connection.path, f"load into {self.plan.target.name}") from error

    def _write(self, connection: Connection) -> int:
        raw, plan = connection.raw, self.plan
        connection.catch_up()
        if (
            schema_version(raw) != plan.target.version
        ):  # since the plan was made triggers may have come, or columns gone
            plan = Plan(find(raw, plan.target.name), plan.columns, self.keys)
        number = plan.target.number
        if number is None or not plan.quiet or not restamp(raw, number):
            return self._insert(connection, plan)
        switch = raw.config
        try:
            try:
                switch(_TRIGGERS, 0)
                return self._insert(connection, plan)
            finally:
                switch(_TRIGGERS, 1)
        finally:  # once more, where an interrupt came just before; it does nothing where they are on
            switch(_TRIGGERS, 1)

    def _insert(self, connection: Connection, plan: Plan) -> int:
        width, changes, cursor = len(plan.columns), connection.raw.changes, connection.raw.cursor()
        place, written = self.chunk.first, 0
        rows, sql = 0, ""
        try:
            for values in _parts(self.chunk.statements, plan.together * width):
                if rows != len(values) // width:
                    rows = len(values) // width
                    sql = plan.sql(rows)
                try:
                    cursor.execute(sql, values)
                except (UnicodeEncodeError, OverflowError):  # half a surrogate pair, more than 64 bits
                    adapted(values, plan.columns, place)
                    raise
                except _OF_A_ROW as error:
                    _blame(connection, plan, values, place, error)
                place += rows
                written += changes()
        finally:
            cursor.close(True)
        return written


def _together(columns: Sequence[str]) -> int:
    return max(1, PARAMETERS // len(columns))


def _parts(statements: Iterable[Values], most: int) -> Iterator[Values]:
    for values in statements:
        if len(values) <= most:
            yield values
        else:
            for start in range(0, len(values), most):
                yield values[start : start + most]


def _blame(connection: Connection, plan: Plan, values: Values, place: int, error: apsw.Error) -> NoReturn:
    """Raise ``error``, which came from one of several rows, for the row it came from: by inserting them one by one, to be undone."""
    raw, width = connection.raw, len(plan.columns)
    last = place + len(values) // width - 1
    if last > place and raw.in_transaction:
        for start in range(0, len(values), width):
            try:
                raw.execute(plan.sql(1), values[start : start + width])
            except apsw.Error as again:
                place = last = place + start // width
                error = again
                break
    where = f"row {place:,}" if place == last else f"rows {place:,} to {last:,}"
    ours = translate(error, connection.path, f"load into {plan.target.name}")
    raise type(ours)(f"{where}: {ours.message}", hint=ours.hint) from error


def _say_how_far(error: BaseException, done: int, *, within: bool) -> None:
    """Have ``error`` tell how many rows are in."""
    if within:
        said = f"{done:,} rows of the load are in the transaction around it, which decides on them."
    elif done:
        said = f"{done:,} rows of the load are committed, and stay."
    else:
        said = "No row of the load was committed."
    if isinstance(error, Error):
        error.hint = f"{error.hint} {said}".strip()
    else:
        error.add_note(said)


# The schema ----------------------------------------------------------------------------------------------------------


def _look(face: Database, what: str, look: Callable[[Connection], T]) -> T:
    """``look`` at the schema: of the transaction around that has begun to write, else as it is now."""
    unit = joined(face._engine)
    if isinstance(unit, Transaction) and unit._connection is not None:
        return _translated(unit._ready(), what, look)
    store, connection = face._using().using(lambda store: (store, store.readers.take()))
    try:
        return _translated(connection, what, look)
    finally:
        store.readers.give_back_doubtful(connection)


def _translated(connection: Connection, what: str, look: Callable[[Connection], T]) -> T:
    try:
        return look(connection)
    except apsw.Error as error:
        raise translate(error, connection.path, what) from error


def _names(given: str | Sequence[str] | None) -> tuple[str, ...] | None:
    return None if given is None else (given,) if isinstance(given, str) else tuple(given)


def _checked(target: Target, names: Iterable[Any]) -> tuple[str, ...]:
    """``names`` in the schema's spelling; raises SQLError for one that cannot be written, or stands twice."""
    known = {fold(column): column for column in target.columns}
    found: list[str] = []
    for name in names:
        column = known.get(fold(name)) if isinstance(name, str) else None
        if column is None:
            generated = isinstance(name, str) and fold(name) in target.generated
            raise SQLError(
                f"{target.name}.{name} is a generated column" if generated else f"no such column: {target.name}.{name}",
                hint=f"These can be written: {', '.join(target.columns)}.",
            )
        if column in found:
            raise SQLError(f"{target.name}.{column} is named twice", hint="Name each column once.")
        found.append(column)
    if not found:
        raise SQLError(f"No column of {target.name} is to be written", hint="Name at least one in `columns`.")
    return tuple(found)
