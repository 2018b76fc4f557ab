"""The judge of the torture, on histories made by hand: it sees what is untrue, and nothing else."""

from __future__ import annotations

import random

import pytest

from torture import judge
from torture.history import History
from torture.moments import Answers
from torture.mutations import Mutations
from torture.reading import Judging, in_group, row_version
from torture.tally import Tally, evidence
from torture.world import ACCOUNTS, GROUPS, KIND, TABLES, TOTAL, cell, group_of


class Call:
    """One read of a cell: what was known before it, and, once it has returned, what is said of its answer."""

    def __init__(self, history, at=0):
        self._board = history.board
        self._at = at
        self._floor = history.board.known[at]

    def gives(self, version):
        """What is wrong with this answer, returned now; "" for nothing."""
        board = self._board
        return judge.cell(version, self._floor, board.begun[self._at], board.gone[self._at]).wrong


def test_the_present_is_true_and_the_past_is_not():
    """After a commit returned, its version alone is true."""
    history = History(2)
    history.commits(4)
    call = Call(history)
    assert "" == call.gives(4)
    assert "stale" == call.gives(2)
    assert "missing" == call.gives(None)
    assert "future" == call.gives(6)


def test_a_read_that_races_a_commit_may_give_either():
    """From its beginning to its return a commit may have happened or not, for calls that began before the return."""
    history = History(2)
    before = Call(history)
    history.begins(4)
    during = Call(history)
    assert ["", ""] == [before.gives(2), before.gives(4)]
    assert ["", ""] == [during.gives(2), during.gives(4)]
    history.returns(4)
    assert ["", ""] == [during.gives(2), during.gives(4)]
    assert "stale" == Call(history).gives(2)


def test_an_answer_before_its_commit_began():
    """Nobody can have read it from the file."""
    history = History(2)
    call = Call(history)
    assert "future" == call.gives(4)
    history.begins(4)
    assert "" == call.gives(4)


def test_several_commits_in_one_call():
    """Each of them was true at some moment of it, and what was true before is not."""
    history = History(2)
    history.commits(4)
    call = Call(history)
    history.commits(6)
    history.commits(8)
    assert ["stale", "", "", "", "future"] == [call.gives(version) for version in (2, 4, 6, 8, 10)]


def test_a_row_that_goes_and_comes_back():
    """Its absence is a version: true from the commit that took it away to that which brought it back."""
    history = History(2)
    before = Call(history)
    history.commits(3)
    absent = Call(history)
    assert ["", ""] == [before.gives(2), before.gives(None)]
    assert ["stale", ""] == [absent.gives(2), absent.gives(None)]
    history.commits(4)
    after = Call(history)
    assert ["", ""] == [absent.gives(None), absent.gives(4)]
    assert ["missing", ""] == [after.gives(None), after.gives(4)]


def test_what_was_never_committed():
    """A version of a transaction that was rolled back, and a row made of parts of two."""
    history = History(2)
    assert "dirty" == Call(history).gives(-4)
    assert "torn" == Call(history).gives(row_version(((7, 2, "7:4"),), 7))
    assert "torn" == Call(history).gives(row_version(((7, 2, "7:2"), (7, 2, "7:2")), 7))
    assert 2 == row_version(((7, 2, "7:2"),), 7)


def test_killed_between_commit_and_return():
    """Such a commit may have happened: either answer is true, until the next writer has found it and made it known."""
    history = History(2)
    history.begins(4)
    call = Call(history)
    assert ["", ""] == [call.gives(2), call.gives(4)]
    history.returns(4)
    assert "stale" == Call(history).gives(2)


def test_publishing_late_takes_nothing_back():
    """A writer that publishes after a later one leaves the later version known."""
    history = History(2)
    history.begins(4)
    history.begins(6)
    history.returns(6)
    history.returns(4)
    assert "stale" == Call(history).gives(4)


def test_a_row_that_goes_before_its_coming_was_published():
    """Its writer is slow to say that it came; who has deleted it meanwhile says a later absence."""
    history = History(*[1] * len(History().board.known))
    at = cell("item", 3)
    history.begins(4, at)  # and is committed
    gone = Mutations(history.board, random.Random(1), ()).settle(lambda _sql: [])
    history.publisher.commits(gone)
    history.returns(4, at)
    assert "" == judge.cell(None, history.board.known[at], history.board.begun[at], history.board.gone[at]).wrong
    assert "stale" == judge.cell(4, history.board.known[at], history.board.begun[at], history.board.gone[at]).wrong


def version_in(group, after):
    """The next version of a row in ``group``."""
    return next(version for version in range((after | 1) + 1, after + 8 * GROUPS, 2) if group_of(version) == group)


class Rows:
    """Rows of a group of items, judged as of now."""

    def __init__(self, history, group):
        self._board = history.board
        self._floors = history.board.known[:3].tolist()
        self._belongs = in_group(group)

    def gives(self, found):
        board = self._board
        return judge.members(found, self._floors, board.begun[:3].tolist(), board.gone[:3].tolist(), self._belongs)


