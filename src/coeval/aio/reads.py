"""The reading calls for asyncio, the same on a database, in a transaction and in a snapshot.

Ring: shell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from ..reads import Reads, _made, _only
from ..rows import Row

if TYPE_CHECKING:
    from .streams import AsyncRowStream

T = TypeVar("T")


class AsyncReads:
    """Reading calls over `_read` and `_stream`, as in `coeval.reads.Reads`, and raising the same.

    Short reads run on the loop's thread under a step budget and give way to it; others run in a worker. Cancelled, a call leaves
    at once: a read that has not begun is dropped, another is interrupted, and its connection is clean for the next.
    """

    async def _read(self, sql: str, params: tuple[Any, ...], limit: int | None) -> tuple[Row, ...]:
        raise NotImplementedError  # pragma: no cover

    def _stream(self, sql: str, params: tuple[Any, ...]) -> AsyncRowStream[Row]:
        raise NotImplementedError  # pragma: no cover

    @overload
    async def query(self, sql: str, *params: Any, into: None = None) -> tuple[Row, ...]: ...
    @overload
    async def query(self, sql: str, *params: Any, into: type[T]) -> tuple[T, ...]: ...
    async def query(self, sql: str, *params: Any, into: type[Any] | None = None) -> tuple[Any, ...]:
        """All rows, as of a moment after the call began. The tuple and its rows are immutable and may be shared."""
        rows = await self._read(sql, params, None)
        return rows if into is None else _made(rows, into)

    @overload
    async def one(self, sql: str, *params: Any, into: None = None) -> Row: ...
    @overload
    async def one(self, sql: str, *params: Any, into: type[T]) -> T: ...
    async def one(self, sql: str, *params: Any, into: type[Any] | None = None) -> Any:
        """The only row. Raises NoRowError, ManyRowsError."""
        rows = _only(await self._read(sql, params, 2), sql)
        return rows[0] if into is None else _made(rows, into)[0]

    @overload
    async def first(self, sql: str, *params: Any, into: None = None) -> Row | None: ...
    @overload
    async def first(self, sql: str, *params: Any, into: type[T]) -> T | None: ...
    async def first(self, sql: str, *params: Any, into: type[Any] | None = None) -> Any:
        """The first row, or None. No more than one is fetched."""
        rows = await self._read(sql, params, 1)
        if not rows:
            return None
        return rows[0] if into is None else _made(rows, into)[0]

    async def scalar(self, sql: str, *params: Any) -> Any:
        """The only value of the only row. Raises NoRowError, ManyRowsError, ResultError for several columns."""
        return _Known(await self._read(sql, params, 2)).scalar(sql)

    @overload
    def iterate(self, sql: str, *params: Any, into: None = None) -> AsyncRowStream[Row]: ...
    @overload
    def iterate(self, sql: str, *params: Any, into: type[T]) -> AsyncRowStream[T]: ...
    def iterate(self, sql: str, *params: Any, into: type[Any] | None = None) -> AsyncRowStream[Any]:
        """Rows for ``async for``, never cached, all of one snapshot, in memory for some hundred rows.

        The snapshot and its connection are held from the first row until the iterator ends or is closed (``await stream.close()``, or
        ``async with``); end it soon. What is wrong with the statement is raised with the first row. One made in a transaction or
        snapshot ends with that.
        """
        stream = self._stream(sql, params)
        return stream if into is None else stream._each(lambda row: _made((row,), into)[0])


class _Known(Reads):
    """Rows that were read already, for the checks of `Reads`."""

    def __init__(self, rows: tuple[Row, ...]) -> None:
        self._rows = rows

    def _read(self, sql: str, params: tuple[Any, ...], limit: int | None) -> tuple[Row, ...]:  # noqa: ARG002 - they are here
        return self._rows
