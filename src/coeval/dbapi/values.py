"""What becomes of a row's values: ``detect_types``, ``text_factory``, and text that is not UTF-8.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import apsw

from .adapters import as_bytes, converters
from .constants import PARSE_COLNAMES, PARSE_DECLTYPES
from .errors import OperationalError

if TYPE_CHECKING:
    from .cursor import Cursor

Columns = tuple[tuple[str, str | None], ...]
Row = tuple[Any, ...]


@lru_cache(maxsize=1024)
def description(columns: Columns, detect_types: int) -> tuple[tuple[str, None, None, None, None, None, None], ...]:
    """A cursor's description; where names may hold types, what stands before the bracket."""
    cut = bool(detect_types & PARSE_COLNAMES)
    return tuple((name.split(" [")[0] if cut else name, None, None, None, None, None, None) for name, _ in columns)


def conversion(columns: Columns, detect_types: int, text_factory: Any) -> Callable[[Row], Row] | None:
    """What makes the values that a user gets from those that APSW gives; None where they are the same."""
    if text_factory is str and not detect_types:
        return None
    by_column = [_converter(name, declared, detect_types) for name, declared in columns]
    if text_factory is str:
        if not any(by_column):
            return None
        return lambda row: tuple(
            [
                value if convert is None or value is None else _converted(value, convert)
                for value, convert in zip(row, by_column, strict=True)
            ]
        )
    return lambda row: tuple(
        [
            None
            if value is None
            else _converted(value, convert)
            if convert is not None
            else _text(value.encode(), text_factory)
            if type(value) is str
            else _text(value, text_factory)
            if type(value) is Undecoded
            else value
            for value, convert in zip(row, by_column, strict=True)
        ]
    )


def _converted(value: Any, convert: Callable[[bytes], Any]) -> Any:
    """SQLite tells nothing of an empty value but that it is there, so sqlite3 gives None for it."""
    data = as_bytes(value)
    return convert(data) if data else None


class Undecoded(bytes):
    """The bytes of a text that is not UTF-8, on their way to the ``text_factory``."""


def _text(text: bytes, factory: Any) -> Any:
    return bytes(text) if factory is bytes else bytearray(text) if factory is bytearray else factory(bytes(text))


def _converter(name: str, declared: str | None, detect_types: int) -> Callable[[bytes], Any] | None:
    if detect_types & PARSE_COLNAMES and "[" in name:
        kind = name.partition("[")[2].partition("]")
        if kind[1] and (found := converters.get(kind[0].upper())):
            return found
    if detect_types & PARSE_DECLTYPES and declared:
        return converters.get(declared.replace("(", " ").split(" ")[0].upper())
    return None


def undecodable(cursor: Cursor, error: UnicodeDecodeError) -> Any:
    """The row that APSW could not make, with the bytes of its texts; or the error that stands for it.

    APSW decodes all text itself. Where the user's ``text_factory`` is to do it, the statement is run again with its texts as
    blobs, from this row on, beside the first run, which keeps the snapshot open.
    """
    connection = cursor.connection
    plan = connection._plan(cursor._sql)
    columns = plan.columns
    if connection.text_factory is str or cursor._dml:
        return refused(columns, error)
    names = [f"c{number}" for number in range(len(columns))]
    texts = ", ".join(f"CASE typeof({name}) WHEN 'text' THEN CAST({name} AS BLOB) ELSE {name} END" for name in names)
    kinds = ", ".join(f"typeof({name})" for name in names)
    statement = plan.text.rstrip().rstrip(";")
    raw = connection._handle.raw
    again = raw.cursor()
    try:
        again.execute(
            f"WITH _given({', '.join(names)}) AS ({statement}\n) SELECT {texts}, {kinds} FROM _given LIMIT -1 OFFSET {cursor._given}",
            cursor._bound,
        )
    except apsw.Error:
        again.close(True)
        return refused(columns, error)
    first, cursor._cursor = cursor._cursor, Marked(again, len(columns), cursor._cursor)  # type: ignore[assignment]
    del first
    cursor._take()
    return cursor._next


class Marked:
    """Rows of a statement whose texts come as blobs, with their types behind them; takes the place of an APSW cursor."""

    def __init__(self, rows: apsw.Cursor, width: int, beside: Any) -> None:
        self._rows = rows
        self._width = width
        self._beside = beside

    def __iter__(self) -> Iterator[Row]:
        return self

    def __next__(self) -> Row:
        row = next(self._rows)
        kinds = row[self._width :]
        return tuple(
            Undecoded(value) if kind == "text" else value for value, kind in zip(row[: self._width], kinds, strict=True)
        )

    def close(self, force: bool = False) -> None:
        """End both statements."""
        self._rows.close(force)
        self._beside.close(force)


def refused(columns: Columns, error: UnicodeDecodeError) -> OperationalError:
    """The error for a text that is not UTF-8."""
    name = columns[0][0] if len(columns) == 1 else ", ".join(name for name, _ in columns)
    text = bytes(error.object).decode("ascii", "replace")
    return OperationalError(f"Could not decode to UTF-8 column '{name}' with text '{text}'")
