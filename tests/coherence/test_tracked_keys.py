"""Keys of calls: equal calls share, no two others ever do, and what cannot be told apart is refused by name."""

from __future__ import annotations

import collections
import dataclasses
import datetime as dt
import enum
import functools
import types
import zoneinfo
from contextvars import ContextVar
from decimal import Decimal
from fractions import Fraction
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import pytest

import coeval
from coeval import errors
from coeval.cache.arguments import Arguments
from coeval.cache.identity import Identity, identity_of

if TYPE_CHECKING:
    from sqlalchemy.orm import Session


ANY = Identity("any")


class Colour(enum.Enum):
    RED = 1


class Shade(enum.Enum):
    RED = 1


class Flag(enum.Flag, boundary=enum.KEEP):
    A = 1


class Word(str):
    __slots__ = ()


class Marked(str):  # noqa: SLOT000 - that is the point
    """Has more than its text."""


@dataclasses.dataclass
class Point:
    x: Any


@dataclasses.dataclass
class Place:
    x: Any


Pair = collections.namedtuple("Pair", "a b")  # noqa: PYI024
Two = collections.namedtuple("Two", "c d")  # noqa: PYI024


class Nameless(dt.tzinfo):
    """A zone that tells its address."""

    __repr__ = object.__repr__

    def utcoffset(self, _: dt.datetime | None, /) -> dt.timedelta | None:
        return None

    def tzname(self, _: dt.datetime | None, /) -> str | None:
        return None

    def dst(self, _: dt.datetime | None, /) -> dt.timedelta | None:
        return None


@dataclasses.dataclass
class Aside:
    """One field is no part of its equality."""

    x: Any
    more: Any = dataclasses.field(default=None, compare=False)


class Slotted(list[int]):
    """A list with a place for more."""

    __slots__ = ("more",)


def with_more(kind, *args):
    """A value of a subclass of `kind` that has an attribute."""
    made = type(f"My{kind.__name__}", (kind,), {})(*args)
    made.more = 1
    return made


class Thing:
    """Has no equality of its own."""


def key_of(function, *args, leave_out=(), **kwargs):
    """The key of a call."""
    return Arguments(function, ANY, leave_out).key(args, kwargs)


def echo(a, b=2, *rest, c=3, **more):
    """All kinds of parameters."""


def two(a, b=2):
    """Two parameters."""


NOON = dt.datetime(2026, 11, 22, 12, 0)  # noqa: DTZ001 - one without a zone
DIFFERENT = [
    1, True, 1.0, "1", b"1", bytearray(b"1"), memoryview(b"1"), None, Decimal(1), Decimal("1.0"), Fraction(1),
    complex(1), 0, False, 0.0, -0.0, float("nan"), "nan", "0.0", (), [], {}, set(), frozenset(), (1,), [1], {1},
    frozenset({1}), ((1,),), ([1],), (True,), (1.0,), (0.0,), (-0.0,), ((int, 1),), ((int, 1), (int, 2)), (1, 2),
    [1, 2], (2, 1), Pair(1, 2), Two(1, 2), Pair((int, 1), (int, 2)), {"a": 1}, {"a": True}, {"a": "1"}, {1: "a"},
    {"a": 1, "b": 2}, {"b": 2, "a": 1},
    collections.OrderedDict(a=1), collections.OrderedDict(a=1, b=2),
    collections.OrderedDict(b=2, a=1), collections.defaultdict(int), collections.defaultdict(list), Aside(1, 1), Aside(1, 2),
    types.MappingProxyType({"a": 1}), Point(1), Point(True), Point([1]), Place(1),
    Colour.RED, Shade.RED, Flag(0), Flag.A, Flag(8), Flag(16), Word("1"), NOON, NOON.replace(fold=1),
    NOON.replace(tzinfo=dt.UTC), NOON.replace(tzinfo=dt.timezone(dt.timedelta(hours=1))),
    NOON.replace(tzinfo=zoneinfo.ZoneInfo("UTC")), NOON.date(), NOON.time(), NOON.time().replace(tzinfo=dt.UTC),
    dt.timedelta(1), UUID(int=1), PurePosixPath("1"), range(1), int, bool, str, echo, two, "RED", ("RED", None),
    tuple(range(1000)), tuple(range(1001)),
]  # fmt: skip


