"""The writing calls, the same on a database and in a transaction.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .errors import ParameterError
from .reads import adapted
from .rows import Result
from .values import adapt_parameters

if TYPE_CHECKING:
    from .sqlite.connection import Parameters


class Writes:
    """Writing calls over `_write`, `_write_many` and `_write_script`.

    All raise SQLError, ParameterError, ConstraintError, LockTimeoutError naming the holder, DiskFullError, StorageError,
    DamagedError, NotWritableError, ClosedError. A call that raises outside a transaction has written nothing.
    """

    def _write(self, sql: str, parameters: Parameters) -> Result:
        raise NotImplementedError  # pragma: no cover

    def _write_many(self, sql: str, parameters: Sequence[Parameters]) -> Result:
        raise NotImplementedError  # pragma: no cover

    def _write_script(self, sql: str) -> None:
        raise NotImplementedError  # pragma: no cover

    def execute(self, sql: str, *params: Any) -> Result:
        """Run one statement, with values one by one or one dict for ``:names``.

        Outside a transaction it is durable on return, at the configured level, and visible to every later read. Writes that wait at
        the same time are committed together: each succeeds or fails alone, is answered after the commit, and may be made more than
        once before it. One that is interrupted while it waits is dropped; once it has begun it is made.
        """
        return self._write(sql, adapted(params))

    def executemany(self, sql: str, rows: Iterable[Sequence[Any] | Mapping[str, Any]]) -> Result:
        """Run one statement once for each of ``rows``, all in one transaction; ``rowcount`` is the sum.

        ``rows`` is read to its end before the turn is taken, so that its code never runs while others wait. The rest is as with
        `execute`; all of ``rows`` are written or none.
        """
        if not isinstance(rows, Iterable):
            raise ParameterError(
                f"executemany takes rows, and this is {type(rows).__name__}", hint="Give a list of tuples or dicts."
            )
        return self._write_many(sql, [adapt_parameters(row) for row in rows])

    def script(self, sql: str) -> None:
        """Run a text of statements in one transaction, each to its end. Transaction control in it is refused."""
        self._write_script(sql)
