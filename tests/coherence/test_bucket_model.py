"""Random writes of several programs to tables that are tracked: what is cached always equals what is not (laws 1 and 3)."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import coeval
from coherence.asking import cached

from processes import ForeignError
from scale import scaled

RESET = """
DROP TABLE IF EXISTS line; DROP TABLE IF EXISTS t; DROP TABLE IF EXISTS log;
CREATE TABLE t (id INTEGER PRIMARY KEY, c INTEGER NOT NULL DEFAULT 2, s TEXT, k TEXT UNIQUE COLLATE NOCASE,
                m INTEGER NOT NULL DEFAULT 1, n INTEGER, UNIQUE (m, n));
CREATE TABLE line (a INTEGER, b INTEGER, t INTEGER REFERENCES t ON DELETE CASCADE ON UPDATE CASCADE, s TEXT,
                   PRIMARY KEY (a, b)) WITHOUT ROWID;
CREATE TABLE log (x UNIQUE);
INSERT INTO t VALUES (1, 1, 'a', 'a', 1, 1), (2, 2, 'b', 'b', 1, 2), (3, 1, NULL, NULL, 2, 1);
INSERT INTO line VALUES (1, 1, 1, 'a'), (1, 2, 2, 'b'), (2, 1, 2, 'a');
INSERT INTO log VALUES (1);
"""

INTEGERS = (-1, 0, 1, 2, 3, 4)
TEXTS = ("a", "b", "A", "1", "")

READS = [
    ("SELECT * FROM t WHERE c = ? ORDER BY id", INTEGERS),
    ("SELECT * FROM t WHERE id = ?", INTEGERS),
    ("SELECT count(*), group_concat(id) FROM t WHERE s = ?", TEXTS),
    ("SELECT id FROM t WHERE c IN (?, 1) AND n IS NOT NULL ORDER BY id", INTEGERS),
    ("SELECT t.s, line.s FROM t JOIN line ON line.t = t.id WHERE t.id = ? ORDER BY 1, 2, a, b", INTEGERS),
    (
        "SELECT t.id, line.a, line.b FROM t LEFT JOIN line ON line.t = t.id AND line.s = 'a' WHERE t.c = ? ORDER BY 1, 2, 3",
        INTEGERS,
    ),
    ("SELECT sum(a) FROM line WHERE t = ? AND s = 'b'", INTEGERS),
    ("SELECT (SELECT s FROM t WHERE id = ?1) AS one, (SELECT count(*) FROM line WHERE t = ?1) AS many", INTEGERS),
    ("SELECT b FROM line WHERE s = ? ORDER BY a, b", TEXTS),
    ("SELECT count(*) FROM t", ()),
]

WRITES = [
    "INSERT {clause} INTO t(c, s) VALUES (?1, ?2)",
    "INSERT {clause} INTO t(id, c, s, k) VALUES (?1, ?3, ?2, ?2)",
    "INSERT {clause} INTO t(c, s, k, m, n) VALUES (?3, ?2, ?2, ?1, ?3)",
    "INSERT {clause} INTO t(id, c, m, n) SELECT id + ?1, NULL, NULL, n FROM t WHERE c = ?3",
    "REPLACE INTO t(id, c, s, k, m, n) VALUES (?1, ?3, ?2, ?2, ?3, ?1)",
    "REPLACE INTO t(c, m, n) VALUES (?1, NULL, ?3)",
    "UPDATE {clause} t SET c = ?3, s = ?2 WHERE id = ?1",
    "UPDATE {clause} t SET c = c + 1 WHERE s = ?2 OR c = ?1",
    "UPDATE {clause} t SET rowid = ?1 WHERE id = ?3",
    "UPDATE {clause} t SET id = id + 1, k = ?2 WHERE id >= ?1",
    "UPDATE {clause} t SET n = ?1, m = ?3",
    "UPDATE {clause} t SET c = NULL, m = NULL WHERE id <> ?1",
    "INSERT INTO t(id, c, k) VALUES (?1, ?3, ?2) ON CONFLICT (id) DO UPDATE SET c = excluded.c, k = 'b' || ?1",
    "INSERT INTO t(c, m, n) VALUES (?1, 1, ?3) ON CONFLICT (m, n) DO UPDATE SET c = ?1, id = ?3",
    "DELETE FROM t WHERE id = ?1 OR s = ?2",
    "DELETE FROM t WHERE c = ?3 AND ?1 > 1",
    "INSERT {clause} INTO line VALUES (?1, ?3, (SELECT max(id) FROM t WHERE id <= ?1), ?2)",
    "UPDATE {clause} line SET a = ?1, t = NULL WHERE s = ?2",
    "UPDATE {clause} line SET b = b + 1, s = ?2 WHERE a = ?1",
    "DELETE FROM line",
]

SCHEMA = [
    "CREATE TRIGGER late AFTER INSERT ON t BEGIN INSERT INTO log VALUES (NEW.c); END",
    "DROP TRIGGER late",
    "CREATE TRIGGER skips AFTER UPDATE ON line BEGIN SELECT RAISE(IGNORE); END",
    "DROP TRIGGER skips",
    "CREATE TRIGGER fails AFTER UPDATE ON t WHEN NEW.c > 2 BEGIN SELECT RAISE(FAIL, 'no'); END",
    "DROP TRIGGER fails",
    "CREATE TRIGGER moves BEFORE DELETE ON t BEGIN UPDATE t SET c = 3 WHERE c = OLD.c; END",
    "DROP TRIGGER moves",
    "CREATE UNIQUE INDEX by_s ON t (s, c)",
    "CREATE UNIQUE INDEX by_s ON line (s) WHERE a > 2",
    "DROP INDEX by_s",
    "ALTER TABLE line RENAME COLUMN s TO r; ALTER TABLE line RENAME COLUMN r TO s",
    "DROP TRIGGER _coeval_inserted_1; DROP TRIGGER _coeval_moved_2",
    "VACUUM",
]

VALUES = st.tuples(
    st.sampled_from([*INTEGERS, None, 1.0, "1"]),
    st.sampled_from([*TEXTS, None, 1, b"a"]),
    st.sampled_from([*INTEGERS, None]),
)
CLAUSES = st.sampled_from(["", "OR REPLACE", "OR IGNORE", "OR FAIL", "OR ABORT", "OR ROLLBACK"])
WRITE = st.tuples(st.just("write"), st.sampled_from(["ours", "foreign"]), st.sampled_from(WRITES), CLAUSES, VALUES)
TRACK = st.tuples(
    st.just("track"),
    st.sampled_from(["track", "untrack"]),
    st.sampled_from([("t", "id"), ("t", "c"), ("t", "s"), ("line", "t"), ("line", "s")]),
)
CHANGE = st.tuples(st.just("schema"), st.sampled_from(["ours", "foreign"]), st.sampled_from(SCHEMA))
UNIT = st.tuples(st.just("unit"), st.sampled_from(["COMMIT", "ROLLBACK"]), st.lists(WRITE, min_size=1, max_size=4))
OPERATIONS = st.lists(st.one_of(WRITE, WRITE, WRITE, UNIT, CHANGE, TRACK), min_size=1, max_size=20)


class World:
    """Both programs, and what is done to the tables."""

    def __init__(self, db: coeval.Database, foreign: Any) -> None:
        self.db = db
        self.foreign = foreign
        foreign.execute("PRAGMA foreign_keys = OFF")
        foreign.script(RESET)
        foreign.execute("PRAGMA foreign_keys = ON")
        db.track("t", by=["id", "c", "s"])
        db.track("line", by=["t", "s"])

    def check(self) -> None:
        """Every read, cached, equals the other process's own; twice, so that the next write meets what is kept."""
        for sql, values in READS:
            asked: list[tuple[Any, ...]] = [(value,) for value in values]
            for parameters in asked or [()]:
                expected = tuple(self.foreign.execute(sql, *parameters))
                assert expected == cached(self.db, sql, *parameters), (sql, parameters)
                assert expected == cached(self.db, sql, *parameters), (sql, parameters)

    def run(self, kind: str, *arguments: Any) -> None:
        try:
            getattr(self, kind)(*arguments)
        except ForeignError as error:
            if not any(one in str(error) for one in ("no such", "already exists", "UNIQUE", "incomplete")):
                raise
        except coeval.errors.StoreError:
            pass
        except (coeval.errors.SQLError, coeval.errors.ConfigError) as error:
            if not any(one in str(error) for one in ("no such", "already exists", "cannot be tracked", "mismatch")):
                raise

    def write(self, who: str, sql: str, clause: str, values: tuple[Any, ...]) -> None:
        text = sql.format(clause=clause)
        used = (
            values[: max(number for number in (1, 2, 3) if f"?{number}" in text or number == 1)] if "?" in text else ()
        )
        with contextlib.suppress(ForeignError, coeval.errors.StoreError, coeval.errors.SQLError):
            (self.foreign if who == "foreign" else self.db).execute(text, *used)

    def schema(self, who: str, sql: str) -> None:
        if (who, sql) == ("ours", "VACUUM"):
            self.db.vacuum()
            return
        for one in sql.split("; ") if "BEGIN" not in sql else [sql]:
            (self.foreign if who == "foreign" else self.db).execute(one)

    def track(self, call: str, place: tuple[str, str]) -> None:
        getattr(self.db, call)(*place)

    def unit(self, end: str, writes: list[tuple[Any, ...]]) -> None:
        self.foreign.execute("BEGIN IMMEDIATE")
        for _, _, *write in writes:
            self.write("foreign", *write)
        with contextlib.suppress(ForeignError):  # OR ROLLBACK has ended it
            self.foreign.execute(end)


@pytest.mark.timeout(3600)
@settings(
    max_examples=scaled(1000, 25),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(operations=OPERATIONS)
def test_narrowed_results_always_equal_uncached_ones(db, foreign, operations):
    """Writes of every kind, keys, triggers and columns that come and go, by us and by another program, in any order."""
    world = World(db, foreign)
    world.check()
    for operation in operations:
        world.run(*operation)
        world.check()
