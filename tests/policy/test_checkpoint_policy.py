"""When the write-ahead log is moved, by size, age and the last attempt: a table of decisions."""

from __future__ import annotations

import pytest

from coeval.sqlite.checkpoint_policy import Plan, Step, Tried, Wal, plan, slow_at, wake_at

LIMIT = 64 * 2**20
FRAME = 4096 + 24
NEVER = Tried()
MINUTE = 60.0


def wal(pages: int, moved: int = 0, longest: int = 0) -> Wal:
    """A log of so many pages, whose file once had ``longest``."""
    return Wal(pages, moved, max(pages, longest) * FRAME, 4096)


@pytest.mark.parametrize(
    ("log", "quiet", "expected"),
    [
        (wal(0), MINUTE, Step.NONE),
        (wal(599), 0.0, Step.NONE),
        (wal(600), 0.0, Step.PASSIVE),
        (wal(799), 0.0, Step.PASSIVE),
        (wal(600, 600), MINUTE, Step.NONE),  # all is moved: the next commit starts it over
        (wal(650, 600), 0.0, Step.NONE),  # nor once more for each few pages, where readers overlap
        (wal(750, 600), 0.0, Step.PASSIVE),
        (wal(800, 650), 0.0, Step.RESTART),  # it was moved time and again, and did not start over
        (wal(800, 800), MINUTE, Step.NONE),
        (wal(5000), 0.0, Step.RESTART),
        (wal(16_289), 0.0, Step.TRUNCATE),
        (wal(16_289, 16_289), 0.0, Step.TRUNCATE),
        (wal(3, 0, longest=16_289), 0.0, Step.TRUNCATE),  # the file stays as long as it once was
        (wal(3), 0.0, Step.NONE),
        (wal(3), 3.0, Step.PASSIVE),
        (wal(3, 3), MINUTE, Step.NONE),
        (wal(3, 3, longest=1000), MINUTE, Step.NONE),
        (wal(3, 3, longest=1001), 0.0, Step.NONE),
        (wal(3, 3, longest=1001), MINUTE, Step.TRUNCATE),
    ],
)
def test_size_and_age_decide(log: Wal, quiet: float, expected: Step):
    """Passive from 600 pages or after three quiet seconds, restart where readers overlap, truncate past the limit."""
    assert plan(log, LIMIT, quiet, NEVER) == Plan(expected)


@pytest.mark.parametrize(
    ("log", "quiet", "tried", "wait"),
    [
        (wal(600), 0.0, Tried(1, 0.0), 0.005),
        (wal(600), 0.0, Tried(1, 0.004), 0.001),
        (wal(600), 0.0, Tried(1, 0.2), 0.0),
        (wal(600), 0.0, Tried(2, 0.0), 0.01),
        (wal(600), 0.0, Tried(8, 0.0), 0.64),
        (wal(600), 0.0, Tried(9, 0.0), 1.0),
        (wal(600), 0.0, Tried(5000, 0.0), 1.0),
        (wal(600), MINUTE, Tried(5000, 0.0), 30.0),  # an idle reader in an idle file
        (wal(20_000), MINUTE, Tried(5000, 0.0), 1.0),
    ],
)
def test_a_reader_in_the_way_makes_it_wait(log: Wal, quiet: float, tried: Tried, wait: float):
    """Twice as long after each attempt that was not complete, up to a second, or to half a minute where nobody writes."""
    assert plan(log, LIMIT, quiet, tried).wait == pytest.approx(wait)


@pytest.mark.parametrize(
    ("log", "limit", "fresh", "expected"),
    [
        (wal(3), LIMIT, True, 600),
        (wal(600, 600), LIMIT, True, 600),
        (wal(600, 600), LIMIT, False, 750),  # perhaps it does not start over
        (wal(790, 790), LIMIT, False, 800),
        (wal(3), LIMIT, False, 600),
        (wal(3), 2**20, True, 127),  # half of a small limit
        (Wal(3, 0, 0, 65_536), 2**20, True, 7),
    ],
)
def test_a_commit_wakes_it_at(log: Wal, limit: int, fresh: bool, expected: int):
    """Some pages before the steps above, and early where the limit is small."""
    assert wake_at(log, limit, fresh=fresh) == expected


def test_commits_wait_a_little_before_a_thousand_pages():
    """What is in normal work: under 1,000 pages."""
    assert 800 < slow_at(wal(3), LIMIT) < 1000