def test_no_two_values_share_a_key():
    """Alone, with others, as one of many, and by name."""
    for made in (
        [key_of(two, value) for value in DIFFERENT],
        [key_of(lambda a: a, value) for value in DIFFERENT[:1]],
        [key_of(two, 1, value) for value in DIFFERENT if type(value) is not int or value != 2],
        [key_of(echo, 1, 2, value) for value in DIFFERENT],
        [key_of(echo, 1, x=value) for value in DIFFERENT],
    ):
        assert len(made) == len(set(made))
    alone = functools.partial(two)
    arguments = Arguments(alone, identity_of(alone, ()), ())
    assert len(DIFFERENT) == len({arguments.key((value,), {}) for value in DIFFERENT})


@pytest.mark.parametrize(
    "calls",
    [
        [((1,), {}), ((), {"a": 1}), ((1, 2), {}), ((1,), {"b": 2}), ((), {"b": 2, "a": 1})],
        [(({"x": 1, "y": [2]},), {}), (({"x": 1, "y": [2]},), {"b": 2})],
        [((float("nan"),), {}), ((float("nan"), 2), {})],
        [((Word("1"),), {}), ((Word("1"),), {"b": 2})],
        [
            ((NOON.replace(tzinfo=zoneinfo.ZoneInfo("UTC")),), {}),
            ((NOON.replace(tzinfo=zoneinfo.ZoneInfo("UTC")),), {}),
        ],
        [((-0.0,), {}), ((), {"a": -0.0})],
    ],
)
def test_one_call_is_one_key(calls):
    """However it is written."""
    assert 1 == len({key_of(two, *args, **kwargs) for args, kwargs in calls})
    assert 1 == len({key_of(echo, *args, **kwargs) for args, kwargs in calls})


def test_places_and_names():
    """Positional ones alone, named ones alone, any number of each; and calls that are none."""

    def strict(a, /, *, b):
        """One of each."""

    assert key_of(strict, 1, b=2) == key_of(strict, 1, b=2) != key_of(strict, 2, b=1)
    assert key_of(echo, 1, 2, 3) != key_of(echo, 1, 3, 2)
    assert key_of(echo, 1, x=1, y=2) == key_of(echo, 1, y=2, x=1) != key_of(echo, 1, x=2, y=1)
    for args, kwargs in (
        ((), {}),
        ((1, 2), {}),
        ((1,), {}),
        ((), {"a": 1, "b": 2}),
        ((1,), {"b": 2, "c": 3}),
        ((1,), {"a": 1, "b": 2}),
    ):
        with pytest.raises(TypeError):
            strict(*args, **kwargs)
        with pytest.raises(TypeError) as caught:
            key_of(strict, *args, **kwargs)
        assert not isinstance(caught.value, errors.KeyArgumentError)


def test_what_is_refused_is_named():
    """With the cure."""
    deep: list[Any] = []
    deep.append(deep)
    marked = Marked("1")
    marked.more = 2  # type: ignore[attr-defined]
    for value in (
        Thing(),
        [Thing()],
        {"a": Thing()},
        Point(Thing()),
        deep,
        marked,
        NOON.replace(tzinfo=Nameless()),
        iter([]),
        object(),
        Slotted(),
        *(
            with_more(kind)
            for kind in (list, tuple, dict, set, frozenset, int, str, bytes, float, collections.OrderedDict)
        ),
        *(with_more(kind, 1) for kind in (Decimal, Fraction, Point)),
        lambda: 1,
        functools.partial(two),
        collections.ChainMap(),
    ):
        with pytest.raises(errors.KeyArgumentError, match=r"'b' of .*two") as caught:
            key_of(two, 1, value)
        assert "leave_out=('b',)" in caught.value.hint
    fake = dataclasses.make_dataclass("Depends", ["dependency"])
    fake.__module__ = "fastapi.params"
    with pytest.raises(errors.KeyArgumentError, match="FastAPI"):
        key_of(two, 1, fake(two))
    with pytest.raises(errors.KeyArgumentError, match="does not tell"):
        key_of(dict, 1)


def test_what_is_injected_is_left_out(db):
    """By its own class and by what is declared; another class of the same name is not."""

    class Session:
        """Not SQLAlchemy's."""

    def plain(a, b):
        """Nothing declared."""

    def declared(a, b: coeval.Database):
        """By class."""

    def optional(a, b: Annotated[coeval.Database | None, "injected"] = None):
        """By class, or nothing."""

    def text(a, b: "coeval.Database"):  # noqa: UP037 - on purpose
        """By name."""

    def unknown(a, b: "Session"):  # noqa: UP037 - on purpose: it exists for type checkers alone
        """By a name that leads to nothing."""

    def mixed(a, b: coeval.Database | int):
        """It may be data."""

    for function in (declared, optional, text):
        assert key_of(function, 1, db) == key_of(function, 1, None) == key_of(function, 1, b=object())
    assert key_of(plain, 1, db) == key_of(plain, 1, db.snapshot()) != key_of(plain, 1, None)
    assert key_of(plain, 1, db) != key_of(plain, db, 1)
    assert key_of(mixed, 1, 1) != key_of(mixed, 1, 2)
    with pytest.raises(errors.KeyArgumentError):
        key_of(unknown, 1, Session())
    assert key_of(plain, 1, Session(), leave_out=[Session]) == key_of(plain, 1, Session(), leave_out=[Session])
    with pytest.raises(errors.KeyArgumentError, match="no parameter 'c'"):
        key_of(plain, 1, 2, leave_out=["c"])


