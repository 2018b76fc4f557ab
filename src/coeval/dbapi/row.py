"""Rows by position and by name.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self, SupportsIndex

from .cursor import Cursor


class Row:
    """One row: by position, by slice, or by a column's name without regard to the case of ASCII letters.

    Equal where columns and values are, and then of one hash. As ``row_factory`` it is called with the cursor and a tuple.
    """

    __slots__ = ("_description", "_values")

    _description: Any
    _values: tuple[Any, ...]

    def __new__(cls, cursor: Cursor, values: tuple[Any, ...], /) -> Self:
        if not issubclass(type(cursor), Cursor):  # not by __class__, which a user may forge
            raise TypeError(f"Row() argument 1 must be coeval.dbapi.Cursor, not {type(cursor).__name__}")
        if not isinstance(values, tuple):
            raise TypeError(f"Row() argument 2 must be tuple, not {type(values).__name__}")
        row = super().__new__(cls)
        row._description = cursor.description
        row._values = values
        return row

    def __init__(self, cursor: Cursor, values: tuple[Any, ...], /) -> None:
        """As made by ``row_factory``."""

    def keys(self) -> list[str]:
        """The names of the columns, in order."""
        return [column[0] for column in self._description or ()]

    def __getitem__(self, key: SupportsIndex | slice | str) -> Any:
        if isinstance(key, str):
            for number, column in enumerate(self._description or ()):
                if column[0] == key or _same(column[0], key):
                    return self._values[number]
            raise IndexError("No item with that key")
        if isinstance(key, slice):
            return self._values[key]
        if hasattr(type(key), "__index__"):
            try:
                return self._values[key]
            except IndexError as error:
                raise IndexError("tuple index out of range" if abs(int(key)) < 2**63 else str(error)) from None
        raise IndexError("Index must be int or string")

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __hash__(self) -> int:
        return hash(self._description) ^ hash(self._values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row):
            return NotImplemented
        return bool(self._description == other._description and self._values == other._values)


def _same(column: str, name: str) -> bool:
    """Equal but for the case of ASCII letters; of any other text the case counts."""
    return (
        column.isascii() and name.isascii() and column.lower() == name.lower()
        if column.isascii() or name.isascii()
        else _lowered(column) == _lowered(name)
    )


def _lowered(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass").lower()


Sequence.register(Row)
