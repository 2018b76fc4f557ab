"""Rows one by one, until they end, are closed, or the unit that they belong to ends.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, cast

from .errors import ClosedError

if TYPE_CHECKING:
    from types import TracebackType


T = TypeVar("T")
U = TypeVar("U")


def each(rows: Iterable[T]) -> Generator[T, None, None]:
    """``rows``, one by one: what a stream is made of where all of them are there already."""
    yield from rows


class RowStream(Generic[T]):
    """What `iterate` returns: an iterator that can be closed, by hand or as a context manager, for one thread at a time."""

    def __init__(self, rows: Generator[T, None, None]) -> None:
        """``rows`` frees what it holds when it is closed."""
        self._rows = rows
        self._make: Callable[[Any], Any] | None = None
        self._ended = False

    def _each(self, make: Callable[[Any], U]) -> RowStream[U]:
        """This iterator, giving ``make(row)`` for each row from now on."""
        self._make = make
        return cast("RowStream[U]", self)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        try:
            row = next(self._rows)
        except (StopIteration, ValueError):  # the generator's own end, or it was closed from another thread
            if self._ended:
                raise self._cut_short() from None
            raise
        if self._ended:
            self.close()
            raise self._cut_short()
        return cast("T", row if self._make is None else self._make(row))

    def close(self) -> None:
        """Free the statement and its snapshot. Twice does no harm."""
        with suppress(ValueError):  # another thread is just taking a row; it ends the generator after that
            self._rows.close()

    def _cut(self) -> None:
        """The unit ends: free everything; going on is an error from now on."""
        self._ended = True
        self.close()

    def _cut_short(self) -> ClosedError:
        return ClosedError(
            "The transaction or snapshot of this iterator has ended, or its database was closed",
            hint="Read it to its end before.",
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