def test_functions_of_one_name(db):
    """Lambdas, closures, defaults, a module loaded again, one function decorated twice: no answers of one another."""
    db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    one = "SELECT v FROM t"

    def make(plus):
        @db.cached
        def function(n):
            return db.scalar(one) + n + plus

        return function

    closures = [make(plus) for plus in (10, 20)]
    lambdas = [db.cached(lambda n: (db.scalar(one), n)), db.cached(lambda n: (n, db.scalar(one)))]
    left_out = db.cached(leave_out=["db", "plus"])
    defaults = [left_out(lambda n, db=db, plus=plus: db.scalar("SELECT v FROM t") + n + plus) for plus in (10, 20)]
    spaces: list[dict[str, Any]] = [{"db": db, "plus": plus, "__name__": "loaded"} for plus in (10, 20)]
    for space in spaces:
        exec("def function(n): return db.scalar('SELECT v FROM t') + n + plus", space)  # noqa: S102 - as loading a module again does
    loaded = [db.cached(space["function"]) for space in spaces]
    partials = [db.cached(functools.partial(lambda plus, n: db.scalar(one) + n + plus, plus)) for plus in (10, 20)]
    for group, expected in (
        (closures, [12, 22]), (lambdas, [(1, 1), (1, 1)]), (defaults, [12, 22]), (loaded, [12, 22]), (partials, [12, 22]),
    ):  # fmt: skip
        for _ in range(2):
            assert expected == [function(1) for function in group]
    assert [(1, 2), (2, 1)] == [function(2) for function in lambdas]

    def plain(a, b):
        return db.scalar(one), a, b

    ways = [
        db.cached(plain),
        db.cached(key=lambda *given: given[0])(plain),
        db.cached(leave_out=["a"])(plain),
        db.cached(leave_out=["b"])(plain),
    ]
    for _ in range(2):
        for way in ways:
            assert (1, 1, 2) == way(1, 2)
    assert (1, 2, 1) == ways[3](2, 1)
    assert (1, 2, 1) == ways[0](2, 1)


def test_what_looks_like_what_a_key_holds(db):
    """A value that is what stands for another in its key finds that other's answer under no key."""
    db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    answers = db.cached(lambda value: (db.scalar("SELECT v FROM t"), repr(value)))
    both = db.cached(lambda value, more: (db.scalar("SELECT v FROM t"), repr(value), more))
    for value in ((1, 2), [1, 2], {1: 2}, Pair(1, 2), {1}, Decimal(1), Point(1), Colour.RED, Word("1"), 0.0, NOON, two):
        answers(value)
        both(value, 1)
        contents = key_of(lambda value: value, value)[1]
        looks = [contents]
        if isinstance(contents, tuple):
            looks += [list(contents), *([Pair(*contents)] if len(contents) == 2 else [])]
        for look in looks:
            assert (1, repr(look)) == answers(look)
            assert (1, repr(look), 1) == both(look, 1)


def test_a_function_that_is_made_anew_is_the_same_one():
    """Where it has no values of its own; under another version or another name it is not."""

    def make():
        def function(n):
            return n

        return function

    one = identity_of(make(), ("1",))
    assert one is identity_of(make(), ("1",))
    assert one is not identity_of(make(), ("2",))
    assert "make.<locals>.function" in one.text


def test_methods(db):
    """By what the object is; one without equality is refused, with the cure. Static ones and those of the class."""
    db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    runs: list[object] = []

    class Plain:
        @db.cached
        def method(self):
            """Refused."""

        @staticmethod
        @db.cached
        def static(n):
            runs.append(n)
            return db.scalar("SELECT v FROM t") + n

        @classmethod
        @db.cached
        def of_class(cls, n):
            runs.append(cls)
            return cls.__name__, db.scalar("SELECT v FROM t") + n

    class Other(Plain):
        """Its own class."""

    @dataclasses.dataclass
    class Data:
        n: int

        @db.cached
        def method(self, plus=0):
            runs.append(self.n)
            return db.scalar("SELECT v FROM t") + self.n + plus

    with pytest.raises(errors.KeyArgumentError, match="'self'") as caught:
        Plain().method()
    assert "leave_out=('self',)" in caught.value.hint
    assert [2, 2] == [Plain.static(1), Plain().static(1)]
    assert [("Plain", 2), ("Other", 2), ("Plain", 2)] == [Plain.of_class(1), Other.of_class(1), Plain().of_class(1)]
    data = Data(1)
    assert [2, 2, 3] == [data.method(), Data(1).method(plus=0), Data(2).method()]
    data.n = 2
    assert 3 == data.method()
    assert [1, Plain, Other, 1, 2] == runs
    assert 3 == data.method.peek()


