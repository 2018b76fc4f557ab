"""Keys of plain values: types count, what has no equality is refused, and every process finds the same scope."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import subprocess
import sys
from decimal import Decimal

import pytest

from coeval.cache.plain import plain_key, plain_scope
from coeval.coherence.scopes import TAGS, tag_scope
from coeval.errors import KeyArgumentError


class Colour(enum.Enum):
    """A member of it may be part of a key."""

    RED = 1


@dataclasses.dataclass(frozen=True)
class Point:
    """So may this."""

    x: int


class Zone(dt.tzinfo):
    """One that says where it lies."""

    def utcoffset(self, _):
        """As UTC."""
        return dt.timedelta(0)

    dst = tzname = utcoffset


DIFFERENT = [
    "1", 1, True, 1.0, b"1", None, "", (), (1,), (True,), (1.0,), (0.0,), ("1",),
    (1, 2), (2, 1), ((1,), 2), (1, (2,)), 0.0, -0.0, float("nan"),
    Decimal(1), Decimal("1.0"), dt.date(2026, 1, 1), dt.datetime(2026, 1, 1, tzinfo=dt.UTC), Colour.RED, Point(1), Point(2),
    frozenset({1, 2}), 10**5000, "\ud800",
]  # fmt: skip


def test_different_keys_are_different():
    """Each is one, the same each time."""
    keys = [plain_key(key) for key in DIFFERENT]
    assert len(DIFFERENT) == len(set(keys))
    assert keys == [plain_key(key) for key in DIFFERENT]
    assert all(1 <= plain_scope(key) <= TAGS for key in keys)
    assert len({plain_scope(key) for key in keys}) > len(keys) - 4


def test_a_tag_of_the_same_name_is_another_scope():
    """However a tag is called, it is no key."""
    names = [f"name {i}" for i in range(200)]
    assert sum(tag_scope(name) == plain_scope(plain_key(name)) for name in names) < 3


@pytest.mark.parametrize(
    "key", [object(), ("a", object()), int, (len,), sys, lambda: 1, (dt.datetime(2026, 1, 1, tzinfo=Zone()),)]
)
def test_what_has_no_place_in_a_key_is_refused_by_name(key):
    """With the key and what it is."""
    with pytest.raises(KeyArgumentError, match=r"of db\.cache, a \w+"):
        plain_key(key)


def test_a_text_that_reads_like_an_address_is_a_text():
    """Only what an object says of itself is looked at."""
    assert plain_key(("x at 0x7f",)) == plain_key(("x at 0x7f",))


PROGRAM = """
import enum
from coeval.cache.plain import plain_key, plain_scope
class Colour(enum.Enum):
    RED = 1
print([plain_scope(plain_key(key)) for key in ("a", ("a", 1), frozenset("abcdefgh"), {"x": 1, "y": 2}, Colour.RED, ("n", 1.5, None))])
"""


def test_every_process_has_the_same_scopes():
    """Whatever the seed of its hashes, and also for a class of its main module."""
    said = {
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert 1 == len(said)
    assert str(plain_scope(plain_key(Colour.RED))) in said.pop()
