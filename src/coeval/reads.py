"""The reading calls, the same on a database, in a transaction and in a snapshot.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, overload

from .cache.key import PLAIN, statement_key
from .cache.lookup import Request
from .errors import ManyRowsError, NoRowError, ResultError
from .rows import Row
from .sqlite.failures import shorten
from .sqlite.statement import check_text
from .streams import RowStream
from .values import adapt_parameters

T = TypeVar("T")


def request(sql: str, params: tuple[Any, ...], limit: int | None = None) -> Request:
    """The request for ``sql`` with ``params`` as the caller gave them: values one by one, or one dict of named ones."""
    if type(sql) is not str:
        check_text(sql)
    parameters = adapted(params)
    return Request(sql, parameters, statement_key(sql, parameters, limit), limit)


def adapted(params: tuple[Any, ...]) -> tuple[Any, ...] | Mapping[str, Any]:
    """Values one by one, or the one dict of named ones, as SQLite takes them; raises ParameterError."""
    given: tuple[Any, ...] | Mapping[str, Any] = params
    if len(params) == 1 and type(params[0]) not in PLAIN and isinstance(params[0], Mapping):
        given = params[0]
    return adapt_parameters(given)


class Reads:
    """Reading calls over `_read` and `_stream`.

    ``params`` are values for the placeholders, one by one, or one dict for ``:names``. ``into`` is a dataclass, msgspec.Struct,
    TypedDict or NamedTuple, made afresh from each row by column names. All raise SQLError for a statement that does not read or
    cannot be compiled, ParameterError, ClosedError, ConversionError, LockTimeoutError, PoolTimeoutError, DamagedError, StorageError.
    """

    def _read(self, sql: str, params: tuple[Any, ...], limit: int | None) -> tuple[Row, ...]:
        raise NotImplementedError  # pragma: no cover

    def _stream(self, sql: str, params: tuple[Any, ...]) -> RowStream[Row]:
        raise NotImplementedError  # pragma: no cover

    @overload
    def query(self, sql: str, *params: Any, into: None = None) -> tuple[Row, ...]: ...
    @overload
    def query(self, sql: str, *params: Any, into: type[T]) -> tuple[T, ...]: ...
    def query(self, sql: str, *params: Any, into: type[Any] | None = None) -> tuple[Any, ...]:
        """All rows, as of a moment after the call began. The tuple and its rows are immutable and may be shared."""
        rows = self._read(sql, params, None)
        return rows if into is None else _made(rows, into)

    @overload
    def one(self, sql: str, *params: Any, into: None = None) -> Row: ...
    @overload
    def one(self, sql: str, *params: Any, into: type[T]) -> T: ...
    def one(self, sql: str, *params: Any, into: type[Any] | None = None) -> Any:
        """The only row. Raises NoRowError, ManyRowsError."""
        rows = _only(self._read(sql, params, 2), sql)
        return rows[0] if into is None else _made(rows, into)[0]

    @overload
    def first(self, sql: str, *params: Any, into: None = None) -> Row | None: ...
    @overload
    def first(self, sql: str, *params: Any, into: type[T]) -> T | None: ...
    def first(self, sql: str, *params: Any, into: type[Any] | None = None) -> Any:
        """The first row, or None. No more than one is fetched."""
        rows = self._read(sql, params, 1)
        if not rows:
            return None
        return rows[0] if into is None else _made(rows, into)[0]

    def scalar(self, sql: str, *params: Any) -> Any:
        """The only value of the only row. Raises NoRowError, ManyRowsError, ResultError for several columns."""
        (row,) = _only(self._read(sql, params, 2), sql)
        if len(row) != 1:
            raise ResultError(
                f"One value was asked for and {shorten(sql)} gives {len(row)} columns",
                hint="Use `one`, or select one column.",
            )
        return row[0]

    @overload
    def iterate(self, sql: str, *params: Any, into: None = None) -> RowStream[Row]: ...
    @overload
    def iterate(self, sql: str, *params: Any, into: type[T]) -> RowStream[T]: ...
    def iterate(self, sql: str, *params: Any, into: type[Any] | None = None) -> RowStream[Any]:
        """Rows one by one, never cached, all of one snapshot, in memory for one row.

        The snapshot and its connection are held until the iterator ends or is closed (it has ``close()``, and is a context manager);
        a reader that stays open keeps the WAL from being reset, so end it soon. One made in a transaction or snapshot ends with that.
        """
        stream = self._stream(sql, params)
        return stream if into is None else stream._each(lambda row: _made((row,), into)[0])


def _made(rows: tuple[Row, ...], into: type[T]) -> tuple[T, ...]:
    from .into import into_rows  # brings in msgspec, which takes longer to import than all of Coeval

    return into_rows(rows, into)


def _only(rows: tuple[Row, ...], sql: str) -> tuple[Row, ...]:
    if not rows:
        raise NoRowError(f"{shorten(sql)} gives no row", hint="Use `first` where there may be none.")
    if len(rows) > 1:
        raise ManyRowsError(
            f"{shorten(sql)} gives more than one row", hint="Use `query`, `first`, or a narrower condition."
        )
    return rows
