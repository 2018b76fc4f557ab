"""Whether an answer was true at some moment between its call and its return, from the history alone.

Pure: it is told the answer, and what was known before the call and begun after the return. A verdict is "" where all is well, else
what is wrong: "stale" (a newer version was known before the call), "future" (nobody had begun it), "dirty" (written by a transaction that
was rolled back), "missing" (a row that was there), "torn" (parts of two versions or moments).

Ring: policy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple


class Verdict(NamedTuple):
    """``wrong``: "" or what; ``proven``: the answer is true as long as nothing above this version is known."""

    wrong: str
    proven: int = 0


def cell(version: int | None, known: int, begun: int, gone: int) -> Verdict:
    """A row's version, None where there was no row. Versions of transactions that are rolled back are negative."""
    if version is None:
        return Verdict("" if gone >= known else "missing", gone)  # where an absence is known, it is ``gone`` itself
    if version < 0:
        return Verdict("dirty")
    if version & 1:
        return Verdict("torn")
    if version < known:
        return Verdict("stale")
    return Verdict("future") if version > begun else Verdict("", version)


def members(
    found: Mapping[int, int],
    known: Sequence[int],
    begun: Sequence[int],
    gone: Sequence[int],
    belongs: Callable[[int, int], bool],
) -> tuple[int, str]:
    """The rows of a condition, versions by number: the first row that is wrong, and what is; (-1, "") where none is.

    ``belongs(number, version)``: whether the row in this version fulfils the condition.
    """
    for number, version in found.items():
        if not 0 <= number < len(known):
            return number, "torn"
        wrong = cell(version, known[number], begun[number], gone[number]).wrong
        if wrong or not belongs(number, version):
            return number, wrong or "torn"
    for number, floor in enumerate(known):
        if number in found or floor & 1 or gone[number] > floor or not belongs(number, floor):
            continue
        # It belonged there before the call; it may have left since, where a version that belongs elsewhere was begun.
        if not any(not belongs(number, one) for one in range(floor, begun[number] + 1, 2)):
            return number, "missing"
    return -1, ""


def total(found: int, known: Iterable[int], begun: Iterable[int]) -> str:
    """A sum of versions over rows that are always there."""
    if found < sum(known):
        return "stale"
    return "future" if found > sum(begun) else ""
