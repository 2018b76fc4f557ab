"""The read set of a statement: which scopes it depends on, and whether its result may be kept at all (laws 2 and 3).

Decided from what SQLite's authorizer reported while the statement was compiled, which sees through views, CTEs and subqueries, and
from a catalogue of what the names mean. Three verdicts:

* by stamps: every table read has triggers of ours; the result depends on those tables and nothing else;
* by the clock: it reads something that has no triggers (virtual and system tables, implicit rowids: holes 1 and 16), so any commit
  to the file may have changed it;
* not at all: it asks for the time, for chance or for this connection, or something unknown is in it (hole 12).

Ring: policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from .buckets import Tracked
from .names import fold
from .scopes import Scope, table_scope

#: Table-valued functions that depend on their arguments alone.
PURE_TABLES = frozenset({"json_each", "json_tree", "jsonb_each", "jsonb_tree"})

#: Modules whose tables live wholly in this file.
FILE_MODULES = frozenset({"fts3", "fts4", "fts5", "fts4aux", "fts5vocab", "rtree", "rtree_i32", "geopoly"})

OWN_TABLES = frozenset({"_coeval_schema", "_coeval_tables", "_coeval_stamps", "_coeval_columns"})


class Read(NamedTuple):
    """One READ that the authorizer reported. Names are in the user's spelling; ``column`` is '' for count(*)."""

    table: str
    column: str
    database: str | None


class Relation(NamedTuple):
    """What a name in the schema means. ``kind``: table, view, virtual, shadow. ``number``: of a table with triggers.

    ``tracked``: columns whose buckets can be trusted. ``distrusted``: others that are tracked, each with why not.
    """

    name: str
    kind: str
    number: int | None = None
    module: str = ""
    tracked: tuple[Tracked, ...] = ()
    distrusted: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Catalogue:
    """The relations of one schema by name in lower case, and what on them cannot be proved."""

    relations: Mapping[str, Relation]
    modules: frozenset[str] = frozenset()  #: virtual table modules, in lower case


class ReadSet(NamedTuple):
    """The verdict. ``scopes``: sorted; None: by the clock alone. ``reasons``: why not at all; empty: cacheable.

    ``tables``: what it reads, in the schema's spelling. ``clock``: why the clock alone is trusted.
    """

    scopes: tuple[Scope, ...] | None
    tables: tuple[str, ...]
    clock: tuple[str, ...]
    reasons: tuple[str, ...]


def read_set(
    reads: Iterable[Read], functions: Iterable[str], catalogue: Catalogue, steady: frozenset[str], *, stamps: bool
) -> ReadSet:
    """Decide. ``steady``: functions that always answer the same; ``stamps``: False where the file has no triggers of ours."""
    scopes: set[Scope] = set()
    tables: set[str] = set()
    clock: dict[str, None] = {}
    reasons: dict[str, None] = {}
    for name in functions:
        if fold(name) not in steady:
            reasons[f"{name}() may answer otherwise the next time"] = None
    for read in reads:
        if read.database not in (None, "main"):
            reasons[f"{read.table} lies outside the main database"] = None
            continue
        name = fold(read.table)
        relation = catalogue.relations.get(name)
        if relation is None:
            if name.startswith("sqlite_"):
                tables.add(read.table)
            _unknown(name, read.table, catalogue.modules, clock, reasons)
            continue
        if relation.kind == "view":
            continue  # the authorizer reports the tables below it as well
        tables.add(relation.name)
        if relation.kind == "virtual" and relation.module not in FILE_MODULES:
            reasons[f"the virtual table {relation.name} may read what is not in this file"] = None
        elif relation.number is None:
            clock[f"{relation.name} is a {_described(relation)} and has no stamp"] = None
        elif read.column.upper() == "ROWID":
            clock[f"it reads the implicit rowid of {relation.name}, which VACUUM may change"] = None
        else:
            scopes.add(table_scope(relation.number))
    if not stamps:
        clock = {'coherence="clock": the file has no stamps': None}
    by_clock = bool(clock)
    return ReadSet(None if by_clock else tuple(sorted(scopes)), tuple(sorted(tables)), tuple(clock), tuple(reasons))


def _unknown(name: str, spelt: str, modules: frozenset[str], clock: dict[str, None], reasons: dict[str, None]) -> None:
    """A name that the schema has not: a system table, a table-valued function, or a CTE, which reads nothing itself."""
    if name in PURE_TABLES:
        clock[f"{spelt} is a table-valued function and has no stamp"] = None
    elif name.startswith("sqlite_temp"):
        reasons[f"{spelt} belongs to one connection"] = None
    elif name.startswith("sqlite_"):
        clock[f"{spelt} is a system table and has no stamp"] = None
    elif name in modules or name.startswith("pragma_"):
        reasons[f"{spelt} may read what is not in this file"] = None


def _described(relation: Relation) -> str:
    if fold(relation.name) in OWN_TABLES:
        return "system table"
    return {"table": "table without triggers", "shadow": "shadow table", "virtual": "virtual table"}[relation.kind]
