"""What a read gives back: ``Row``, a tuple that knows its column names, and ``Result``, the answer of a write.

Rows are shared between callers and threads, so they are tuples and never change. Every list of column names has one
subclass of ``Row`` that carries the names, which makes a row as small as a tuple and ``map(row_type(names), cursor)``
as quick as making one: no row has a ``__new__``, an ``__init__`` or a ``__dict__`` of its own.

Unpacking, iterating, comparing and hashing run at the speed of a tuple. ``row[0]`` and ``row["name"]`` pass through one
Python function, because a tuple cannot look names up by itself; in the tightest loop, unpack.

Ring: policy.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Never, SupportsIndex, overload

from .errors import ColumnError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["Result", "Row", "row_type"]

_KEPT_TYPES = 1024
_SHOWN_NAMES = 20

_item = tuple.__getitem__


class Row(tuple[Any, ...]):
    """One row: a tuple that also answers ``row["name"]``.

    It equals the plain tuple of its values, hashes like it, and unpacks like it. A slice is a plain tuple. A name that
    two columns share raises ``ColumnError``, and so does one that no column has.
    """

    __slots__ = ()

    _fields: ClassVar[tuple[str, ...]] = ()
    """The column names, in order, doubtful ones included."""
    _index: ClassVar[Mapping[str, int]] = MappingProxyType({})
    """The place of every name that only one column has."""

    @overload
    def __getitem__(self, key: str, /) -> Any: ...
    @overload
    def __getitem__(self, key: SupportsIndex, /) -> Any: ...
    @overload
    def __getitem__(self, key: slice, /) -> tuple[Any, ...]: ...
    def __getitem__(self, key: str | SupportsIndex | slice, /) -> Any:
        if type(key) is str:
            try:
                return _item(self, self._index[key])
            except KeyError:
                pass
            _refuse(self._fields, key)
        if isinstance(key, str):  # a member of a StrEnum, say
            return self[str.__str__(key)]
        return _item(self, key)

    def keys(self) -> tuple[str, ...]:
        """The column names, in order; ``dict(row)`` works through it."""
        return self._fields

    def asdict(self) -> dict[str, Any]:
        """A new dict of the row. Raises ``ColumnError`` where two columns have one name, since one would be lost."""
        if len(self._index) != len(self._fields):
            _refuse(self._fields, next(name for name in self._fields if name not in self._index))
        return dict(zip(self._fields, self, strict=True))

    def __repr__(self) -> str:
        if len(self._fields) != len(self):
            return f"Row{tuple.__repr__(self)}"
        shown = (name if name.isidentifier() else repr(name) for name in self._fields)
        return f"Row({', '.join(f'{name}={value!r}' for name, value in zip(shown, self, strict=True))})"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (self._fields, tuple(self)))

    def __copy__(self) -> Row:
        return self


@lru_cache(maxsize=_KEPT_TYPES)
def row_type(names: tuple[str, ...]) -> type[Row]:
    """The ``Row`` of these column names: ``tuple(map(row_type(names), cursor))``.

    Call it with tuples of exactly ``len(names)`` values; for speed nobody counts them again. Safe from any thread. The
    most recently used types are kept; a row whose type was dropped goes on working, and equals rows of its successor.
    """
    names = tuple(map(sys.intern, names))
    index = {name: place for place, name in enumerate(names) if names.count(name) == 1}
    body = {"__slots__": (), "__module__": __name__, "_fields": names, "_index": MappingProxyType(index)}
    return type("Row", (Row,), body)


def _rebuild(names: tuple[str, ...], values: Iterable[Any]) -> Row:
    return (row_type(names) if names else Row)(values)


def _refuse(names: tuple[str, ...], name: str) -> Never:
    """Say why ``name`` finds no column among ``names``: there is none, or there are several."""
    count = names.count(name)
    if count > 1:
        raise ColumnError(
            f"{count} columns of this row are named {name!r}",
            hint=f"Give each a name of its own in the SELECT, like t.{name} AS t_{name}, or use its number: row[0].",
        )
    if not names:
        raise ColumnError(f"this row has no column {name!r}: its columns have no names", hint="Use the number: row[0].")
    from difflib import get_close_matches

    shown = ", ".join(names[:_SHOWN_NAMES]) + (", …" if len(names) > _SHOWN_NAMES else "")
    folded = {known.casefold(): known for known in names}
    close = get_close_matches(name.casefold(), folded, n=1)
    cure = f"Did you mean {folded[close[0]]!r}?" if close else "Add it to the SELECT, or name it there with AS."
    raise ColumnError(f"this row has no column {name!r}; it has {shown}", hint=cure)


@dataclass(frozen=True, slots=True)
class Result:
    """What a write did. ``rows`` are those of a RETURNING clause.

    ``rowcount`` counts the rows that the statement itself changed, ``lastrowid`` is the rowid of the last row that it
    inserted, or None when it inserted none.
    """

    rowcount: int
    lastrowid: int | None
    rows: tuple[Row, ...] = ()
