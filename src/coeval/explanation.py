"""What a statement reads, whether it can be cached and why not, and its query plan.

Ring: shell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .coherence.narrowed import buckets
from .sqlite.routing import check_parameters
from .sqlite.statement import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .sqlite.statements import Analysis
    from .sqlite.store import Store


@dataclass(frozen=True)
class Explanation:
    """The answer of `Database.explain`; ``str()`` of it is for people."""

    sql: str
    does: str  #: what running it does, such as "reads"
    reads: tuple[str, ...]  #: tables, through views, CTEs and subqueries
    cacheable: bool
    reasons: tuple[str, ...]  #: why it is not cacheable, or why the clock alone is trusted
    validity: str | None  #: "stamps", "clock", or None where it is not cacheable
    plan: tuple[str, ...]  #: SQLite's EXPLAIN QUERY PLAN, indented by depth
    #: what of its tables a result depends on, where columns are tracked, such as "orders by customer_id = ?1"; else the tables
    scopes: tuple[str, ...] = ()
    coarse: tuple[str, ...] = ()  #: tables that are tracked and count as a whole, each with the reason
    unkept: str | None = None  #: why its results are not kept at the first asking at the moment, though they could be

    def __str__(self) -> str:
        how = {
            "stamps": f"yes; a result is valid until one of these {'tables' if self.scopes == self.reads else 'scopes'} changes",
            "clock": "yes; a result is valid until anything in the file changes",
            None: "no",
        }[self.validity]
        lines = [self.sql.strip(), f"  reads      {', '.join(self.reads) or 'no table'}", f"  cacheable  {how}"]
        lines += [
            f"             {'because' if i == 0 else '    and'} {reason}" for i, reason in enumerate(self.reasons)
        ]
        if self.scopes != self.reads or self.coarse:
            lines += [f"  {'scopes' if i == 0 else '':9}  {scope}" for i, scope in enumerate(self.scopes)]
            lines += [f"  {'coarse' if i == 0 else '':9}  {reason}" for i, reason in enumerate(self.coarse)]
        if self.unkept:
            lines.append(f"  kept       only what is asked for again soon: {self.unkept}")
        lines += [f"  {'plan' if i == 0 else '':9}  {step}" for i, step in enumerate(self.plan)]
        return "\n".join(lines)


def explain(store: Store, sql: str, parameters: tuple[Any, ...] | Mapping[str, Any] = ()) -> Explanation:
    """Analyse ``sql`` afresh. ``parameters`` may be left out; the plan is then for NULLs."""
    analysis = store.renew(sql)
    if parameters:
        check_parameters(analysis.statement, parameters)
    statement, found = analysis.statement, analysis.read_set
    reasons = found.reasons
    if analysis.schema is None:
        reasons = ("the triggers are not verified at this moment", *reasons)
    if store.settings.cache is None:
        reasons = ("the cache is off", *reasons)
    cacheable = not reasons
    by_clock = found.scopes is None
    plan = (
        _plan(store, sql, parameters, statement.count)
        if statement.kind in (Kind.READ, Kind.WRITE) and not statement.explains
        else ()
    )
    return Explanation(
        sql,
        statement.kind.value,
        found.tables,
        cacheable,
        reasons if not cacheable else found.clock,
        None if not cacheable else "clock" if by_clock else "stamps",
        plan,
        *_fineness(analysis, parameters),
    )


def _fineness(
    analysis: Analysis, parameters: tuple[Any, ...] | Mapping[str, Any]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """`Explanation.scopes` and `Explanation.coarse`."""
    found, fine = analysis.read_set, analysis.fineness
    if found.scopes is None or found.reasons:
        return (), ()
    coarse = [f"{table}: {reason}" for table, reason in fine.coarse]
    narrowed = {}
    for one in fine.narrowed:
        if parameters and buckets(one, parameters) is None:
            coarse.append(f"{one.table}: a value is not of its column's type, or they are too many")
        else:
            narrowed[one.table] = str(one)
    return tuple(narrowed.get(table, table) for table in found.tables), tuple(coarse)


def _plan(store: Store, sql: str, parameters: tuple[Any, ...] | Mapping[str, Any], count: int) -> tuple[str, ...]:
    connection = store.readers.take()
    try:
        given: Any = parameters or (None,) * count
        depth: dict[Any, int] = {}
        lines = []
        for number, parent, _, detail in connection.rows(f"EXPLAIN QUERY PLAN {sql}", given):
            depth[number] = depth.get(parent, -1) + 1
            lines.append("  " * depth[number] + detail)
        return tuple(lines)
    finally:
        store.readers.give_back_doubtful(connection)
