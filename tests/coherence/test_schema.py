"""The schema changes underneath: nothing is served from before, and nothing is trusted until it was verified (holes 4 and 24)."""

# ruff: noqa: PT012 - the block that raises is the transaction itself
from __future__ import annotations

import os
from pathlib import Path

import pytest

import coeval
from coherence.asking import cached, keep, plain, truth
from coherence.neighbour import Neighbour

from processes import Foreign

READ = "SELECT v FROM t ORDER BY v"


@pytest.fixture
def db(db):
    db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1)")
    return db


def fresh(db: coeval.Database, sql: str = READ) -> None:
    """The cache and the truth are one, now and after the cache was filled."""
    assert truth(db, sql) == cached(db, sql)
    assert truth(db, sql) == cached(db, sql)


CHANGES = {
    "a column more": ["ALTER TABLE t ADD COLUMN w DEFAULT 5"],
    "renamed and made again": ["ALTER TABLE t RENAME TO old", "CREATE TABLE t (v)", "INSERT INTO t VALUES (7)"],
    "dropped and made again": ["DROP TABLE t", "CREATE TABLE t (v)", "INSERT INTO t VALUES (7)"],
    "swapped": [
        "CREATE TABLE u (v)",
        "INSERT INTO u VALUES (8)",
        "ALTER TABLE t RENAME TO x",
        "ALTER TABLE u RENAME TO t",
        "ALTER TABLE x RENAME TO u",
    ],
    "a view in its place": ["ALTER TABLE t RENAME TO base", "CREATE VIEW t AS SELECT v + 100 AS v FROM base"],
    "renamed by case": ["ALTER TABLE t RENAME TO temporary", "ALTER TABLE temporary RENAME TO T"],
    "rebuilt": [
        "CREATE TABLE n (v, w)",
        "INSERT INTO n SELECT v, 1 FROM t",
        "DROP TABLE t",
        "ALTER TABLE n RENAME TO t",
    ],
    "triggers dropped": [
        "DROP TRIGGER _coeval_update_1",
        "DROP TRIGGER _coeval_insert_1",
        "DROP TRIGGER _coeval_delete_1",
    ],
    "a trigger replaced": [
        "CREATE TRIGGER _coeval_update_1 BEFORE UPDATE ON t BEGIN SELECT 1; END",
    ],
    "a trigger on another table": [
        "CREATE TABLE u (v)",
        "CREATE TRIGGER _coeval_update_1 BEFORE UPDATE ON u BEGIN UPDATE _coeval_stamps SET stamp = random() WHERE id = 1048576; END",
    ],
    "our tables dropped": ["DROP TABLE _coeval_stamps"],
    "our schema row gone": ["DELETE FROM _coeval_schema"],
    "all of our tables dropped": ["DROP TABLE _coeval_schema", "DROP TABLE _coeval_tables"],
    "vacuum": ["VACUUM"],
    "analyze": ["ANALYZE"],
}


