"""Where work was lost to writes, and which columns would have saved it: `Database.losses`, and tracking them unasked.

Ring: shell.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

import apsw

from .cache.losses import Advice, Sum, worth_tracking
from .coherence.names import fold
from .coherence.read_set import Catalogue, Relation
from .coherence.references import Schema, Table
from .errors import Error, ParameterError
from .sqlite import tracking
from .sqlite.triggers import catalogue

if TYPE_CHECKING:
    from .engine import Engine
    from .sqlite.store import Store

log = logging.getLogger("coeval")

#: Sums that are looked at for tracking.
LOOKED_AT = 50


class Loss(NamedTuple):
    """What a statement lost to writes of one table."""

    statement: str  #: or the name of a cached function
    times: int  #: kept results of it that were found invalid because of the table
    seconds: float  #: that making them had taken
    table: str
    #: track these columns, and writes of other values no longer matter: ``db.track(loss.table, loss.by)``
    by: tuple[str, ...]
    why: str  #: why there are none, or ""


def losses(engine: Engine, most: int) -> tuple[Loss, ...]:
    """`Database.losses`."""
    if type(most) is not int or most < 0:
        raise ParameterError(
            f"The limit of losses is the number of statements to name, not {most!r}",
            hint="Write db.losses(20), or db.losses() for as many.",
        )
    largest = engine.losses.largest(most)
    return engine.using(lambda store: _explained(store, largest)) if largest else ()


def track_by_losses(engine: Engine) -> None:
    """Track the columns that would have saved enough; whoever waits for nothing calls this. Says so in the log, and raises nothing."""
    if find_spec("syntaqlite") is None:
        if not engine.losses.told:
            engine.losses.told = True
            log.warning(
                "auto_track: no column of %s is tracked by itself, though that might pay: the SQL parser is not installed "
                "(pip install 'coeval[track]')", engine.path
            )  # fmt: skip
        return
    try:
        found = losses(engine, LOOKED_AT)
        tracked = engine.using(_tracked)
        advice = [Advice(one.table, one.by, one.times, one.seconds) for one in found]
        for table, by in worth_tracking(advice, {table: many for table, (_, many) in tracked.items()}).items():
            _track(engine, table, by, tracked[table][0])
    except Error as error:
        log.warning("auto_track: %s could not be looked at: %s", engine.path, error)


def _track(engine: Engine, table: str, by: tuple[str, ...], number: int) -> None:
    from .tracked_columns import track

    try:
        track(engine, table, by)
    except Error as error:
        log.warning("auto_track: %s is not tracked by %s: %s", table, ", ".join(by), error)
    else:
        log.info("auto_track: %s is tracked by %s from now on (untrack undoes it)", table, ", ".join(by))
    engine.losses.forget({number})  # where it failed too: to be tried again when as much was lost again


def _tracked(store: Store) -> dict[str, tuple[int, int]]:
    """By table: its number, and how many of its columns are tracked."""
    connection = store.readers.take()
    try:
        slots = tracking.columns(connection.raw)
        return {
            relation.name: (relation.number, len(slots.get(relation.number, ())))
            for relation in catalogue(connection.raw).relations.values()
            if relation.number is not None
        }
    finally:
        store.readers.give_back_doubtful(connection)


def _explained(store: Store, sums: list[Sum]) -> tuple[Loss, ...]:
    connection = store.readers.hold()
    try:
        connection.run("BEGIN")
        names = catalogue(connection.raw)
        tables = {one.number: one for one in names.relations.values() if one.number is not None}
        found = []
        for sum in sums:
            relation = tables.get(sum.number)
            if relation is not None:  # else it is gone
                by, why = _advice(store, connection.raw, sum, relation, names)
                found.append(Loss(sum.name, sum.times, sum.seconds, relation.name, by, why))
        connection.run("COMMIT")
        return tuple(found)
    finally:
        store.readers.let_go(connection)


def _advice(
    store: Store, raw: apsw.Connection, sum: Sum, relation: Relation, names: Catalogue
) -> tuple[tuple[str, ...], str]:
    """The columns of ``relation`` by which the statement would be narrowed if all that can be tracked were; or why there are none."""
    from .coherence.narrowing import narrow  # brings in the parser

    if sum.called:
        return (), "it is a function: look at the statements that it makes"
    try:
        read = store.statements.analyse(sum.name).read_set.tables
    except Error:
        return (), "it fits the schema no more"
    views = frozenset(name for name, one in names.relations.items() if one.kind == "view")
    anatomies = {
        fold(name): tracking.examine(raw, name)
        for name in read
        if (one := names.relations.get(fold(name))) is not None and one.kind == "table"
    }
    schema = {name: _as_if_tracked(anatomy, names.relations[name]) for name, anatomy in anatomies.items()}
    name = fold(relation.name)
    if name not in anatomies:
        return (), f"it reads {relation.name} no more"
    if not schema[name].tracked:
        return (), anatomies[name].reason or f"no column of {relation.name} can be tracked"
    proved: Any = narrow(sum.name, Schema(schema, views)).get(name, f"{relation.name} is not in its text")
    if isinstance(proved, str):
        return (), proved
    present = {fold(column.name) for column in relation.tracked}
    columns = dict.fromkeys(reference.column for reference in proved if reference.column not in present)
    if not columns:
        return (), "it depends on the rows with its values alone already, and those were written"
    spelt = {fold(column): column for column in anatomies[name].columns}
    return tuple(spelt[column] for column in columns), ""


def _as_if_tracked(anatomy: tracking.Anatomy, relation: Relation) -> Table:
    """With what is tracked first, because that costs nothing more."""
    first = {fold(column.name) for column in relation.tracked}
    fit = {
        name: column.affinity for name, column in anatomy.trackable.items() if not tracking.unfit(anatomy, column.name)
    }
    tracked: Mapping[str, str] = {name: fit[name] for name in sorted(fit, key=lambda name: name not in first)}
    plain = {name: column.affinity for name, column in anatomy.trackable.items() if name not in fit}
    return Table(tuple(map(fold, anatomy.columns)), tracked, plain)
