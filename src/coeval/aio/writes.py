"""The writing calls for asyncio, the same on a database and in a transaction.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ParameterError
from ..reads import adapted
from ..rows import Result
from ..values import adapt_parameters

if TYPE_CHECKING:
    from ..sqlite.connection import Parameters

T = TypeVar("T")

#: Rows of `executemany` that are looked through on the loop's thread.
FEW = 200


class AsyncWrites:
    """Writing calls over `_write`, `_write_many` and `_write_script`, as in `coeval.writes.Writes`, and raising the same.

    Nothing of them waits on the loop's thread. Outside a transaction, a call that is cancelled before its write has begun is
    dropped; a write that has begun is committed, though nobody hears of it.
    """

    async def _write(self, sql: str, parameters: Parameters) -> Result:
        raise NotImplementedError  # pragma: no cover

    async def _write_many(self, sql: str, parameters: Sequence[Parameters]) -> Result:
        raise NotImplementedError  # pragma: no cover

    async def _write_script(self, sql: str) -> None:
        raise NotImplementedError  # pragma: no cover

    async def _worker(self, call: Callable[[], T]) -> T:
        """What ``call`` gives, in a worker."""
        raise NotImplementedError  # pragma: no cover

    async def execute(self, sql: str, *params: Any) -> Result:
        """Run one statement, with values one by one or one dict for ``:names``.

        Outside a transaction it is durable on return, at the configured level, and visible to every later read; writes that wait at
        the same time are committed together, each of them succeeding or failing alone. In a transaction that is cancelled while a
        write runs, all of the transaction is rolled back.
        """
        return await self._write(sql, adapted(params))

    async def executemany(self, sql: str, rows: Iterable[Sequence[Any] | Mapping[str, Any]]) -> Result:
        """Run one statement once for each of ``rows``, all in one transaction; ``rowcount`` is the sum.

        ``rows`` is read to its end before the turn is taken; where it is long, or no list, in a worker.
        """
        if not isinstance(rows, Iterable):
            raise ParameterError(
                f"executemany takes rows, and this is {type(rows).__name__}", hint="Give a list of tuples or dicts."
            )

        def read() -> list[Parameters]:
            return [adapt_parameters(row) for row in rows]

        short = isinstance(rows, list | tuple) and len(rows) <= FEW
        return await self._write_many(sql, read() if short else await self._worker(read))

    async def script(self, sql: str) -> None:
        """Run a text of statements in one transaction, each to its end. Transaction control in it is refused."""
        await self._write_script(sql)
