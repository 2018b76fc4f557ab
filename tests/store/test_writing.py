"""Writing outside a transaction: what the calls answer, and that a call that raises has written nothing."""

from __future__ import annotations

from decimal import Decimal

import pytest

import coeval
from coeval import errors


@pytest.fixture
def db(path):
    with coeval.open(path) as db:
        db.script("""
            CREATE TABLE t(id INTEGER PRIMARY KEY, x UNIQUE CHECK (x <> 'bad'));
            CREATE TABLE child(id INTEGER PRIMARY KEY, t REFERENCES t(id) ON DELETE CASCADE);
            CREATE TABLE later(id INTEGER PRIMARY KEY, t REFERENCES t(id) DEFERRABLE INITIALLY DEFERRED);
            CREATE TABLE strict(n INTEGER NOT NULL) STRICT;
            CREATE TABLE named(name TEXT PRIMARY KEY) WITHOUT ROWID;
            INSERT INTO t VALUES (1, 'one'), (2, 'two'), (3, 'three');
            INSERT INTO child VALUES (1, 1), (2, 1), (3, 2);
        """)
        yield db


def ids(db):
    return [row[0] for row in db.query("SELECT id FROM t ORDER BY id")]


def test_an_insert(db):
    """One row, its rowid, no rows back; other programs see it at once."""
    assert coeval.Result(1, 4, ()) == db.execute("INSERT INTO t(x) VALUES (?)", "four")
    assert [1, 2, 3, 4] == ids(db)


def test_another_program_sees_a_write_when_it_returns(db, foreign):
    """A write is committed when the call returns."""
    for number in range(10, 20):
        db.execute("INSERT INTO t VALUES (?, ?)", number, number)
        assert [(number,)] == foreign.execute("SELECT max(id) FROM t")


def test_an_update_and_a_delete(db):
    """They count the rows they changed and insert none."""
    assert coeval.Result(2, None, ()) == db.execute("UPDATE t SET x = x || '!' WHERE id > 1")
    assert coeval.Result(0, None, ()) == db.execute("UPDATE t SET x = 0 WHERE id > 99")
    assert coeval.Result(1, None, ()) == db.execute("DELETE FROM t WHERE id = 3")
    assert coeval.Result(2, None, ()) == db.execute("DELETE FROM t")


def test_rows_that_a_cascade_deletes_are_not_counted(db):
    """The count is of the statement's own rows."""
    assert 1 == db.execute("DELETE FROM t WHERE id = 1").rowcount
    assert [(3,)] == [tuple(row) for row in db.query("SELECT id FROM child")]


def test_returning(db):
    """RETURNING gives rows like a query."""
    result = db.execute("INSERT INTO t VALUES (8, 'eight'), (9, 'nine') RETURNING id, x")
    assert (2, 9, ((8, "eight"), (9, "nine"))) == (result.rowcount, result.lastrowid, result.rows)
    assert "eight" == result.rows[0]["x"]
    assert ((9,),) == db.execute("DELETE FROM t WHERE id = 9 RETURNING id").rows


def test_a_read_through_execute(db):
    """`execute` takes a SELECT too; it changes nothing and is no write."""
    before = db.stats().writes
    result = db.execute("SELECT count(*) FROM t")
    assert (0, None, ((3,),)) == (result.rowcount, result.lastrowid, result.rows)
    assert before == db.stats().writes


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT OR IGNORE INTO t VALUES (1, 'again')",
        "INSERT INTO t VALUES (1, 'again') ON CONFLICT DO NOTHING",
        "INSERT INTO t SELECT 50, 50 WHERE 0",
        "INSERT INTO named VALUES ('a')",
        "UPDATE t SET x = 5 WHERE id = 1",
    ],
)
def test_lastrowid_is_never_anothers(db, sql):
    """A statement that inserts no row with a rowid has none, whatever was inserted before it."""
    assert 77 == db.execute("INSERT INTO t VALUES (77, 77)").lastrowid
    assert None is db.execute(sql).lastrowid


def test_lastrowid_of_an_upsert_that_updates(db):
    """It is the row's or none, and not that of an earlier insert."""
    assert 77 == db.execute("INSERT INTO t VALUES (77, 77)").lastrowid
    upsert = "INSERT INTO t VALUES (1, 'uno') ON CONFLICT(id) DO UPDATE SET x = excluded.x"
    assert db.execute(upsert).lastrowid in {None, 1}


