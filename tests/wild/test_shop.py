"""SQL as it is written: every table and column of a database with everything in it is changed in turn, and nothing is stale."""

from __future__ import annotations

import pytest

import coeval
from wild import shop
from wild.changing import Trial
from wild.shop_queries import QUERIES

from scale import SOAK

TABLES = {table: tuple(columns) for table, columns in shop.COLUMNS.items()}


@pytest.fixture
def db(path):
    """The wholesaler's."""
    with coeval.open(path) as db:
        db.script(shop.script())
        yield db


def test_no_column_is_forgotten(db):
    """Every table, and every column that can be written, is among the changes."""
    names = {
        row["name"] for row in db.iterate("PRAGMA table_list") if row["type"] == "table" and row["schema"] == "main"
    }
    own = {name for name in names if not name.startswith(("_coeval", "sqlite_"))}
    assert own == set(TABLES)
    for table in own:
        columns = [row["name"] for row in db.iterate(f"PRAGMA table_info({table})")]
        assert [column for column in columns if column != "label"] == list(
            TABLES[table]
        )  # which is generated and stored


@pytest.mark.parametrize("name", QUERIES)
def test_read_sets(db, name):
    """What it depends on is what its author says, and it finds something."""
    query = QUERIES[name]
    found = db.explain(query.sql)
    assert found.cacheable, found.reasons
    assert query.tables == {table for table in found.reads if table not in {"json_each", "json_tree"}}
    assert ("clock" if query.clock else "stamps") == found.validity
    assert db.query(query.sql)


def test_every_table_and_column_in_turn(db, foreign):
    """By another program that has foreign keys on: updates of every column, upserts, cascades, triggers, views that are written to."""
    foreign.execute("PRAGMA foreign_keys = ON")
    trial = Trial(db, foreign, QUERIES, TABLES, triggers=True)
    shown, idle = set(), []
    for change in shop.changes().values():
        changed = trial.change(change, thorough=SOAK)
        shown |= {(name, table) for name in changed for table in change.touched}
        if not changed:
            idle.append(change.name)
    assert not idle, "these show nowhere, and prove nothing"
    missing = {(name, table) for name, query in QUERIES.items() for table in query.tables} - shown
    assert not missing, sorted(missing)