def test_versions_and_what_varies(path):
    """The program's version, the function's own, and context variables are parts of the key."""
    language: ContextVar[str] = ContextVar("language", default="en")
    runs: list[str] = []

    def ask(db, **options):
        function = db.cached(**options)(text)
        return function(), function()

    def text():
        runs.append(language.get())
        return opened[0].scalar("SELECT v FROM t"), language.get()

    opened = [coeval.open(path, version="1")]
    with opened[0] as db:
        db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1)")
        first = identity_of(text, (db.settings.version, ()))
        ask(db), ask(db, version="2")
        assert 2 == len(runs)
        varied = db.cached(vary=[language])(text)
        assert [(1, "en"), (1, "en")] == [varied(), varied()]
        token = language.set("de")
        assert [(1, "de"), (1, "de")] == [varied(), varied()]
        language.reset(token)
        assert (1, "en") == varied()
        assert 4 == len(runs)
        with pytest.raises(errors.KeyArgumentError, match="vary gave"):
            db.cached(vary=Thing)(text)()
        with pytest.raises(errors.KeyArgumentError, match="key gave"):
            db.cached(key=Thing)(text)()
    opened[0] = coeval.open(path, version="2")
    with opened[0] as db:
        assert first is not identity_of(text, (db.settings.version, ()))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"ttl": 0}, "seconds above 0"), ({"ttl": True}, "seconds above 0"), ({"ttl": "5m"}, "seconds above 0"),
        ({"stale_while_revalidate": -1}, "seconds"), ({"stale_while_revalidate": True}, "seconds"),
        ({"tags": 1}, "A tag is a text"), ({"tags": ["a", 1]}, "A tag is a text"), ({"tags": None}, "A tag is a text"),
        ({"key": "id"}, "key is a function"), ({"vary": "en"}, "vary is"), ({"vary": 1}, "vary is"),
        ({"negative": None}, "negative is"), ({"version": 2}, "version is a text"),
        ({"leave_out": None}, "leave_out is"), ({"leave_out": [1]}, "leave_out is"), ({"timeout": 5}, "has no option timeout"),
    ],
)  # fmt: skip
def test_options_that_cannot_be(db, options, said):
    """Refused where they are written, with the cure, on both faces."""
    for face in (db, db.aio):
        with pytest.raises(errors.Error, match=said) as caught:
            face.cached(**options)
        assert caught.value.hint


def test_what_is_no_function(db):
    """A class, a value, a generator, a method of the class below its decorator."""
    for function in (Point, 60, "orders", property(len), staticmethod(len), (lambda: (yield))):
        with pytest.raises(errors.ConfigError) as caught:
            db.cached(function)
        assert caught.value.hint


def test_one_left_out_alone(db):
    """By name or by type, without a list around it."""
    for one in ("_request", Thing):
        assert 1 == db.cached(leave_out=one, ttl=60)(lambda _request: 1)(Thing())


def test_a_call_that_does_not_fit_names_the_function(db):
    """As Python's own message does."""

    @db.cached
    def area(x, y=1):
        return db.scalar("SELECT ? * ?", x, y)

    class Shape:
        @db.cached(leave_out=["self"])
        def area(self, x):
            return db.scalar("SELECT ?", x)

    here = "test_a_call_that_does_not_fit_names_the_function.<locals>."
    for call, message in (
        (area, "area() missing a required argument: 'x'"),
        (lambda: area(1, 2, 3), "area() too many positional arguments"),
        (lambda: area(1, z=2), "area() got an unexpected keyword argument 'z'"),
        (area.peek, "area() missing a required argument: 'x'"),
        (Shape().area, "Shape.area() missing a required argument: 'x'"),
    ):
        with pytest.raises(TypeError) as caught:
            call()
        assert str(caught.value) == here + message
    with pytest.raises(TypeError, match=r"area\(\) too many positional arguments$"):
        db.cached(functools.partial(area.__wrapped__, 1))(2, 3)
