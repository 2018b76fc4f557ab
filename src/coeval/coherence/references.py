"""What is known of the tables when a statement is narrowed, and what narrowing says: which rows each reference to a table can depend on.

Ring: policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Table:
    """An ordinary table. All names are folded.

    ``columns``: every one, generated and hidden ones too. ``tracked``: those whose values have scopes, with their affinity,
    ``"INTEGER"`` or ``"TEXT"``; their collation is BINARY. ``plain``: others of which the same is true but that have no scopes: an
    equality may lead through them from one table to another.
    """

    columns: tuple[str, ...]
    tracked: Mapping[str, str] = field(default_factory=dict)
    plain: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Schema:
    """The main schema: its ordinary tables and its views, by folded name. What is in neither is unknown."""

    tables: Mapping[str, Table]
    views: frozenset[str] = frozenset()


class Constant(NamedTuple):
    """A value written in the statement."""

    value: int | str


class Parameter(NamedTuple):
    """A value bound when the statement runs: item ``number - 1`` of a sequence, or ``name`` in a mapping.

    ``name`` is without its sigil; None: the placeholder has none (``?`` and ``?5``).
    """

    number: int
    name: str | None = None


Source = Constant | Parameter


class Reference(NamedTuple):
    """One mention of a table: its rows matter only where ``column`` equals one of ``sources``, compared as SQLite's ``=`` does.

    A source that is NULL equals nothing.
    """

    column: str
    sources: tuple[Source, ...]


#: Every mention of one table in a statement.
Narrowing = tuple[Reference, ...]
