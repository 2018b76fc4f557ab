"""The writing calls, the same on a database and in a transaction.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import ParameterError
from .reads import adapted
from .rows import Result
from .values import adapt_parameters

if TYPE_CHECKING:
    from .sqlite.connection import Parameters
    from .transaction import Transaction

T = TypeVar("T")


class Writes:
    """Writing calls over `_own`, which gives the transaction that they run in: this one, or one of their own.

    All raise SQLError, ParameterError, ConstraintError, LockTimeoutError naming the holder, DiskFullError, StorageError,
    DamagedError, NotWritableError, ClosedError. A call that raises outside a transaction has written nothing.
    """

    def _own(self, what: str) -> tuple[Transaction, bool]:
        """The transaction, and whether it is the call's own, not begun yet, and ended with it."""
        raise NotImplementedError  # pragma: no cover

    def _settle(self, what: str, work: Callable[[Transaction], T], values: Sequence[Parameters] | None = None) -> T:
        """``work`` in a transaction. ``what`` is the statement, with ``values`` for each time that it will run; None: a script."""
        transaction, own = self._own(what)
        if not own:
            return work(transaction)
        if values is not None:
            transaction._refuse(what, values)  # at once: bad input does not wait for its turn
        transaction._begin(stacked=True)
        try:
            result = work(transaction)
        except BaseException:
            transaction._end(good=False)
            raise
        transaction._end(good=True)
        return result

    def execute(self, sql: str, *params: Any) -> Result:
        """Run one statement, with values one by one or one dict for ``:names``.

        Outside a transaction it is durable on return, at the configured level, and visible to every later read.
        """
        parameters = adapted(params)
        return self._settle(sql, lambda transaction: transaction._run(sql, parameters), (parameters,))

    def executemany(self, sql: str, rows: Iterable[Sequence[Any] | Mapping[str, Any]]) -> Result:
        """Run one statement once for each of ``rows``, all in one transaction; ``rowcount`` is the sum.

        ``rows`` is read to its end before the turn is taken, so that its code never runs while others wait.
        """
        if not isinstance(rows, Iterable):
            raise ParameterError(
                f"executemany takes rows, and this is {type(rows).__name__}", hint="Give a list of tuples or dicts."
            )
        parameters: list[Parameters] = [adapt_parameters(row) for row in rows]
        return self._settle(sql, lambda transaction: transaction._run_many(sql, parameters), parameters)

    def script(self, sql: str) -> None:
        """Run a text of statements in one transaction, each to its end. Transaction control in it is refused."""
        self._settle(sql, lambda transaction: transaction._run_script(sql))