def test_rows_that_move():
    """A row that moved into the condition is missed, one that moved out of it is too old, and while it moves either is true."""
    here, there = version_in(1, 0), version_in(2, 0)
    history = History(here, here, there)
    assert (-1, "") == Rows(history, 1).gives({0: here, 1: here})
    assert (1, "missing") == Rows(history, 1).gives({0: here})
    moved = version_in(2, here)
    history.begins(moved, 1)
    call = Rows(history, 1)
    assert (-1, "") == call.gives({0: here, 1: here})
    assert (-1, "") == call.gives({0: here})
    history.returns(moved, 1)
    assert (1, "stale") == Rows(history, 1).gives({0: here, 1: here})
    assert (-1, "") == Rows(history, 1).gives({0: here})
    assert (1, "missing") == Rows(history, 2).gives({2: there})
    assert (1, "torn") == Rows(history, 1).gives({0: here, 1: moved})
    assert (9, "torn") == Rows(history, 1).gives({9: here})


def test_a_written_row_stays_in_its_condition():
    """That a newer version was begun which belongs there too excuses nobody who misses it."""
    here = version_in(1, 8 * GROUPS)
    assert group_of(here) == group_of(here + 2) == 1
    history = History(here, 2, 2)
    history.begins(here + 2)
    assert (0, "missing") == Rows(history, 1).gives({})
    history.begins(here + 3)
    assert (-1, "") == Rows(history, 1).gives({})


def test_sums():
    """Not less than what was known, not more than what was begun."""
    assert "" == judge.total(6, (2, 4), (2, 4))
    assert "stale" == judge.total(4, (2, 4), (2, 4))
    assert "future" == judge.total(8, (2, 4), (2, 4))
    assert "" == judge.total(8, (2, 4), (2, 6))


@pytest.fixture
def moment(tmp_path):
    """What is read in one moment, with everything at version 2."""
    history = History(*[2] * len(History().board.known))
    judging = Judging(history.board, Tally(history.board, tmp_path, 0), 0)

    class Moment:
        """Answers of a snapshot, judged."""

        def __init__(self):
            board = history.board
            self.answers = Answers(board.known.tolist(), board.begun.tolist(), board.gone.tolist())

        def wrong(self):
            self.answers.judge(judging, "snapshot")
            return [one["wrong"] for one in evidence(tmp_path, "violations")]

    return Moment


def test_a_moment_that_is_one(moment):
    one = moment()
    for number in range(TABLES["pair"].size):
        one.answers.pair(number, 2, 2)
    one.answers.total(2 * TABLES["pair"].size)
    one.answers.item(0, 2)
    one.answers.amounts([TOTAL] + [0] * (ACCOUNTS - 1))
    assert [] == one.wrong()


def test_two_sides_of_two_moments(moment):
    """One transaction writes both; nobody sees them apart."""
    one = moment()
    at = cell("pair", 1)
    one.answers._history[1][at] = 4
    one.answers.pair(1, 2, 4)
    assert ["torn"] == one.wrong()


def test_an_amount_on_its_way(moment):
    one = moment()
    one.answers.amounts([TOTAL - 1] + [0] * (ACCOUNTS - 1))
    assert ["torn"] == one.wrong()


def test_a_sum_of_another_moment(moment):
    one = moment()
    for number in range(TABLES["pair"].size):
        one.answers.pair(number, 2, 2)
    one.answers.total(2 * TABLES["pair"].size + 2)
    assert ["torn"] == one.wrong()


def test_a_list_of_another_moment(moment):
    """A row that is asked for alone, and is another one in its group."""
    one = moment()
    one.answers._history[1][cell("item", 0)] = 4
    one.answers.item(0, 2)
    others = [(number, 2, f"{number}:2") for number in range(1, TABLES["item"].size)]
    one.answers.group(group_of(2), [(0, 2, "0:2"), *others])
    assert [] == one.wrong()
    again = moment()
    again.answers._history[1][cell("item", 0)] = 6
    again.answers.item(0, 2)
    again.answers.group(group_of(6), [(0, 6, "0:6")])
    assert ["torn"] == again.wrong()


def test_newer_than_the_snapshot(moment):
    """What was begun only after its entry is none of its."""
    one = moment()
    one.answers.item(0, 4)
    assert ["future"] == one.wrong()


def test_counts_and_evidence(tmp_path):
    """A violation is counted on the board, and written down with all that is known."""
    history = History(2)
    tally = Tally(history.board, tmp_path, 3)
    tally.add("one", 10, 8, 1)
    assert not tally.check("one", "stale", version=2)
    assert tally.check("one", "")
    assert (10, 8, 1, 1) == history.board.counted(KIND["one"])
    (found,) = evidence(tmp_path, "violations")
    assert {"wrong": "stale", "kind": "one", "version": 2, "slot": 3} == {k: v for k, v in found.items() if k != "pid"}
