"""The checker finds answers that were never true in time, and blames nobody for what may have been true."""

from __future__ import annotations

from pathlib import Path

import pytest

from coeval.demo import catalogue
from coeval.demo.checker import Checker, Recorded
from coeval.demo.truth import Timetable, Truth
from demo.flights import timetable

QUESTION = catalogue.flight(1)


@pytest.fixture(scope="module")
def year(small: Path) -> Timetable:
    return timetable(small)


@pytest.fixture
def checker(year: Timetable) -> Checker:
    return Checker(Truth(year))


@pytest.fixture
def bodies(year: Timetable) -> list[bytes]:
    """What flight 1 has to say at version 0, 1, 2 …, when delay n sets it to 100 + n minutes."""
    truth = Truth(year)
    for number in range(1, 9):
        truth.apply(number, 1, 100 + number)
    return [truth.expected(QUESTION, version) for version in range(9)]


def write(checker: Checker, number: int) -> Recorded:
    """A write that is started and acknowledged at once."""
    ticket = checker.write_started(f"writer {number}")
    checker.write_acknowledged(ticket, number, 1, 100 + number)
    return Recorded(number, 1, 100 + number, f"writer {number}")


def read(checker: Checker, body: bytes) -> None:
    """A read that nothing happens beside."""
    checker.read_ended(QUESTION, body, checker.read_started())


def test_an_answer_from_before_an_acknowledged_write_is_stale(checker: Checker, bodies: list[bytes]) -> None:
    """The heart of it: once somebody was told of a commit, every request that starts later must see it."""
    row = write(checker, 1)
    read(checker, bodies[1])
    assert (1, 0) == (checker.verdict.checked, checker.verdict.stale)
    read(checker, bodies[0])
    assert (2, 1, 0) == (checker.verdict.checked, checker.verdict.stale, checker.verdict.wrong)
    assert not checker.finish([row]).good
    assert "/api/flights/1" in checker.verdict.examples[0]


def test_an_answer_that_was_never_right_is_wrong(checker: Checker, bodies: list[bytes]) -> None:
    """Neither now nor before: a torn or damaged answer."""
    row = write(checker, 1)
    read(checker, bodies[1].replace(b"101", b"102"))
    assert (0, 1) == (checker.verdict.stale, checker.verdict.wrong)
    assert not checker.finish([row]).good


def test_an_answer_from_the_future_is_wrong(checker: Checker, bodies: list[bytes]) -> None:
    """What a write that starts later will say cannot be known."""
    read(checker, bodies[1])
    row = write(checker, 1)
    assert 1 == checker.finish([row]).wrong


def test_while_a_request_runs_each_state_it_met_is_right(checker: Checker, bodies: list[bytes]) -> None:
    """From the last commit known at its start to the last one started before its end."""
    rows = [write(checker, 1)]
    lowest = checker.read_started()
    rows += [write(checker, 2), write(checker, 3)]
    for version in (1, 2, 3):
        checker.read_ended(QUESTION, bodies[version], lowest)
    assert (3, 0, 0) == (checker.verdict.checked, checker.verdict.stale, checker.verdict.wrong)
    checker.read_ended(QUESTION, bodies[0], lowest)
    assert 1 == checker.finish(rows).stale


@pytest.mark.parametrize("seen", [0, 1])
def test_a_write_under_way_may_be_seen_or_not(checker: Checker, bodies: list[bytes], seen: int) -> None:
    """Its answer waits until the write is settled, because nobody knows its number before."""
    ticket = checker.write_started("writer 1")
    read(checker, bodies[seen])
    assert 0 == checker.verdict.checked
    checker.write_acknowledged(ticket, 1, 1, 101)
    assert (1, 0, 0) == (checker.verdict.checked, checker.verdict.stale, checker.verdict.wrong)


