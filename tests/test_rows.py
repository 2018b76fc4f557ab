"""Rows: tuples that know their names. Nothing here needs a database."""

import copy
import enum
import pickle
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coeval.errors import ColumnError
from coeval.rows import Result, Row, row_type

ANN = row_type(("id", "name", "score"))((7, "Ann", 2.5))
TWICE = row_type(("id", "name", "id"))((1, "Ann", 2))

names_lists = st.lists(st.text(max_size=5), min_size=1, max_size=6).map(tuple)


class Column(enum.StrEnum):
    NAME = "name"


@pytest.mark.parametrize(
    ("expected", "key"),
    [
        (7, "id"),
        ("Ann", "name"),
        ("Ann", Column.NAME),
        (7, 0),
        (2.5, 2),
        (2.5, -1),
        (("Ann", 2.5), slice(1, None)),
        ((2.5, "Ann", 7), slice(None, None, -1)),
    ],
)
def test_a_row_is_read_by_name_by_number_and_by_slice(expected, key):
    """Names, numbers from both ends and slices all find their values."""
    assert expected == ANN[key]


def test_a_slice_is_a_plain_tuple():
    """Part of a row has no names that fit it, so it is no row."""
    assert tuple is type(ANN[0:3])


def test_a_row_is_its_tuple():
    """It equals, hashes, unpacks, counts and sorts like the plain tuple of its values, in both directions."""
    assert (7, "Ann", 2.5) == ANN
    assert (7, "Ann", 2.5) == ANN
    assert hash((7, "Ann", 2.5)) == hash(ANN)
    assert 1 == {(7, "Ann", 2.5): 1}[ANN]
    number, *_ = ANN
    assert 7 == number
    assert 3 == len(ANN)
    assert ANN < (8,)


def test_the_names_are_there_in_order():
    """``keys()`` and ``_fields`` give all names, ``asdict()`` and ``dict()`` pair them with the values."""
    assert ("id", "name", "score") == ANN.keys()
    assert ("id", "name", "score") == ANN._fields
    assert ANN.asdict() == {"id": 7, "name": "Ann", "score": 2.5}
    assert dict(ANN) == {"id": 7, "name": "Ann", "score": 2.5}


def test_asdict_gives_a_dict_of_ones_own():
    """Whoever changes the dict changes nobody's row."""
    ANN.asdict()["id"] = 8
    assert 7 == ANN["id"]


def test_a_row_cannot_be_changed():
    """Neither its values nor its attributes: rows are shared."""
    with pytest.raises(TypeError):
        ANN["id"] = 8  # type: ignore[index]
    with pytest.raises(AttributeError):
        ANN.more = 8  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        type(ANN)._index["other"] = 0  # type: ignore[index]


@pytest.mark.parametrize(
    ("expected", "row"),
    [
        ("Row(id=7, name='Ann', score=2.5)", ANN),
        ("Row(id=1, name='Ann', id=2)", TWICE),
        ("Row('count(*)'=3)", row_type(("count(*)",))((3,))),
        ("Row(1, 2)", Row((1, 2))),
        ("Row()", Row()),
    ],
)
def test_a_row_shows_itself(expected, row):
    """Names and values, and a name that is no word in quotes."""
    assert expected == repr(row)


@pytest.mark.parametrize(
    ("message", "hint", "name"),
    [
        ("no column 'nmae'; it has id, name, score", "Did you mean 'name'?", "nmae"),
        ("no column 'NAME'; it has id, name, score", "Did you mean 'name'?", "NAME"),
        ("no column 'region'; it has id, name, score", "Add it to the SELECT, or name it there with AS.", "region"),
    ],
)
def test_an_unknown_name_says_what_there_is(message, hint, name):
    """The error lists the columns and proposes the one that was meant."""
    with pytest.raises(ColumnError) as caught:
        ANN[name]
    assert message in caught.value.message
    assert hint == caught.value.hint


