"""Where a read of asyncio's runs: on the loop's own thread, or in a worker thread.

A hop to a thread costs ten times what a point read does, so short reads run in place. What may stop the loop for long does not: a
statement that was slow goes to a worker until it has been quick there several times, more often after each relapse, and so does
one whose program has a step that can be long by itself, because the step budget cannot interrupt that (hole 14). A statement that
calls the user's code, or whose values can grow beyond what is stored, never comes back.

Ring: policy. Seconds are measured by the caller.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

#: Seconds that one read may take on the loop's thread.
BUDGET = 0.001

#: Steps of SQLite's machine between two looks at the time.
STEPS = 4000

#: Quick runs in a worker that a statement owes before it runs on the loop, at first and at the most.
OWED, MOST_OWED = 3, 96


class Stretch(enum.Enum):
    """How long one step of a statement's program may take."""

    NONE = "each step is short"
    SOME = "a step may be long"
    ANY = "a step may take any time"


#: Opcodes that do in one step what grows with the data: https://www.sqlite.org/opcode.html
_LONG_STEPS = frozenset("Count SorterSort VOpen VFilter VNext VColumn IntegrityCk Pagecount JournalMode".split())

#: Functions whose result may be much larger than what is stored: one call makes megabytes of a number.
_GROWING = frozenset("zeroblob randomblob printf format replace".split())

#: Functions that take longer the longer their argument is, or worse.
_LINEAR = frozenset(
    "hex unhex quote like glob regexp match instr group_concat string_agg concat concat_ws upper lower trim ltrim rtrim unistr "
    "unistr_quote median percentile percentile_cont percentile_disc".split()
)


def stretch(opcodes: Iterable[str], functions: Iterable[str], builtin: frozenset[str]) -> Stretch:
    """How long a step of a program of ``opcodes`` that calls ``functions`` may be; ``builtin``: those that are SQLite's own."""
    called = frozenset(functions)
    if called & _GROWING or not called <= builtin:
        return Stretch.ANY
    if not _LONG_STEPS.isdisjoint(opcodes) or called & _LINEAR or any(name.startswith("json") for name in called):
        return Stretch.SOME
    return Stretch.NONE


class Pace:
    """The pace of the statements of one store. Its methods may be called from any thread."""

    def __init__(self) -> None:
        #: the statements that may run on the loop now, and how many placeholders each has
        self.brief: dict[str, int] = {}
        self._stretches: dict[str, tuple[Stretch, int]] = {}
        self._owed: dict[str, int] = {}  # quick runs until it may run on the loop
        self._relapse: dict[str, int] = {}  # what it will owe when it is slow again

    def learn(self, sql: str, placeholders: int, stretch: Stretch) -> None:
        """``sql``, which reads, has been analysed; its tables or the functions in its views may not be what they were."""
        known = stretch, placeholders
        if self._stretches.get(sql) == known:
            return
        self.forget(sql)
        self._stretches[sql] = known
        if stretch is Stretch.NONE:
            self.brief[sql] = placeholders
        elif stretch is Stretch.SOME:
            self._owed[sql] = OWED

    def slow(self, sql: str, *, stopped: bool) -> None:
        """``sql`` has taken more than the budget on the loop's thread; ``stopped``: and was stopped there, after many steps.

        Where it was not, and has no long steps, the thread may have waited for a processor or a disk: it is looked at once in a worker,
        by the processor's time.
        """
        self.brief.pop(sql, None)
        kind = self._stretches.get(sql, (Stretch.ANY, 0))[0]
        if kind is Stretch.NONE and not stopped:
            self._owed[sql] = 1
        elif kind is not Stretch.ANY:
            owed = self._relapse.get(sql, OWED)
            self._owed[sql] = owed
            self._relapse[sql] = min(2 * owed, MOST_OWED)

    def ran(self, sql: str, seconds: float) -> None:
        """``sql`` has run in a worker and used ``seconds`` of processor there."""
        owed = self._owed.get(sql)
        if owed is None:
            if seconds > BUDGET and sql in self.brief:
                self.slow(sql, stopped=True)
        elif seconds > BUDGET / 2:
            self._owed[sql] = max(owed, OWED)
        elif owed > 1:
            self._owed[sql] = owed - 1
        else:
            known = self._stretches.get(sql)
            if self._owed.pop(sql, None) is not None and known is not None:
                self.brief[sql] = known[1]

    def forget(self, sql: str) -> None:
        """``sql`` is not remembered any more."""
        for one in (self.brief, self._stretches, self._owed, self._relapse):
            one.pop(sql, None)

    def clear(self) -> None:
        """Forget all."""
        for one in (self.brief, self._stretches, self._owed, self._relapse):
            one.clear()
