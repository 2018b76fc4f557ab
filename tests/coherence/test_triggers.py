"""A user's triggers cannot keep ours from stamping (holes 2, 3 and 28)."""

from __future__ import annotations

import pytest

from coherence.asking import cached, keep, truth

from processes import ForeignError

READ = "SELECT id, v FROM t ORDER BY id"
WRITES = {
    "insert": "INSERT INTO t VALUES (3, 3)",
    "update": "UPDATE t SET v = v + 10",
    "delete": "DELETE FROM t WHERE id = 2",
    "replace": "REPLACE INTO t VALUES (1, 50)",
    "upsert": "INSERT INTO t VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET v = 60",
}


@pytest.fixture
def db(db):
    db.script("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1), (2, 2); CREATE TABLE log (v)")
    return db


def guards(when: str, body: str) -> str:
    """The same trigger for every event."""
    return ";".join(
        f"CREATE TRIGGER guard_{when}_{event} {when} {event} ON t BEGIN {body}; END"
        for event in ("INSERT", "UPDATE", "DELETE")
    )


@pytest.mark.parametrize("first", [True, False], ids=["user's first", "ours first"])
@pytest.mark.parametrize("when", ["BEFORE", "AFTER"])
@pytest.mark.parametrize("write", WRITES)
def test_raise_ignore(path, open_db, foreign, write, when, first):
    """Hole 2: a trigger that ends the row's other triggers, made before ours or after them."""
    table = "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1), (2, 2)"
    ignoring = guards(when, "SELECT RAISE(IGNORE)")
    if first:
        foreign.script(f"{table}; {ignoring};")
        db = open_db()
    else:
        db = open_db()
        db.script(table)
        foreign.script(f"{ignoring};")
    old = keep(db, READ)
    foreign.execute(WRITES[write])
    assert (when == "AFTER") == (old != truth(db, READ))  # an AFTER trigger comes too late to undo the row
    assert truth(db, READ) == cached(db, READ)


@pytest.mark.parametrize("when", ["BEFORE", "AFTER"])
@pytest.mark.parametrize("write", WRITES)
def test_raise_ignore_for_some_rows_after_writing_others(db, foreign, write, when):
    """Hole 2: what the ignored row's trigger wrote elsewhere stays written, and is seen."""
    foreign.script(f"{guards(when, 'INSERT INTO log VALUES (1); SELECT RAISE(IGNORE)')};")
    read = "SELECT count(*) FROM log"
    old = keep(db, read)
    foreign.execute(WRITES[write])
    assert old != truth(db, read)
    assert truth(db, read) == cached(db, read)
    assert truth(db, READ) == cached(db, READ)


@pytest.mark.parametrize("clause", ["ABORT", "FAIL", "ROLLBACK"])
@pytest.mark.parametrize("when", ["BEFORE", "AFTER"])
def test_raise_that_fails(db, foreign, when, clause):
    """Hole 3: what RAISE takes back was never there; what OR FAIL leaves is seen."""
    foreign.execute(f"CREATE TRIGGER guard {when} UPDATE ON t WHEN NEW.id = 2 BEGIN SELECT RAISE({clause}, 'no'); END")
    old = keep(db, READ)
    with pytest.raises(ForeignError, match="no"):
        foreign.execute("UPDATE t SET v = v + 10")
    assert (clause == "FAIL") == (old != truth(db, READ))
    assert truth(db, READ) == cached(db, READ)


def test_a_trigger_that_writes_its_own_table(db, foreign):
    """A user's triggers may write the table that fires them, with recursive triggers or without."""
    foreign.execute(
        "CREATE TRIGGER more AFTER INSERT ON t WHEN NEW.id < 9 BEGIN UPDATE t SET v = v + 1 WHERE id = 1; END"
    )
    foreign.execute("CREATE TRIGGER first BEFORE DELETE ON t BEGIN UPDATE t SET v = 99 WHERE id = 1; END")
    for recursive in (0, 1):
        foreign.execute(f"PRAGMA recursive_triggers = {recursive}")
        for write in (f"INSERT INTO t VALUES ({5 + recursive}, 0)", f"DELETE FROM t WHERE id = {5 + recursive}"):
            old = keep(db, READ)
            foreign.execute(write)
            assert old != truth(db, READ)
            assert truth(db, READ) == cached(db, READ)


@pytest.mark.parametrize("outer", ["OR IGNORE", "OR FAIL", "OR REPLACE", "OR ABORT", "OR ROLLBACK"])
def test_the_outer_conflict_clause_reaches_no_stamp(db, foreign, outer):
    """Hole 3: whatever the outer statement's clause, each statement that changes a row changes the stamp."""
    stamp = "SELECT stamp FROM _coeval_stamps WHERE id = (SELECT id << 20 FROM _coeval_tables WHERE name = 't')"
    stamps = {foreign.execute(stamp)[0][0]}
    for number, write in enumerate(
        (f"INSERT {outer} INTO t VALUES (7, 7)", f"UPDATE {outer} t SET v = 8 WHERE id = 7"), 2
    ):
        old = keep(db, READ)
        foreign.execute(write)
        assert truth(db, READ) == cached(db, READ) != old
        stamps.add(foreign.execute(stamp)[0][0])
        assert number == len(stamps)


@pytest.mark.parametrize(
    "name", ["_coeval_mine", "_coeval_insert_x", "xcoeval_tables", "_COEVAL_STAMPS_2", "_coeval_schema2"]
)
def test_a_user_s_table_with_a_name_like_ours(db, path, foreign, name):
    """Hole 28: it is a table like any other: stamped, cached, and still there after everything of ours was removed."""
    import coeval

    foreign.execute(f"CREATE TABLE {name} (v)")
    foreign.execute(f"CREATE TRIGGER _coeval_insert_mine AFTER INSERT ON {name} BEGIN SELECT 1; END")
    read = f"SELECT count(*) FROM {name}"
    for expected in (1, 2, 3):
        keep(db, read)
        foreign.execute(f"INSERT INTO {name} VALUES (1)")
        assert ((expected,),) == cached(db, read)
    assert "stamps" == db.explain(read).validity
    db.close()
    coeval.uninstall(path)
    assert [(3,)] == foreign.execute(read)
    assert [("_coeval_insert_mine",)] == foreign.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'")


def test_our_own_tables_are_not_written_by_hand(db):
    """The stamps are refused to `execute`, in any spelling, and results that read them go by the clock."""
    import coeval

    for sql in (
        "UPDATE _coeval_stamps SET stamp = 1",
        'DELETE FROM "_COEVAL_Schema"',
        "DELETE FROM main.[_coeval_tables]",
    ):
        with pytest.raises(coeval.errors.SQLError, match="stamps"):
            db.execute(sql)
    assert "clock" == db.explain("SELECT stamp FROM _coeval_stamps").validity