def test_lastrowid_is_not_a_triggers(db):
    """A trigger's own inserts do not show."""
    db.script("""
        CREATE TABLE log(id INTEGER PRIMARY KEY, what);
        CREATE TRIGGER logged AFTER INSERT ON t BEGIN INSERT INTO log VALUES (1000 + NEW.id, 'in'); END;
    """)
    assert coeval.Result(1, 50, ()) == db.execute("INSERT INTO t VALUES (50, 50)")


def test_a_view_with_an_instead_of_trigger(db):
    """A write to a view is a write."""
    db.script("""
        CREATE VIEW v AS SELECT id, x FROM t;
        CREATE TRIGGER vi INSTEAD OF INSERT ON v BEGIN INSERT INTO t VALUES (NEW.id, NEW.x); END;
    """)
    db.execute("INSERT INTO v VALUES (60, 60)")
    assert [1, 2, 3, 60] == ids(db)


def test_executemany(db):
    """All rows in one transaction; the count is the sum; rows may be tuples, lists or dicts, from any iterable."""
    before = db.stats().writes
    assert 3 == db.executemany("INSERT INTO t VALUES (?, ?)", ([i, str(i)] for i in range(10, 13))).rowcount
    assert 2 == db.executemany("DELETE FROM t WHERE id = :id", [{"id": 10}, {"id": 11}, {"id": 99}]).rowcount
    assert 2 == db.stats().writes - before
    assert [1, 2, 3, 12] == ids(db)


def test_executemany_of_nothing(db):
    """No rows, no change."""
    assert 0 == db.executemany("INSERT INTO t VALUES (?, ?)", []).rowcount
    assert [1, 2, 3] == ids(db)


def test_executemany_that_fails_leaves_nothing(db):
    """The tenth row's failure undoes the nine before it."""
    rows = [(i, i) for i in range(10, 19)] + [(1, "again")]
    with pytest.raises(errors.ConstraintError):
        db.executemany("INSERT INTO t VALUES (?, ?)", rows)
    assert [1, 2, 3] == ids(db)


def test_executemany_whose_rows_fail_leaves_nothing(db):
    """What the iterable raises comes out, and nothing was written."""

    def rows():
        yield (10, 10)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        db.executemany("INSERT INTO t VALUES (?, ?)", rows())
    assert [1, 2, 3] == ids(db)


def test_executemany_reads_its_rows_before_it_takes_the_turn(db):
    """Rows that come from a query on the same database, or write to it, do not wait for themselves."""

    def rows():
        for row in db.query("SELECT id FROM t"):
            db.execute("UPDATE t SET x = x || '+' WHERE id = ?", row["id"])
            yield (row["id"] + 10, row["id"] + 10)

    assert 3 == db.executemany("INSERT INTO t VALUES (?, ?)", rows()).rowcount


def test_script(db):
    """Many statements, later ones using what earlier ones made, in one transaction."""
    before = db.stats().writes
    db.script("CREATE TABLE n(x); INSERT INTO n VALUES (1), (2); UPDATE n SET x = x * 10; SELECT * FROM n; -- done")
    assert 1 == db.stats().writes - before
    assert ((10,), (20,)) == db.query("SELECT x FROM n")


def test_every_statement_of_a_script_runs_to_its_end(db):
    """A statement that gives rows is not left at its first one (hole 18)."""
    db.script("""
        UPDATE t SET x = x || '!' RETURNING id;
        INSERT INTO t SELECT id + 10, x || '?' FROM t RETURNING id;
        DELETE FROM t WHERE id < 3 RETURNING id;
    """)
    assert ["three!", "one!?", "two!?", "three!?"] == [row[0] for row in db.query("SELECT x FROM t ORDER BY id")]


