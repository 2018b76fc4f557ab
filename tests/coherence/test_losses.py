"""`Database.losses`: what writes made invalid, the column that would have saved it, and `auto_track`, which tracks it."""

from __future__ import annotations

import asyncio
import logging

import pytest

import coeval
from coeval.cache import losses as policy
from coeval.errors import ConfigError, ParameterError
from coeval.lost_work import track_by_losses
from waiting import wait_until

BY_CUSTOMER = "SELECT sum(total) FROM orders WHERE customer_id = ?"
ALL = "SELECT count(*) FROM orders"


@pytest.fixture
def db(path):
    with coeval.open(path) as db:
        db.script(
            "CREATE TABLE orders(id INTEGER PRIMARY KEY, customer_id INTEGER, status TEXT, total REAL);"
            "CREATE TABLE notes(text TEXT COLLATE NOCASE, weight REAL);"
        )
        db.executemany("INSERT INTO orders(customer_id, status, total) VALUES (?, 'new', 1)", [(n,) for n in range(5)])
        yield db


def lose(db, sql, *params, times=1, table="orders"):
    """Have a kept result of ``sql`` found invalid ``times`` times, by writes that do not change it."""
    for _ in range(times):
        db.query(sql, *params)
        if table == "orders":
            db.execute("INSERT INTO orders(customer_id, status, total) VALUES (77, 'new', 1)")
        else:
            db.execute("INSERT INTO notes VALUES ('x', 1)")
        db.query(sql, *params)


def test_a_statement_that_lost_work_is_listed_with_the_column_that_would_have_saved_it(db):
    """As it is given to `track`; and once that is done, nothing is lost any more."""
    lose(db, BY_CUSTOMER, 1, times=3)
    (loss,) = db.losses()
    assert loss[:2] == (BY_CUSTOMER, 3)
    assert 0 < loss.seconds < 60
    assert loss[3:] == ("orders", ("customer_id",), "")
    db.track(loss.table, loss.by)
    lose(db, BY_CUSTOMER, 1, times=3)
    assert db.losses()[0].times == 3


def test_where_no_column_would_have_helped_the_reason_is_said(db):
    """Of the statement, or of the table."""
    lose(db, ALL)
    (loss,) = db.losses()
    assert loss.by == ()
    assert loss.why == "it reads orders without holding id or customer_id or status to given values"
    lose(db, "SELECT * FROM notes WHERE text = ?", "x", table="notes")
    why = {one.table: one.why for one in db.losses()}
    assert why["notes"] == "no column of notes can be tracked"


def test_what_depends_on_its_rows_alone_needs_no_other_column(db):
    """A write of those rows is a loss that nothing saves."""
    db.track("orders", by=["customer_id"])
    db.query(BY_CUSTOMER, 1)
    db.execute("UPDATE orders SET total = 5 WHERE customer_id = 1")
    db.query(BY_CUSTOMER, 1)
    (loss,) = db.losses()
    assert loss.by == ()
    assert "alone already" in loss.why


def test_the_dearest_come_first_and_no_more_than_asked_for(db):
    """By seconds."""
    lose(db, BY_CUSTOMER, 1)
    lose(db, ALL)
    sums = db._engine.losses.largest(9)
    next(sum for sum in sums if sum.name == ALL).seconds += 100
    assert [loss.statement for loss in db.losses()] == [ALL, BY_CUSTOMER]
    assert [loss.statement for loss in db.losses(limit=1)] == [ALL]


def test_a_cached_function_is_listed_by_its_name(db):
    """Its statements are not known to it."""

    @db.cached
    def report(customer):
        return db.scalar(BY_CUSTOMER, customer)

    report(1)
    db.execute("INSERT INTO orders(customer_id, total) VALUES (77, 1)")
    report(1)
    loss = next(loss for loss in db.losses() if loss.statement != BY_CUSTOMER)
    assert loss.statement.endswith("report")
    assert (loss.times, loss.table, loss.by) == (1, "orders", ())
    assert loss.why == "it is a function: look at the statements that it makes"


def test_a_hit_and_a_change_elsewhere_lose_nothing(db):
    """Nor does a change of the schema, which no column would have saved."""
    lose(db, "SELECT count(*) FROM notes")
    db.query(BY_CUSTOMER, 1)
    db.query(BY_CUSTOMER, 1)
    db.script("CREATE TABLE more(x)")
    db.query(BY_CUSTOMER, 1)
    assert db.losses() == ()


