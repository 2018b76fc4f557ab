"""Rows of any iterator as chunks of values ready for SQLite, for bulk loading.

Several rows are laid on end, as the values of one statement. What the driver would take wrongly without a word is found by looking
at types and at NaN in loops that run in C: NaN would become NULL, and anything with a buffer (an array, a number of numpy) a blob.

Ring: policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, islice
from operator import itemgetter
from typing import Any, NamedTuple, NoReturn

from .errors import ParameterError
from .values import adapt

Values = tuple[Any, ...]
Take = Callable[[list[Any], int], list[Any]]

_PLAIN = frozenset({type(None), int, float, str, bytes, bool})
_SEQUENCES = frozenset({tuple, list})


class Chunk(NamedTuple):
    """Rows of one transaction."""

    first: int  #: the first row's place in the iteration, from 1
    rows: int
    statements: list[Values]  #: the values of some rows on end, for each statement


def chunks(rows: Iterator[Any], columns: tuple[str, ...], size: int, together: int, take: Take) -> Iterator[Chunk]:
    """``rows``, ``size`` at a time, ``together`` in a statement. Here runs whatever code makes the rows.

    Raises ParameterError that names the row and column.
    """
    place, more, check = 1, True, Check(columns)
    while more:
        first, statements = place, []
        while more and place - first < size:
            block = list(islice(rows, min(together, size - (place - first))))
            if block:
                statements.append(check(tuple(chain.from_iterable(take(block, place))), place))
                place += len(block)
            else:
                more = False
        if statements:
            yield Chunk(first, place - first, statements)


def by_place(columns: tuple[str, ...]) -> Take:
    """Takes rows that are sequences, each of as many values as ``columns``."""
    width = len(columns)

    def take(block: list[Any], first: int) -> list[Any]:
        if not set(map(type, block)) <= _SEQUENCES or set(map(len, block)) != {width}:
            for place, row in enumerate(block, first):
                if not isinstance(row, Sequence) or isinstance(row, (str, bytes, bytearray, memoryview)):
                    _refuse_kind(row, place)
                if len(row) != width:
                    raise ParameterError(
                        f"row {place:,} has {_count(len(row), 'value')} for {_count(width, 'column')}: {', '.join(columns)}",
                        hint="Name in `columns` those that the rows have.",
                    )
        return block

    return take


def by_name(keys: tuple[str, ...], *, exact: bool) -> Take:
    """Takes rows that are mappings: the values of ``keys``. ``exact``: a row with more keys is refused, not cut."""
    get = itemgetter(*keys)
    pick = get if len(keys) > 1 else lambda row: (get(row),)

    def take(block: list[Any], first: int) -> list[Any]:
        try:
            if set(map(type, block)) == {dict} and (not exact or set(map(len, block)) == {len(keys)}):
                return list(map(pick, block))
        except KeyError:
            pass
        return [row_of(row, place) for place, row in enumerate(block, first)]

    def row_of(row: Any, place: int) -> Values:
        if not isinstance(row, Mapping):
            _refuse_kind(row, place)
        missing = [key for key in keys if key not in row]
        extra = [str(key) for key in row if key not in keys] if exact else []
        if missing or extra:
            raise ParameterError(
                f"row {place:,} has no {', '.join(missing)}"
                if missing
                else f"row {place:,} has {', '.join(extra)}, unlike the first",
                hint="Give every row all columns, None for NULL; or name in `columns` those to take from each.",
            )
        return pick(row)

    return take


class Check:
    """Looks at values before they go in. Most rows are alike, so the types of the last ones are compared with first."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        self._columns = columns
        self._usual: list[type] = []  #: types of the values of some rows that were all alike
        self._floats: list[int] = []  #: which of their columns can have NaN

    def __call__(self, values: Values, first: int) -> Values:
        """``values`` of whole rows from row ``first`` on, as SQLite stores them. Raises ParameterError that names row and column."""
        width, kinds = len(self._columns), list(map(type, values))
        if kinds == self._usual:
            sums = [sum(values[place::width]) for place in self._floats]
            fit = sums == [total for total in sums if total == total] or not _nan(values)  # noqa: PLR0124
        else:
            fit = _PLAIN.issuperset(kinds) and not (float in kinds and _nan(values))
            row = kinds[:width]
            if kinds == row * (len(kinds) // width) and fit:
                self._usual, self._floats = kinds, [place for place, kind in enumerate(row) if kind is float]
        return values if fit else adapted(values, self._columns, first)


def _nan(values: Values) -> bool:
    return bool([value for value in values if value != value])  # noqa: PLR0124 - NaN, of plain values


def adapted(values: Values, columns: tuple[str, ...], first: int) -> Values:
    """The same value by value, with an error that names the place."""
    result: list[Any] = []  # after an error, what came before it
    try:
        result.extend(map(adapt, values))
    except ParameterError:
        row, column = divmod(len(result), len(columns))
        adapt(values[len(result)], f"row {first + row:,}, column {columns[column]!r},")
        raise
    return tuple(result)


def _refuse_kind(row: object, place: int) -> NoReturn:
    raise ParameterError(
        f"row {place:,} is of type {type(row).__name__}", hint="Give all rows as tuples or lists, or all as dicts."
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
