"""Was every answer true at some moment between its request's start and its end? Pure: it is told what happened.

Each recorded delay gets the next number of an AUTOINCREMENT column in its own transaction, so numbers are the order of
commits. When a request starts, the highest number anybody was told is certainly committed: the answer may show
nothing older. When it ends, the highest number of any write that had been *started* is the newest the answer may
show. That number may not be known yet, so an answer waits until all writes started before its end are settled.

A write whose fate is unknown (an error, a lost connection) may have been committed or not. An answer that only such a
write could explain is held until the end, when the recorded delays are read from the file.

Ring: policy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from .questions import Question
from .truth import Truth

__all__ = ["Checker", "Recorded", "Verdict"]

_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Recorded:
    """A recorded delay: as acknowledged to its writer, or as found in the file."""

    number: int
    flight: int
    minutes: int
    by: str


@dataclass(slots=True)
class Verdict:
    """What was seen. ``stale`` answers were right before their request started; ``wrong`` ones never."""

    checked: int = 0
    stale: int = 0
    wrong: int = 0
    acknowledged: int = 0
    found: int = 0
    unknown: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """No answer was untrue, and nothing that was acknowledged is missing."""
        return self.stale == 0 and self.wrong == 0 and self.found == self.acknowledged


@dataclass(frozen=True, slots=True)
class _Answer:
    question: Question
    body: bytes
    lowest: int
    started: int
    """How many writes had been started when the answer came."""


class Checker:
    """Judges answers as soon as they can be judged. For one thread."""

    def __init__(self, truth: Truth) -> None:
        self.verdict = Verdict()
        self._truth = truth
        self._newest = truth.version
        """The highest number anybody was told."""
        self._writers: list[str] = []
        self._settled: dict[int, int] = {}
        """Settled writes by ticket, with the number they got; lost ones have 0."""
        self._reach = [truth.version]
        """``_reach[n]``: the highest number among the first n writes, known when they are all settled."""
        self._first_lost: int | None = None
        self._early: dict[int, Recorded] = {}
        """Acknowledged, while one with a lower number is not."""
        self._acknowledged: list[Recorded] = []
        self._waiting: deque[_Answer] = deque()
        self._held: list[_Answer] = []
        self._bodies: dict[bytes, bytes] = {}

    def write_started(self, by: str) -> int:
        """Somebody is about to record a delay, signed ``by``; a ticket for what becomes of it."""
        self._writers.append(by)
        return len(self._writers) - 1

    def write_acknowledged(self, ticket: int, number: int, flight: int, minutes: int) -> None:
        """The writer was told that its delay is committed with this number."""
        recorded = Recorded(number, flight, minutes, self._writers[ticket])
        self._acknowledged.append(recorded)
        self.verdict.acknowledged += 1
        self._newest = max(self._newest, number)
        self._learn(recorded)
        self._settle(ticket, number)

    def write_lost(self, ticket: int) -> None:
        """The writer got no answer, or an error: the delay may be committed or not."""
        self.verdict.unknown += 1
        if self._first_lost is None or ticket < self._first_lost:
            self._first_lost = ticket
        self._settle(ticket, 0)

    def read_started(self) -> int:
        """A request is about to be sent; the oldest version its answer may show."""
        return self._newest

    def read_ended(self, question: Question, body: bytes, lowest: int) -> None:
        """The answer to a request is there."""
        body = self._bodies.setdefault(body, body)
        self._waiting.append(_Answer(question, body, lowest, len(self._writers)))
        self._judge_ready()

    def finish(self, recorded: Iterable[Recorded]) -> Verdict:
        """Judges what is left, with all delays that are in the file now. Call it when nothing runs any more."""
        for ticket in range(len(self._writers)):
            if ticket not in self._settled:
                self.write_lost(ticket)
        rows = {row.number: row for row in recorded}
        self.verdict.found = sum(rows.get(row.number) == row for row in self._acknowledged)
        for number in sorted(rows):
            if number > self._truth.version:
                self._learn(rows[number])
        tickets = {by: ticket for ticket, by in enumerate(self._writers)}
        lost = [
            (tickets[row.by], row.number) for row in rows.values() if self._settled.get(tickets.get(row.by, -1)) == 0
        ]
        for answer in (*self._held, *self._waiting):
            known = self._reach[answer.started]
            highest = max((number for ticket, number in lost if ticket < answer.started), default=known)
            self._judge(answer, max(known, highest), final=True)
        self._held.clear()
        self._waiting.clear()
        return self.verdict

    def _settle(self, ticket: int, number: int) -> None:
        self._settled[ticket] = number
        while (following := len(self._reach) - 1) in self._settled:
            self._reach.append(max(self._reach[-1], self._settled[following]))
        self._judge_ready()

    def _learn(self, recorded: Recorded) -> None:
        """Tells the model, in the order of numbers."""
        self._early[recorded.number] = recorded
        while following := self._early.pop(self._truth.version + 1, None):
            self._truth.apply(following.number, following.flight, following.minutes)

    def _judge_ready(self) -> None:
        while self._waiting:
            answer = self._waiting[0]
            if answer.started >= len(self._reach):
                return
            highest = self._reach[answer.started]
            if highest <= self._truth.version:
                self._judge(answer, highest, final=False)
            elif self._first_lost is None:
                return
            else:
                self._held.append(answer)
            self._waiting.popleft()

    def _judge(self, answer: _Answer, highest: int, *, final: bool) -> None:
        """Counts the answer; one that is not right but might be explained by a lost write is kept for the end."""
        lowest, highest = (min(version, self._truth.version) for version in (answer.lowest, highest))
        right = self._truth.right_at(answer.question, answer.body, lowest, highest)
        if not right and not final and self._first_lost is not None and self._first_lost < answer.started:
            self._held.append(answer)
            return
        self.verdict.checked += 1
        if not right:
            self._count(answer)

    def _count(self, answer: _Answer) -> None:
        stale = self._truth.right_at(answer.question, answer.body, self._truth.first, answer.lowest)
        self.verdict.stale += stale
        self.verdict.wrong += not stale
        if len(self.verdict.examples) < _EXAMPLES:
            word = "stale" if stale else "wrong"
            self.verdict.examples.append(f"{word}: {answer.question.path}, not older than delay {answer.lowest}")