def test_a_row_of_very_many_columns_lists_some():
    """The error stays readable with a thousand columns."""
    wide = row_type(tuple(f"c{n}" for n in range(1000)))(range(1000))
    with pytest.raises(ColumnError) as caught:
        wide["zzz"]
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("read", [lambda: TWICE["id"], TWICE.asdict, lambda: dict(TWICE)])
def test_a_doubtful_name_raises(read):
    """Two columns of one name: neither is taken, and the error says how to tell them apart."""
    with pytest.raises(ColumnError) as caught:
        read()
    assert "2 columns of this row are named 'id'" in caught.value.message
    assert "AS t_id" in caught.value.hint


def test_the_other_columns_of_a_doubtful_row_are_read():
    """One doubtful name spoils only itself, and numbers still tell the two apart."""
    assert "Ann" == TWICE["name"]
    assert (1, 2) == (TWICE[0], TWICE[2])


def test_wrong_keys_raise_what_a_tuple_raises():
    """Out of range is IndexError, and a key that is neither name nor number is TypeError."""
    with pytest.raises(IndexError):
        ANN[3]
    with pytest.raises(TypeError):
        ANN[1.5]  # type: ignore[call-overload]


def test_a_row_without_names_says_so():
    """The bare Row has numbers only."""
    with pytest.raises(ColumnError, match="no names"):
        Row((1,))["id"]


@pytest.mark.parametrize("row", [ANN, TWICE, Row((1, 2))])
@pytest.mark.parametrize(
    "copied",
    [
        copy.copy,
        copy.deepcopy,
        *(
            lambda row, p=p: pickle.loads(pickle.dumps(row, p))  # noqa: S301 - our own
            for p in range(6)
        ),
    ],
)
def test_a_copy_is_a_row_of_the_same_names(row, copied):
    """Copies and pickles of every protocol keep values, names and type."""
    assert row == copied(row)
    assert row._fields == copied(row)._fields
    assert type(row) is type(copied(row))


def test_one_type_for_one_list_of_names():
    """Types are made once, and are different for other names or another order."""
    assert row_type(("a", "b")) is row_type(("a", "b"))
    assert row_type(("a", "b")) is not row_type(("b", "a"))


def test_the_number_of_kept_types_is_bounded():
    """A program that makes up column names for ever fills no memory, and its old rows go on working."""
    old = row_type(("old",))((1,))
    for n in range(3000):
        row_type((f"column_{n}",))
    assert row_type.cache_info().currsize <= 1024
    assert 1 == old["old"]
    assert pickle.loads(pickle.dumps(old)) == old  # noqa: S301 - our own


def test_a_row_has_no_dict_of_its_own():
    """It is as small as a tuple, and is made by tuple's own constructor."""
    assert not hasattr(ANN, "__dict__")
    assert tuple.__new__ is type(ANN).__new__
    assert (7, "Ann", 2.5).__sizeof__() == ANN.__sizeof__()


def test_types_are_made_from_many_threads():
    """Any thread may ask for any type, and every row has the right names."""

    def work(start):
        wanted = [tuple(f"c{n % 7}_{k}" for k in range(3)) for n in range(start, start + 200)]
        return all(row_type(names)((1, 2, 3))[names[1]] == 2 for names in wanted)

    with ThreadPoolExecutor(8) as pool:
        assert [True] * 8 == list(pool.map(work, range(8)))


@given(names_lists)
def test_every_name_finds_its_value_or_is_doubtful(names):
    """For any names: one that only one column has gives its value, any other raises."""
    row = row_type(names)(tuple(range(len(names))))
    for place, name in enumerate(names):
        if names.count(name) == 1:
            assert place == row[name]
        else:
            with pytest.raises(ColumnError):
                row[name]
        assert place == row[place]


@given(names_lists)
def test_asdict_loses_nothing(names):
    """``asdict()`` has every column, or raises."""
    row = row_type(names)(tuple(range(len(names))))
    if len(set(names)) == len(names):
        assert list(range(len(names))) == list(row.asdict().values())
    else:
        with pytest.raises(ColumnError):
            row.asdict()


def test_a_result_cannot_be_changed():
    """It is frozen, and has RETURNING rows only where there are any."""
    result = Result(1, 7)
    assert (1, 7, ()) == (result.rowcount, result.lastrowid, result.rows)
    with pytest.raises(AttributeError):
        result.rowcount = 2  # type: ignore[misc]
    assert not hasattr(result, "__dict__")