@pytest.mark.parametrize("asked", [True, False], ids=["read in between", "not read in between"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_the_schema_by_another_program(db, foreign, change, asked):
    """Hole 4: after each change and each write that follows, triggers there or not, the next read has it."""
    keep(db, READ)
    for sql in CHANGES[change]:
        if "CREATE TRIGGER" in sql:  # ours is back in its place where a read came in between
            foreign.execute("DROP TRIGGER _coeval_update_1")
        foreign.execute(sql)
        if asked and foreign.execute("SELECT 1 FROM sqlite_schema WHERE lower(name) = 't'"):
            fresh(db)
    for write in ("UPDATE {} SET v = v + 1000", "INSERT INTO {}(v) VALUES (-1)", "DELETE FROM {} WHERE v < 0"):
        if asked:
            fresh(db)
        # With our tables gone and triggers left nobody can write before the next read repairs them.
        table = "base" if change == "a view in its place" else "t"
        if "dropped" in change:
            foreign.disconnect()  # SQLite itself compiles triggers against the schema that a connection knew
        if asked or "tables dropped" not in change:
            foreign.execute(write.format(table))
        fresh(db)
    keep(db, READ)  # and it is cached again


@pytest.mark.parametrize(
    "change", ["a column more", "renamed and made again", "dropped and made again", "swapped", "rebuilt"]
)
def test_a_change_of_the_schema_by_ourselves(db, start_neighbour, change):
    """Hole 4: statement by statement, in one script, and undone; the neighbour sees what we see."""
    neighbour = start_neighbour()
    neighbour.query(READ)
    keep(db, READ)
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        for sql in CHANGES[change]:
            tx.execute(sql)
        tx.execute("INSERT INTO t(v) VALUES (12345)")
        assert plain(tx.query(READ)) == plain(tx.iterate(READ))
        raise ZeroDivisionError
    fresh(db)
    assert [[1]] == neighbour.query(READ)
    db.script(";".join(CHANGES[change]))
    fresh(db)
    assert truth(db, READ) == plain(neighbour.query(READ))
    keep(db, READ)
    neighbour.execute("UPDATE t SET v = v + 1")
    fresh(db)
    assert truth(db, READ) == plain(neighbour.query(READ))


def test_star_has_the_columns_of_now(db, foreign):
    """Hole 4: ``SELECT *`` remembered before a column came."""
    keep(db, "SELECT * FROM t")
    foreign.execute("ALTER TABLE t ADD COLUMN w DEFAULT 5")
    assert ((1, 5),) == cached(db, "SELECT * FROM t")
    assert ("v", "w") == tuple(db.query("SELECT * FROM t")[0].keys())


def test_a_view_that_changes_its_meaning(db, foreign):
    """Hole 4: the view's text is part of what a result depends on."""
    db.script("CREATE TABLE u (v); INSERT INTO u VALUES (50); CREATE VIEW w AS SELECT v FROM t")
    keep(db, "SELECT v FROM w")
    foreign.execute("BEGIN")
    foreign.execute("DROP VIEW w")
    foreign.execute("CREATE VIEW w AS SELECT v FROM u")
    foreign.execute("COMMIT")
    assert ((50,),) == keep(db, "SELECT v FROM w")
    foreign.execute("UPDATE u SET v = 51")
    assert ((51,),) == cached(db, "SELECT v FROM w")


def test_a_new_table_is_not_cached_before_it_has_triggers(db, foreign):
    """Hole 4: the first read of a table that another program made, while the lock is held so that nothing can be verified."""
    foreign.execute("CREATE TABLE n (v)")
    foreign.execute("BEGIN IMMEDIATE")
    foreign.execute("INSERT INTO n VALUES (1)")
    for _ in range(3):
        assert () == cached(db, "SELECT v FROM n")
    foreign.execute("COMMIT")
    assert ((1,),) == cached(db, "SELECT v FROM n")
    foreign.execute("UPDATE n SET v = 2")
    assert ((2,),) == cached(db, "SELECT v FROM n")


def test_a_schema_change_undone_and_another_made_has_the_same_number(db, foreign):
    """Hole 4: after a ROLLBACK the next change reaches the same schema_version by other DDL."""
    foreign.execute("BEGIN")
    foreign.execute("CREATE TABLE n (a)")
    foreign.execute("ROLLBACK")
    keep(db, READ)
    with pytest.raises(ZeroDivisionError), db.transaction() as tx:
        tx.execute("CREATE VIEW n AS SELECT 1 AS a")
        assert 1 == tx.scalar("SELECT a FROM n")
        raise ZeroDivisionError
    foreign.execute("CREATE VIEW n AS SELECT v + 1 AS a FROM t")
    assert ((2,),) == keep(db, "SELECT a FROM n")
    foreign.execute("UPDATE t SET v = 5")
    assert ((6,),) == cached(db, "SELECT a FROM n")


def test_two_copies_that_reach_one_schema_version_by_different_ddl(db, path: Path, start_foreign):
    """Hole 4: the copy, with its trigger gone and as many changes as the original has, takes the original's place."""
    first: Foreign = start_foreign()
    copy = os.fspath(path) + ".copy"
    first.execute(f"VACUUM INTO '{copy}'")
    db.script("CREATE TABLE n (v)")

    def version(program: Foreign) -> int:
        return int(str(program.execute("PRAGMA schema_version")[0][0]))

    goal = version(first)
    old = keep(db, READ)
    other: Foreign = start_foreign(copy)
    other.execute("DROP TRIGGER _coeval_update_1")
    while version(other) < goal:
        other.execute(f"CREATE TABLE x{version(other)} (v)")
    assert goal == version(other)
    other.execute("UPDATE t SET v = 99")
    other.execute("PRAGMA journal_mode = DELETE")
    other.kill()
    assert ((1,),) == old
    db.restore(copy)
    assert ((99,),) == cached(db, READ)
    first.execute("UPDATE t SET v = 100")
    assert ((100,),) == cached(db, READ)


# -- hole 24: formats --------------------------------------------------------------------------------------------------


def test_a_file_of_a_later_format_is_refused(db, path, foreign, open_db):
    """Hole 24: what a later version keeps in the file is neither trusted nor repaired; by the clock it can be read."""
    db.close()
    foreign.execute("UPDATE _coeval_schema SET format = 9")
    before = foreign.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name")
    with pytest.raises(coeval.errors.OpenError, match="later version"):
        coeval.open(path)
    assert before == foreign.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY name")
    clocked = open_db(coherence="clock")
    keep(clocked, READ)
    foreign.execute("UPDATE t SET v = 2")
    assert ((2,),) == cached(clocked, READ)


def test_a_later_format_that_comes_while_the_file_is_open_is_not_trusted(db, foreign):
    """Hole 24: a later version takes over the file, with triggers that we do not know; here it has none yet."""
    keep(db, READ)
    foreign.execute("BEGIN IMMEDIATE")
    for (name,) in foreign.execute("SELECT name FROM sqlite_schema WHERE type = 'trigger'"):
        foreign.execute(f"DROP TRIGGER {name}")
    version = foreign.execute("PRAGMA schema_version")[0][0]
    foreign.execute("UPDATE _coeval_schema SET format = 9, version = ?, stamp = random()", version)
    foreign.execute("COMMIT")
    for expected in (2, 3):
        cached(db, READ)
        foreign.execute("UPDATE t SET v = ?", expected)
        assert ((expected,),) == cached(db, READ)


def test_a_later_format_with_ddl_does_not_fail_reads(db, foreign):
    """Hole 24 and law 4: what cannot be verified is not cached, and reads go on."""
    keep(db, READ)
    foreign.execute("UPDATE _coeval_schema SET format = 9")
    foreign.execute("CREATE TABLE n (v)")
    for expected in (2, 3):
        fresh(db)
        foreign.execute("UPDATE t SET v = ?", expected)
        assert ((expected,),) == cached(db, READ)


def test_two_names_that_differ_in_the_case_of_letters_outside_ascii(db, foreign):
    """SQLite folds A to Z alone: these are two tables, each with a stamp of its own."""
    names = ["Ä", "ä", "\u212a", "k", "İ", "i̇"]
    for name in names:
        foreign.execute(f'CREATE TABLE "{name}" (v)')
        foreign.execute(f'INSERT INTO "{name}" VALUES (0)')
    for name in names:
        keep(db, f'SELECT v FROM "{name}"')
    for number, name in enumerate(names, 1):
        foreign.execute(f'UPDATE "{name}" SET v = ?', number)
        assert ((number,),) == cached(db, f'SELECT v FROM "{name}"'), f"{name!r} is stale"


def test_a_neighbour_that_keeps_changing_the_schema(db, neighbour: Neighbour):
    """Two processes of ours in turns: each verifies what the other changed, and both stay right."""
    for number in range(6):
        neighbour.call(
            "script", f"CREATE TABLE n{number} (v); INSERT INTO n{number} VALUES (0); UPDATE t SET v = {number}"
        )
        assert ((number,),) == keep(db, READ)
        keep(db, f"SELECT v FROM n{number}")
        neighbour.execute(f"UPDATE n{number} SET v = 1")
        assert ((1,),) == cached(db, f"SELECT v FROM n{number}")
        db.execute(f"DROP TABLE n{number}")
        assert [[number]] == neighbour.query(READ)


def test_a_process_whose_temp_table_hides_a_table_vouches_for_no_trigger(path, db, neighbour: Neighbour, foreign):
    """Holes 4 and 12: another process makes a table that its own temp table hides; the neighbour's results are right all the same."""
    db.close()
    with coeval.open(path, on_connect=lambda c: c.execute("CREATE TEMP TABLE later (v)")) as hiding:
        neighbour.query(READ)
        hiding.script("CREATE TABLE main.later (v); INSERT INTO main.later VALUES (1)")
        for expected in (2, 3):
            neighbour.query("SELECT v FROM later")
            foreign.execute("UPDATE later SET v = ?", expected)
            assert [[expected]] == neighbour.query("SELECT v FROM later")


@pytest.mark.parametrize("thing", ["TABLE", "VIEW", "INDEX", "TRIGGER"])
def test_ddl_that_has_nothing_to_do_is_no_error(db, thing):
    """Scripts that make a schema once and may run again use IF EXISTS and IF NOT EXISTS."""
    keep(db, READ)
    db.script(f"DROP {thing} IF EXISTS absent; CREATE TABLE IF NOT EXISTS t (v)")
    db.execute(f"DROP {thing} IF EXISTS absent")
    fresh(db)
