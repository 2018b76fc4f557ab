"""What a statement reads of tracked tables, narrowed by its text (law 3).

Ring: shell.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import apsw

from ..coherence.names import fold
from ..coherence.narrowed import Bound, Narrowed
from ..coherence.read_set import Catalogue, ReadSet, Relation
from ..coherence.references import Schema, Table
from .tracking import affinity_of


class Fineness(NamedTuple):
    """How fine the read set of a statement is. ``coarse``: tables of which all counts although they are tracked, and why."""

    narrowed: tuple[Narrowed, ...] = ()
    coarse: tuple[tuple[str, str], ...] = ()


#: No table is tracked.
WHOLE = Fineness()


def fineness(connection: apsw.Connection, sql: str, found: ReadSet, names: Catalogue) -> Fineness:
    """Of ``sql``, which SQLite has compiled in the present snapshot of ``connection`` and which reads ``found``, by stamps."""
    tables = [relation for name in found.tables if (relation := names.relations.get(fold(name))) is not None]
    if not any(relation.tracked or relation.distrusted for relation in tables):
        return WHOLE
    narrowed: list[Narrowed] = []
    coarse = [(relation.name, f"{column}: {why}") for relation in tables for column, why in relation.distrusted]
    if any(relation.tracked for relation in tables):
        from ..coherence.narrowing import narrow  # brings in the parser, for those who track

        said = narrow(sql, _schema(connection, tables, names))
        for relation in tables:
            if not relation.tracked or relation.number is None:
                continue
            proved = said.get(fold(relation.name), f"{relation.name} is not in its text")
            if isinstance(proved, str):
                coarse.append((relation.name, proved))
                continue
            columns = {fold(column.name): column for column in relation.tracked}
            bounds = tuple(Bound(columns[reference.column], reference.sources) for reference in proved)
            narrowed.append(Narrowed(relation.name, relation.number, bounds))
    return Fineness(tuple(narrowed), tuple(coarse))


def _schema(connection: apsw.Connection, tables: list[Relation], names: Catalogue) -> Schema:
    views = frozenset(name for name, relation in names.relations.items() if relation.kind == "view")
    return Schema({fold(one.name): _table(connection, one) for one in tables if one.kind == "table"}, views)


def _table(connection: apsw.Connection, relation: Relation) -> Table:
    rows: list[Any] = connection.execute(
        "SELECT name, type, hidden FROM pragma_table_xinfo(?, 'main')", (relation.name,)
    ).fetchall()
    tracked = {fold(column.name): column.affinity for column in relation.tracked}
    plain = {
        fold(name): affinity
        for name, declared, hidden in rows
        if not hidden
        and fold(name) not in tracked
        and (affinity := affinity_of(declared)) is not None
        and connection.column_metadata("main", relation.name, name)[1].upper() == "BINARY"
    }
    return Table(tuple(fold(name) for name, _, _ in rows), tracked, plain)