def test_losses_of_what_is_gone_are_left_out(db):
    """A table that was dropped, a statement that no longer fits."""
    lose(db, BY_CUSTOMER, 1)
    db.script("ALTER TABLE orders RENAME COLUMN customer_id TO client")
    (loss,) = db.losses()
    assert loss[4:] == ((), "it fits the schema no more")
    db.script("DROP TABLE orders")
    assert db.losses() == ()


def test_asyncio_counts_and_lists_the_same(path):
    """In the loop's thread and in workers."""

    async def main():
        async with coeval.aopen(path) as db:
            await db.script("CREATE TABLE orders(customer_id INTEGER, total REAL)")
            for _ in range(3):
                await db.query(BY_CUSTOMER, 1)
                await db.execute("INSERT INTO orders VALUES (77, 1)")
            await db.query(BY_CUSTOMER, 1)
            return await db.losses()

    (loss,) = asyncio.run(main())
    assert loss[:2] == (BY_CUSTOMER, 3)
    assert loss.by == ("customer_id",)


def test_auto_track_tracks_what_lost_enough_and_says_so(path, monkeypatch, caplog):
    """By the housekeeper, some time after; and never without being allowed to."""
    monkeypatch.setattr(policy, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(policy.worth_tracking, "__kwdefaults__", {"seconds": 0.0, "times": 3, "columns": 3})
    caplog.set_level(logging.INFO, "coeval")
    with coeval.open(path, auto_track=True) as db:
        db.script("CREATE TABLE orders(customer_id INTEGER, total REAL)")
        assert db.explain(BY_CUSTOMER, 1).scopes == ("orders",)
        for _ in range(4):
            db.query(BY_CUSTOMER, 1)
            db.execute("INSERT INTO orders VALUES (77, 1)")
        wait_until(
            lambda: db.explain(BY_CUSTOMER, 1).scopes == ("orders by customer_id = ?1",), "the column is tracked"
        )
        wait_until(lambda: "orders is tracked by customer_id" in caplog.text, "it is said")
        wait_until(lambda: db.losses() == (), "what was lost before is forgotten")


def test_without_auto_track_nothing_is_tracked(db, monkeypatch):
    """However much was lost."""
    monkeypatch.setattr(policy, "LEAST_SECONDS", 0.0)
    monkeypatch.setattr(policy.worth_tracking, "__kwdefaults__", {"seconds": 0.0, "times": 1, "columns": 3})
    lose(db, BY_CUSTOMER, 1, times=3)
    db._engine.look()
    db._engine.workers.chores.close()
    assert db._engine.workers.join(5)
    assert db.explain(BY_CUSTOMER, 1).scopes == ("orders",)


def test_what_cannot_be_tracked_is_said_in_the_log_and_harms_nobody(db, monkeypatch, caplog):
    """It is tried again only when as much was lost again."""
    monkeypatch.setattr(policy.worth_tracking, "__kwdefaults__", {"seconds": 0.0, "times": 1, "columns": 3})
    lose(db, BY_CUSTOMER, 1)

    def refuse(*_):
        raise ConfigError("not this one", hint="Never.")

    monkeypatch.setattr("coeval.tracked_columns.track", refuse)
    track_by_losses(db._engine)
    assert "orders is not tracked by customer_id: not this one" in caplog.text
    assert db.losses() == ()


@pytest.mark.parametrize("limit", ["x", -1, 2.5, None, True])
def test_a_limit_that_is_no_number_of_statements(db, limit):
    """It is said, and not what Python makes of it; 0 is a number."""
    lose(db, BY_CUSTOMER, 1)
    with pytest.raises(ParameterError, match="The limit of losses") as caught:
        db.losses(limit)
    assert "db.losses(20)" in caught.value.hint
    assert db.losses(0) == ()


def test_auto_track_without_the_parser_is_said_once(db, monkeypatch, caplog):
    """With what to install."""
    monkeypatch.setattr("coeval.lost_work.find_spec", lambda _name: None)
    lose(db, BY_CUSTOMER, 1)
    for _ in range(3):
        track_by_losses(db._engine)
    (said,) = [record.getMessage() for record in caplog.records if "auto_track" in record.getMessage()]
    assert "pip install 'coeval[track]'" in said