def test_acknowledgements_may_come_out_of_order(checker: Checker, bodies: list[bytes]) -> None:
    """Numbers are the order of commits, whoever hears of his own first."""
    first, second = checker.write_started("writer 1"), checker.write_started("writer 2")
    checker.write_acknowledged(second, 2, 1, 102)
    read(checker, bodies[2])
    assert 0 == checker.verdict.checked
    checker.write_acknowledged(first, 1, 1, 101)
    read(checker, bodies[1])
    assert (2, 1, 0) == (checker.verdict.checked, checker.verdict.stale, checker.verdict.wrong)


def test_a_later_write_with_a_lower_number_is_waited_for(checker: Checker, bodies: list[bytes]) -> None:
    """A write that starts after the answer may still commit before one that started earlier."""
    early = checker.write_started("writer 2")
    read(checker, bodies[0])
    late = checker.write_started("writer 1")
    checker.write_acknowledged(early, 2, 1, 102)
    assert 0 == checker.verdict.checked
    checker.write_acknowledged(late, 1, 1, 101)
    assert (1, 0, 0) == (checker.verdict.checked, checker.verdict.stale, checker.verdict.wrong)


@pytest.mark.parametrize("committed", [True, False])
def test_a_lost_write_may_be_there_or_not(checker: Checker, bodies: list[bytes], committed: bool) -> None:
    """The file says in the end which it was; until then its answers are held."""
    checker.write_lost(checker.write_started("writer 1"))
    read(checker, bodies[1])
    read(checker, bodies[0])
    assert 1 == checker.verdict.checked
    verdict = checker.finish([Recorded(1, 1, 101, "writer 1")] if committed else [])
    assert (2, 0, 0 if committed else 1) == (verdict.checked, verdict.stale, verdict.wrong)
    assert (1, 0, 0) == (verdict.unknown, verdict.acknowledged, verdict.found)


def test_a_lost_write_that_was_committed_hides_nothing_stale(checker: Checker, bodies: list[bytes]) -> None:
    """A gap in the numbers stops the model, not the judgement: later answers are judged at the end."""
    checker.write_lost(checker.write_started("writer 1"))
    row = write(checker, 2)
    read(checker, bodies[2])
    read(checker, bodies[1])
    read(checker, bodies[0])
    verdict = checker.finish([Recorded(1, 1, 101, "writer 1"), row])
    assert (3, 2, 0) == (verdict.checked, verdict.stale, verdict.wrong)


def test_a_lost_write_of_later_explains_nothing(checker: Checker, bodies: list[bytes]) -> None:
    """A write that starts after the answer cannot be in it."""
    read(checker, bodies[1])
    checker.write_lost(checker.write_started("writer 1"))
    assert 1 == checker.finish([Recorded(1, 1, 101, "writer 1")]).wrong


def test_a_write_that_never_settles_is_lost(checker: Checker, bodies: list[bytes]) -> None:
    """The end comes while it is under way."""
    checker.write_started("writer 1")
    read(checker, bodies[1])
    verdict = checker.finish([Recorded(1, 1, 101, "writer 1")])
    assert (1, 0, 0, 1) == (verdict.checked, verdict.stale, verdict.wrong, verdict.unknown)


@pytest.mark.parametrize(
    "found",
    [[], [Recorded(1, 1, 999, "writer 1")], [Recorded(1, 2, 101, "writer 1")], [Recorded(1, 1, 101, "another")]],
)
def test_an_acknowledged_write_must_be_found_as_it_was(checker: Checker, found: list[Recorded]) -> None:
    """Missing, or there with another flight, delay or writer: not found."""
    write(checker, 1)
    verdict = checker.finish(found)
    assert (1, 0) == (verdict.acknowledged, verdict.found)
    assert not verdict.good


def test_all_well_is_good(checker: Checker, bodies: list[bytes]) -> None:
    """Nothing stale, nothing wrong, everything found."""
    rows = []
    for number in range(1, 9):
        read(checker, bodies[number - 1])
        rows.append(write(checker, number))
    read(checker, bodies[8])
    verdict = checker.finish(rows)
    assert verdict.good
    assert (9, 8, 8) == (verdict.checked, verdict.acknowledged, verdict.found)