@pytest.mark.parametrize("end", ["INSERT INTO t VALUES (1, 1)", "garbage", "COMMIT", "INSERT INTO t VALUES (?, 1)"])
def test_a_script_that_fails_leaves_nothing(db, end):
    """Whatever its last statement meets, and by an error of the tree, nothing of the script stays."""
    with pytest.raises(errors.Error):
        db.script(f"CREATE TABLE n(x); INSERT INTO t VALUES (9, 9); {end}")
    assert [1, 2, 3] == ids(db)
    assert () == db.query("SELECT * FROM sqlite_schema WHERE name = 'n'")


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("INSERT INTO t VALUES (1, 'again')", "UNIQUE constraint failed: t.id"),
        ("INSERT INTO t VALUES (9, 'one')", "UNIQUE constraint failed: t.x"),
        ("INSERT INTO t VALUES (9, 'bad')", "CHECK constraint failed"),
        ("INSERT INTO child VALUES (9, 99)", "FOREIGN KEY constraint failed"),
        ("INSERT INTO later VALUES (9, 99)", "FOREIGN KEY constraint failed"),
        ("INSERT INTO strict VALUES (NULL)", "NOT NULL constraint failed"),
        ("INSERT INTO strict VALUES ('text')", "cannot store TEXT value in INTEGER column"),
        ("INSERT OR ABORT INTO t VALUES (10, 10), (1, 1)", "UNIQUE"),
        ("INSERT OR FAIL INTO t VALUES (10, 10), (1, 1)", "UNIQUE"),
        ("INSERT OR ROLLBACK INTO t VALUES (10, 10), (1, 1)", "UNIQUE"),
    ],
)
def test_a_constraint(db, sql, said):
    """It is named, and the statement leaves nothing, whatever its conflict clause; the next write goes on."""
    before = db.stats().writes
    with pytest.raises(errors.ConstraintError, match=said) as caught:
        db.execute(sql)
    assert caught.value.hint
    assert ([1, 2, 3], before) == (ids(db), db.stats().writes)
    assert ((0, 0),) == db.query("SELECT (SELECT count(*) FROM later), (SELECT count(*) FROM strict)")
    assert 1 == db.execute("INSERT INTO t VALUES (4, 'four')").rowcount


def test_a_trigger_that_raises(db):
    """RAISE in a trigger is a ConstraintError with its text, for ABORT, FAIL and ROLLBACK alike."""
    for number, how in enumerate(["ABORT", "FAIL", "ROLLBACK"]):
        db.script(f"""
            CREATE TRIGGER no{number} AFTER INSERT ON t WHEN NEW.id = {100 + number}
            BEGIN SELECT RAISE({how}, 'not {how} today'); END
        """)
        with pytest.raises(errors.ConstraintError, match=f"not {how} today"):
            db.execute("INSERT INTO t VALUES (50, 50), (?, 0)", 100 + number)
        assert [1, 2, 3] == ids(db)


def test_ddl(db):
    """A change of the schema is a write like any other, and counts no rows."""
    assert coeval.Result(0, None, ()) == db.execute("CREATE TABLE n(x)")
    assert coeval.Result(0, None, ()) == db.execute("CREATE INDEX ni ON n(x)")
    assert coeval.Result(0, None, ()) == db.execute("ANALYZE")
    assert 1 == db.execute("INSERT INTO n VALUES (1)").rowcount
    assert coeval.Result(0, None, ()) == db.execute("DROP TABLE n")
    with pytest.raises(errors.SQLError, match="no such table"):
        db.query("SELECT * FROM n")


def test_rowcount_of_ddl_after_a_write(db):
    """DDL does not answer with the count of the write before it."""
    db.execute("UPDATE t SET x = x || '!'")
    assert 0 == db.execute("CREATE TABLE n(x)").rowcount
    assert 0 == db.execute("PRAGMA user_version = 7").rowcount
    assert 7 == db.scalar("PRAGMA user_version")


def test_python_values_go_in(db):
    """The same values go into reads and writes."""
    db.execute("INSERT INTO t VALUES (?, ?)", 9, Decimal("1.50"))
    assert "1.50" == db.scalar("SELECT x FROM t WHERE id = 9")
    assert 9 == db.scalar("SELECT id FROM t WHERE x = ?", Decimal("1.50"))


def test_values_by_name(db):
    """A dict fills named placeholders in writes too."""
    assert 1 == db.execute("UPDATE t SET x = :x WHERE id = :id", {"x": "uno", "id": 1}).rowcount
    assert "uno" == db.scalar("SELECT x FROM t WHERE id = 1")


def test_our_own_tables_are_not_written_to(db):
    """A write to a stamp by hand is refused, since it could make a stale result valid."""
    for name in ("_coeval_stamps", "_COEVAL_STAMPS", '"_coeval_schema"', "main._coeval_tables"):
        with pytest.raises(errors.SQLError, match="_coeval"):
            db.execute(f"DELETE FROM {name}")
    with pytest.raises(errors.SQLError, match="_coeval"):
        db.script("UPDATE _coeval_stamps SET stamp = 1")


def test_a_cached_result_follows_every_write(db):
    """The very next read sees the write, and between writes reads are hits."""
    sql = "SELECT x FROM t WHERE id = 1"
    for number in range(50):
        db.execute("UPDATE t SET x = ? WHERE id = 1", f"v{number}")
        assert [f"v{number}"] * 3 == [db.scalar(sql) for _ in range(3)]
    assert 100 <= db.stats().hits
