"""The scopes of one call of a statement: of what narrowing proved of its text, with the values that the call binds (laws 1 and 3).

A value counts only where it is compared by plain equality (`buckets.exact`); any other, or too many, and the whole table counts for that
call.

Ring: policy.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .buckets import Tracked, bucket, column_scope, exact
from .references import Constant, Source
from .scopes import Scope, table_scope

#: Buckets of one table in the read set of one call: reading the stamps of more costs more than it saves (law 10).
MOST = 32

Parameters = tuple[Any, ...] | Mapping[str, Any]


class Bound(NamedTuple):
    """One mention of a table: its rows matter only where the column equals one of ``sources``."""

    column: Tracked
    sources: tuple[Source, ...]

    def __str__(self) -> str:
        values = [_spelt(source) for source in self.sources]
        return (
            f"{self.column.name} = {values[0]}" if len(values) == 1 else f"{self.column.name} IN ({', '.join(values)})"
        )


class Narrowed(NamedTuple):
    """A table of which a statement reads no more than the rows of its ``bounds``, one for each mention."""

    table: str
    number: int
    bounds: tuple[Bound, ...]

    def __str__(self) -> str:
        return f"{self.table} by {' and by '.join(dict.fromkeys(map(str, self.bounds)))}"


def scopes_for(whole: Iterable[Scope], narrowed: Iterable[Narrowed], parameters: Parameters) -> tuple[Scope, ...]:
    """``whole``, with buckets in place of each narrowed table's scope where ``parameters`` fit; sorted."""
    scopes = set(whole)
    for table in narrowed:
        found = buckets(table, parameters)
        if found is not None:
            scopes.discard(table_scope(table.number))
            scopes |= found
    return tuple(sorted(scopes))


def buckets(table: Narrowed, parameters: Parameters) -> set[Scope] | None:
    """Scopes of the rows of ``table`` that a call with ``parameters`` can depend on; None: all of it counts."""
    scopes = set()
    for column, sources in table.bounds:
        first = column_scope(table.number, column.slot)
        for source in sources:
            try:
                value = _value(source, parameters)
            except LookupError:
                return None
            if not exact(value, column.affinity):
                return None
            scopes.add(first + bucket(value))
            if len(scopes) > MOST:
                return None
    return scopes


def _value(source: Source, parameters: Parameters) -> Any:
    if isinstance(source, Constant):
        return source.value
    if isinstance(parameters, tuple):
        return parameters[source.number - 1]
    if source.name is None:
        raise LookupError
    return parameters[source.name]


def _spelt(source: Source) -> str:
    if isinstance(source, Constant):
        value = source.value
        return str(value) if isinstance(value, int) else "'{}'".format(value.replace("'", "''"))
    return f"?{source.number}" if source.name is None else f":{source.name}"
