"""What callers get of one kept value is their own where it can be changed, and nothing odd in it reaches them (laws 3 and 4)."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
from typing import Any, NamedTuple

import pytest


@dataclasses.dataclass(frozen=True)
class Point:
    x: int


@dataclasses.dataclass(frozen=True)
class Remembering:
    x: int

    @functools.cached_property
    def parts(self):
        return [self.x]


class Labelled(Point):
    """Not a frozen dataclass itself: it takes attributes."""


class Two(NamedTuple):
    a: int
    b: int


class Pair(Two):
    """Has a `__dict__`."""


class NoSize:
    def __sizeof__(self):
        raise ValueError


@dataclasses.dataclass(frozen=True, init=False)
class Unset:
    x: int


class Once:
    copies = 0

    def __deepcopy__(self, memo):
        Once.copies += 1
        if Once.copies > 1:
            raise ValueError
        return self


@pytest.fixture
def keep(db):
    db.script("CREATE TABLE t (v)")

    def keep(make, **options):
        @db.cached(**options)
        def function():
            db.query("SELECT v FROM t")
            return make()

        return function

    return keep


@pytest.mark.parametrize("make", [lambda: Labelled(1), lambda: Pair(1, 2)])
def test_what_takes_attributes_is_not_shared(keep, make):
    def labelled():
        value = make()
        object.__setattr__(value, "labels", [])
        return value

    function = keep(labelled)
    function()
    function().labels.append(1)
    assert function().labels == []


def test_what_a_property_remembers_is_each_caller_s_own(keep):
    """It is written into the value, frozen or not."""
    function = keep(lambda: Remembering(1))
    function()
    function().parts.append(2)
    assert [1] == function().parts


def test_one_list_in_two_places_stays_one(keep):
    one: list[Any] = []
    function = keep(lambda: [one, {"again": one}])
    function()
    again = function()
    assert function.cache_info().hits
    assert again[0] is again[1]["again"]


def test_a_list_in_itself(keep):
    def make():
        value: list[Any] = []
        value.append(value)
        return value

    function = keep(make)
    function()
    again = function()
    assert again[0] is again


def test_lists_too_deep_to_copy_are_given(keep):
    def make():
        value: list[Any] = []
        for _ in range(5000):
            value = [value]
        return value

    function = keep(make)
    assert [len(function()), len(function())] == [1, 1]


@pytest.mark.parametrize("make", [NoSize, Unset, lambda: [Unset()]])
def test_odd_objects_are_given(keep, make):
    function = keep(make)
    function()
    function()


def test_what_cannot_be_copied_any_more_is_made_anew(keep):
    Once.copies = 0
    function = keep(lambda: [Once()])
    function()
    assert isinstance(function()[0], Once)


def test_what_a_caller_does_to_a_kept_error_is_its_own(keep):
    class Missing(LookupError):
        more: list[int]

    def fail():
        error = Missing("x", [])
        error.more = []
        raise error

    function = keep(fail, negative=LookupError)
    for _ in range(3):
        with pytest.raises(Missing) as caught:
            function()
        assert caught.value.more == caught.value.args[1] == []
        caught.value.more.append(1)
        caught.value.args[1].append(1)
    assert function.cache_info().hits == 2


def test_a_coroutine_that_nobody_awaited_is_named(db, caplog):
    """A function that calls one of `async def` and gives what that returned: nothing was read yet, and that is not its fault."""

    async def total():
        return db.scalar("SELECT 1")

    @db.cached
    def forgetful():
        return total()

    @db.cached(ttl=60)
    def with_ttl():
        return total()

    for function in (forgetful, with_ttl):
        caplog.clear()
        assert asyncio.run(function()) == 1
        (said,) = [record.getMessage() for record in caplog.records if "is not cached" in record.getMessage()]
        assert "it returned a coroutine, which was not awaited; await it in there, or cache the `async def`" in said
        assert "read nothing" not in said
