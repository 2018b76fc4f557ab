"""Leaving: after `uninstall` the file is plain SQLite again, as if Coeval had never been there."""

from __future__ import annotations

import pytest

import coeval
from coeval import errors

SCHEMA = """
    CREATE TABLE t(id INTEGER PRIMARY KEY, x UNIQUE);
    CREATE TABLE "odd ""name"(x);
    CREATE TABLE strict(n INTEGER) STRICT;
    CREATE TABLE norowid(k TEXT PRIMARY KEY) WITHOUT ROWID;
    CREATE TABLE _coeval_mine(x);
    CREATE VIRTUAL TABLE words USING fts5(body);
    CREATE INDEX i ON t(x);
    CREATE VIEW v AS SELECT x FROM t;
    CREATE TRIGGER mine AFTER INSERT ON t BEGIN INSERT INTO strict VALUES (NEW.id); END;
    CREATE TRIGGER _coeval_insert_mine AFTER DELETE ON t BEGIN DELETE FROM strict; END;
    INSERT INTO t(x) VALUES ('one'), ('two');
"""
LIST = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"


@pytest.fixture
def before(path, foreign):
    """A file of somebody else's with all kinds of things in it; its schema."""
    foreign.script(SCHEMA)
    schema = foreign.execute(LIST)
    foreign.disconnect()
    return schema


def test_the_schema_is_what_it_was(path, foreign, before):
    """Every table and trigger of ours goes, and nothing else, whatever it is called."""
    with coeval.open(path) as db:
        db.query("SELECT * FROM t")
        db.execute("INSERT INTO t(x) VALUES ('three')")
    assert before != foreign.execute(LIST)
    foreign.disconnect()
    removed = coeval.uninstall(path)
    assert before == foreign.execute(LIST)
    assert {"_coeval_schema", "_coeval_tables", "_coeval_stamps"} <= set(removed)
    assert {"_coeval_mine", "_coeval_insert_mine"}.isdisjoint(removed)
    assert [("ok",)] == foreign.execute("PRAGMA integrity_check")


def test_no_file_of_ours_stays_beside_it(path, before):
    """The queue file comes with the first write, and goes with the rest."""
    with coeval.open(path) as db:
        db.execute("INSERT INTO t(x) VALUES ('three')")
    assert f"{path.name}-gate" in {one.name for one in path.parent.iterdir()}
    coeval.uninstall(path)
    assert [path.name] == [one.name for one in path.parent.iterdir()]


def test_other_programs_go_on(path, foreign, shell, before):
    """The standard library and the shell read and write as before, and the user's triggers still work."""
    with coeval.open(path) as db:
        db.execute("INSERT INTO t(x) VALUES ('three')")
    coeval.uninstall(path)
    foreign.execute("INSERT INTO t(x) VALUES ('four')")
    assert [(4,)] == foreign.execute("SELECT max(n) FROM strict")
    foreign.execute("INSERT INTO words VALUES ('some words')")
    assert [(1,)] == shell.execute("SELECT count(*) FROM words WHERE words MATCH 'some'")
    shell.execute("DELETE FROM t WHERE x = 'four'")
    assert [(0,)] == foreign.execute("SELECT count(*) FROM strict")
    assert [(3,)] == shell.execute("SELECT count(*) FROM t")


def test_what_is_removed_is_named_in_a_list(path, before):
    """Three triggers for each ordinary table, and four tables."""
    with coeval.open(path):
        pass
    assert 3 * 5 + 4 == len(coeval.uninstall(path))


def test_twice(path, before):
    """Where nothing of ours is left, nothing is removed."""
    with coeval.open(path):
        pass
    assert coeval.uninstall(path)
    assert [] == coeval.uninstall(path)


def test_a_file_that_never_had_anything_of_ours(path, foreign, before):
    """It is left byte for byte as it is."""
    content = path.read_bytes()
    assert [] == coeval.uninstall(path)
    assert content == path.read_bytes()


def test_open_again_afterwards(path, before):
    """Coming back installs everything anew, and nothing cached before is trusted."""
    with coeval.open(path) as db:
        assert 2 == db.scalar("SELECT count(*) FROM t")
    coeval.uninstall(path)
    with coeval.open(path) as db:
        assert [2] * 3 == [db.scalar("SELECT count(*) FROM t") for _ in range(3)]
        assert "stamps" == db.explain("SELECT * FROM t").validity
        db.execute("DELETE FROM t")
        assert 0 == db.scalar("SELECT count(*) FROM t")


def test_while_it_is_open_here(path, before):
    """The process that has it open is told to close it first, and nothing is removed."""
    with coeval.open(path) as db:
        with pytest.raises(errors.ReentryError, match="open in this process") as caught:
            coeval.uninstall(path)
        assert "Close" in caught.value.hint
        assert "stamps" == db.explain("SELECT * FROM t").validity
    link = path.parent / "link.db"
    link.symlink_to(path)
    with coeval.open(path), pytest.raises(errors.ReentryError):
        coeval.uninstall(link)


def test_what_cannot_be_uninstalled(path, tmp_path, foreign):
    """A missing file, a folder and another kind of file are refused and stay as they are."""
    with pytest.raises(errors.OpenError, match="missing") as caught:
        coeval.uninstall(tmp_path / "missing.db")
    assert caught.value.hint
    assert not (tmp_path / "missing.db").exists()
    with pytest.raises(errors.OpenError):
        coeval.uninstall(tmp_path)
    path.write_bytes(b"not a database" * 1000)
    with pytest.raises(errors.NotADatabaseError):
        coeval.uninstall(path)
    assert b"not a database" * 1000 == path.read_bytes()


def test_from_beside_a_program_that_only_reads(path, foreign, before):
    """A program that has the file open and reads does not stand in the way."""
    with coeval.open(path):
        pass
    foreign.execute("BEGIN")
    foreign.execute("SELECT count(*) FROM t")
    coeval.uninstall(path)
    foreign.execute("COMMIT")
    assert before == foreign.execute(LIST)


def test_while_another_process_has_it_open_through_coeval(path, start_foreign, before):
    """A reader that goes on there never serves a stale result, whether it puts the triggers back or not."""
    with coeval.open(path) as db:
        sql = "SELECT x FROM t WHERE id = 1"
        assert "one" == db.scalar(sql) == db.scalar(sql)
        other = start_foreign()
        triggers = other.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name GLOB '_coeval_*_[0-9]'"
        )
        drops = [f"DROP TRIGGER {name}" for (name,) in triggers]
        drops += [f"DROP TABLE {name}" for name in ("_coeval_schema", "_coeval_tables", "_coeval_stamps")]
        other.script("; ".join(["BEGIN IMMEDIATE", *drops, "UPDATE t SET x = 'theirs' WHERE id = 1", "COMMIT"]))
        assert ["theirs"] * 3 == [db.scalar(sql) for _ in range(3)]
        for n in range(5):
            other.execute("UPDATE t SET x = ? WHERE id = 1", f"theirs {n}")
            assert [f"theirs {n}"] * 3 == [db.scalar(sql) for _ in range(3)]
            db.execute("UPDATE t SET x = ? WHERE id = 1", f"ours {n}")
            assert [f"ours {n}"] * 3 == [db.scalar(sql) for _ in range(3)]
