"""What a statement depends on, decided from what SQLite reported of it and from what the names mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coeval.coherence.read_set import Catalogue, Read, Relation, read_set
from coeval.coherence.scopes import table_scope

CATALOGUE = Catalogue(
    {
        relation.name.lower(): relation
        for relation in (
            Relation("Users", "table", 1),
            Relation("orders", "table", 2),
            Relation("new", "table", None),
            Relation("v", "view"),
            Relation("words", "virtual", None, "fts5"),
            Relation("words_data", "shadow"),
            Relation("csvfile", "virtual", None, "csv"),
            Relation("_coeval_stamps", "table", None),
        )
    },
    frozenset({"csv", "fts5", "generate_series", "json_each", "dbstat"}),
)
STEADY = frozenset({"upper", "count"})


def judge(*reads, functions=(), stamps=True):
    found = [Read(*read) if isinstance(read, tuple) else Read(read, "x", "main") for read in reads]
    return read_set(found, functions, CATALOGUE, STEADY, stamps=stamps)


def scopes(*numbers):
    return tuple(table_scope(number) for number in numbers)


@pytest.mark.parametrize(
    ("expected", "tables", "reads"),
    [
        (scopes(), (), []),
        (scopes(1), ("Users",), ["Users"]),
        (scopes(1), ("Users",), ["USERS", "users"]),
        (scopes(1, 2), ("Users", "orders"), ["orders", "Users"]),
        (scopes(1), ("Users",), ["v", "Users"]),
        (scopes(1), ("Users",), [("Users", "", "main")]),
        (scopes(1), ("Users",), [("Users", "x", None)]),
        (scopes(2), ("orders",), ["a_cte_of_the_statement", "orders"]),
    ],
)
def test_by_stamps(expected, tables, reads):
    """Tables with triggers are its scopes; views, CTEs and spelling add nothing of their own."""
    found = judge(*reads)
    assert (expected, tables, (), ()) == found


@pytest.mark.parametrize(
    ("tables", "reason", "reads"),
    [
        (("new",), "table without triggers", ["new"]),
        (("Users", "new"), "table without triggers", ["Users", "new"]),
        (("words",), "virtual table", ["words"]),
        (("words_data",), "shadow table", ["words_data"]),
        (("Users",), "implicit rowid of Users", [("Users", "ROWID", "main")]),
        (("Users",), "implicit rowid of Users", [("users", "rowid", "main")]),
        (("sqlite_schema",), "sqlite_schema is a system table", [("sqlite_schema", "name", "main")]),
        (("sqlite_stat1",), "sqlite_stat1 is a system table", [("sqlite_stat1", "tbl", "main")]),
        (("_coeval_stamps",), "system table", ["_coeval_stamps"]),
        ((), "json_each is a table-valued function", [("json_each", "value", None)]),
    ],
)
def test_by_the_clock(tables, reason, reads):
    """What has no stamp is valid by the clock alone, and takes everything else with it."""
    found = judge(*reads)
    assert (None, tables, ()) == (found.scopes, found.tables, found.reasons)
    assert reason in " ".join(found.clock)


@pytest.mark.parametrize(
    ("reason", "reads", "functions"),
    [
        ("random()", [], ["random"]),
        ("RANDOM()", ["Users"], ["RANDOM"]),
        ("mine()", ["Users"], ["upper", "mine"]),
        ("outside the main database", [("Users", "x", "temp")], []),
        ("outside the main database", [("t", "x", "other")], []),
        ("csvfile", ["csvfile"], []),
        ("generate_series", [("generate_series", "value", None)], []),
        ("dbstat", [("dbstat", "name", "main")], []),
        ("pragma_table_info", [("pragma_table_info", "name", None)], []),
        ("sqlite_temp_schema", [("sqlite_temp_schema", "name", "main")], []),
    ],
)
def test_not_at_all(reason, reads, functions):
    """Time, chance, this connection, other files and unknown code are reasons against any cache."""
    found = judge(*reads, functions=functions)
    assert reason in " ".join(found.reasons)


def test_steady_functions_are_no_reason():
    """Functions that always answer the same are, in any spelling, no reason."""
    assert () == judge("Users", functions=["upper", "COUNT"]).reasons


def test_without_stamps_everything_is_by_the_clock():
    """Where the file has no stamps even a statement without tables is valid by the clock."""
    for reads in ([], ["Users"], ["words"]):
        found = judge(*reads, stamps=False)
        assert None is found.scopes
        assert 1 == len(found.clock)
        assert "no stamps" in found.clock[0]
    assert judge(functions=["random"], stamps=False).reasons


def test_each_reason_is_told_once():
    """However often a statement reads a thing."""
    found = judge("new", "NEW", "new", functions=["random", "random"])
    assert (1, 1) == (len(found.clock), len(found.reasons))


names = st.sampled_from(["Users", "orders", "new", "v", "words", "csvfile", "cte", "sqlite_schema"])


@given(st.lists(names), st.lists(names), st.lists(st.sampled_from(["upper", "random"])))
def test_more_reads_never_prove_more(some, more, functions):
    """A read added to a statement adds scopes or reasons, and takes none away."""
    one = judge(*some, functions=functions)
    both = judge(*some, *more, functions=functions)
    assert set(one.reasons) <= set(both.reasons)
    assert set(one.clock) <= set(both.clock)
    assert set(one.tables) <= set(both.tables)
    assert both.scopes is None or (one.scopes is not None and set(one.scopes) <= set(both.scopes))
    assert judge(*more, *some, functions=functions).scopes == both.scopes
