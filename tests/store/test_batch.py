"""Group commit: writes that wait together are committed together, each answered after it as if it had been alone (laws 6 and 7)."""

# ruff: noqa: ARG005 - the number of a member, and facts of an event, are not always wanted

from __future__ import annotations

import itertools
import threading
from collections import Counter
from contextlib import ExitStack
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import coeval
from coeval import errors
from coeval.sqlite import queue_file
from store.behind import Caller, attendants, eventually, gate_of, held, learn, outcome, queue_up, submitted, together

INSERT = "INSERT INTO t(x) VALUES (?)"


class Commits:
    """Counts the write transactions of a database that SQLite commits, by SQLite's own hook, and looks on as they do."""

    def __init__(self):
        self.count = 0
        self.look = lambda: None

    def watch(self, connection):
        connection.set_commit_hook(self._hear)

    def _hear(self):
        self.count += 1
        self.look()
        return False


@pytest.fixture
def commits():
    return Commits()


@pytest.fixture
def db(path, commits):
    with coeval.open(path, on_connect=commits.watch) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x UNIQUE)")
        learn(db, INSERT)
        yield db


@pytest.mark.parametrize("count", [2, 3, 50])
def test_one_commit_for_all_who_wait(db, commits, count):
    """However many stand behind one turn, they are committed once, and each gets its own answer."""
    before = db._engine.store().batches.counts
    assert (0, 0, 0) == (before.batches, before.members, before.replays)
    started = commits.count
    found = together(db, [partial(db.execute, INSERT, n) for n in range(count)])
    assert [(1, n + 1) for n in range(count)] == [(one.rowcount, one.lastrowid) for one in found]
    assert 1 + 1 == commits.count - started  # the holder's, too
    counts = db._engine.store().batches.counts
    assert (1, count, 0) == (counts.batches, counts.members, counts.replays)
    assert [(n + 1, n) for n in range(count)] == [tuple(row) for row in db.query("SELECT id, x FROM t ORDER BY id")]


def test_each_counts_as_one_write(db):
    """Statistics and listeners hear of every write that was committed, and of none that failed."""
    heard = []
    db.listen(lambda name, facts: heard.append(name))
    before = db.stats().writes
    together(db, [partial(db.execute, INSERT, n) for n in (1, 2, 1, 3)])
    assert 1 + 3 == heard.count("write") == db.stats().writes - before  # the holder's, too


def test_nobody_is_answered_before_the_commit(db, commits):
    """While SQLite commits nobody has been told; once somebody is told, the rows are there for everybody."""
    futures: list[Any] = []
    told: list[Any] = []
    commits.look = lambda: told.append([future.done() for future in futures])
    futures += submitted(db, [(INSERT, (n,), False) for n in (1, 2, 1, 3)])
    for future in futures[:2]:
        future.result(20)
        assert 3 == db.scalar("SELECT count(*) FROM t")
    assert [[False] * 4] == told
    assert isinstance(outcome(futures[2]), errors.ConstraintError)


def test_whoever_is_answered_sees_its_row(db, start_foreign, scaled):
    """In every thread, after each call, by another connection here and by another program at the end: nothing is told too early."""
    threads, each = 12, scaled(400, 15)
    missing = []
    barrier = threading.Barrier(threads)

    def write(thread):
        barrier.wait()
        for n in range(each):
            x = thread * each + n
            rowid = db.execute(INSERT, x).lastrowid
            if [(x,)] != [tuple(row) for row in db.query("SELECT x FROM t WHERE id = ?", rowid)]:
                missing.append(x)

    for caller in [Caller(partial(write, n)) for n in range(threads)]:
        assert None is caller.ended()
    assert [] == missing
    assert [(threads * each, threads * each)] == start_foreign().execute("SELECT count(*), count(DISTINCT x) FROM t")
    assert db._engine.store().batches.counts.members > threads * each / 2  # they did go together


def test_alone_there_is_no_hand_over(db, commits, monkeypatch):
    """One thread that writes needs no other, waits for nobody, and makes one commit for each write."""
    monkeypatch.setattr(queue_file, "SOON", 0)  # else the gate's thread lets go of a lock that is kept
    gate = gate_of(db)
    threads = attendants()
    waited = gate.counts.waited
    started, idents = commits.count, set()
    commits.look = lambda: idents.add(threading.get_ident())
    for n in range(20):
        db.execute(INSERT, n)
    assert {threading.get_ident()} == idents
    assert 20 == commits.count - started
    assert attendants() <= threads
    assert waited == gate.counts.waited
    assert 0 == db._engine.store().batches.counts.batches


def test_the_leader_is_one_of_the_callers(db, commits):
    """No thread of ours makes a batch where threads wait: the one that waited longest does."""
    idents, leaders = [], []
    commits.look = lambda: leaders.append(threading.get_ident())

    def write(n):
        idents.append(threading.get_ident())
        db.execute(INSERT, n)

    together(db, [partial(write, n) for n in range(5)])
    assert idents[0] == leaders[-1]
    assert 1 + 1 == len(leaders)  # the holder's, too


def test_transactions_and_members_in_one_queue(db, commits):
    """A transaction behind members and before others gets its turn after one batch, and sees what that wrote."""
    seen = []

    def look():
        with db.transaction() as tx:
            seen.append(tx.scalar("SELECT count(*) FROM t"))
            tx.execute(INSERT, "mine")

    started = commits.count
    calls = [partial(db.execute, INSERT, n) for n in range(4)]
    found = together(db, [*calls[:2], look, *calls[2:]])
    assert [None] == [one for one in found if isinstance(one, BaseException) or one is None]
    assert [4] == seen
    assert 1 + 2 == commits.count - started


@pytest.mark.parametrize(
    "alone",
    [
        lambda db: db.script("INSERT INTO t(x) VALUES ('script')"),
        lambda db: db.execute("CREATE TABLE u(x)"),
        lambda db: db.execute("PRAGMA user_version = 7"),
        lambda db: db.vacuum(),
        lambda db: db.executemany("CREATE TABLE u(x)", [()]),
    ],
)
def test_what_cannot_be_shared_runs_alone(db, alone):
    """Scripts, changes of the schema, PRAGMAs and VACUUM between members: all succeed, and no setting leaks into a batch."""
    found = together(db, [lambda: db.execute(INSERT, 1), lambda: alone(db), lambda: db.execute(INSERT, 2)])
    assert not [one for one in found if isinstance(one, BaseException)]
    assert {1, 2} <= {row["x"] for row in db.query("SELECT x FROM t")}


def test_transaction_control_never_reaches_a_batch(db):
    """COMMIT, ROLLBACK, SAVEPOINT and the release of our own savepoint are refused before they wait (hole 6)."""
    with held(db):
        for sql in (
            "COMMIT",
            "ROLLBACK",
            "END",
            "BEGIN",
            "SAVEPOINT s",
            "RELEASE coeval_member",
            "ROLLBACK TO coeval_member",
        ):
            with pytest.raises(errors.SQLError):
                db.execute(sql)
        for sql in ("INSERT INTO t(x) VALUES (1); COMMIT", "INSERT INTO nowhere VALUES (1)"):
            with pytest.raises(errors.UsageError):
                db.execute(sql)
        with pytest.raises(errors.ParameterError):
            db.execute(INSERT, 1, 2)
        with pytest.raises(errors.ParameterError):
            db.executemany(INSERT, [(1,), (2, 3)])
        assert 0 == gate_of(db).queue


def test_batches_are_bounded(db, monkeypatch, commits):
    """No more members than so many, and no more rows, are made together; all are made in the end."""
    monkeypatch.setattr("coeval.sqlite.batch.MEMBERS", 4)
    started = commits.count
    futures = submitted(db, [(INSERT, (n,), False) for n in range(10)])
    assert [n + 1 for n in range(10)] == [outcome(future).lastrowid for future in futures]
    assert 3 == commits.count - started
    monkeypatch.setattr("coeval.sqlite.batch.ROWS", 10)
    started = commits.count
    many = [(INSERT, [(f"{n} {k}",) for k in range(6)], True) for n in range(4)]
    assert [6] * 4 == [outcome(future).rowcount for future in submitted(db, many)]
    assert 2 == commits.count - started


def test_parameters_that_change_while_they_wait(db):
    """What was given counts, not what the caller made of it since."""
    row, rows, named = bytearray(b"before"), [["a"], ["b"]], {"x": "named"}
    with held(db) as leave:
        callers = queue_up(
            db,
            [
                lambda: db.execute(INSERT, row),
                lambda: db.executemany(INSERT, rows),
                lambda: db.execute("INSERT INTO t(x) VALUES (:x)", named),
            ],
        )
        row[:] = b"after!"
        rows[0][0] = "changed"
        rows.append(["c"])
        named["x"] = "changed"
        leave.set()
        for caller in callers:
            assert not isinstance(caller.ended(), BaseException)
    assert [b"before", "a", "b", "named"] == [row["x"] for row in db.query("SELECT x FROM t ORDER BY id")]


def test_a_schema_that_changes_while_members_wait(db, start_foreign):
    """Another program alters the table between the call and its turn: the member meets the new table, or says that it cannot."""
    other = start_foreign()
    for sql, fails in [
        ("ALTER TABLE t ADD COLUMN y DEFAULT 5", False),
        ("CREATE TRIGGER no BEFORE INSERT ON t WHEN new.x = 7 BEGIN SELECT RAISE(ABORT, 'seven'); END", True),
        ("ALTER TABLE t RENAME TO u", True),
    ]:
        gate = gate_of(db)
        gate.enter("the holder", 5)  # without a lock of SQLite's, so that the other program can write
        callers = queue_up(db, [lambda: db.execute(INSERT, 7), lambda: db.execute("DELETE FROM t WHERE x = 7")])
        other.execute(sql)
        gate.leave()
        found = [caller.ended() for caller in callers]
        assert fails == isinstance(found[0], errors.Error), found
    other.execute("ALTER TABLE u RENAME TO t")
    assert 1 == db.execute(INSERT, 8).rowcount


# -- every member's answer and fate is what it would have been alone ------------------------------------------------------

SCHEMA = """
    CREATE TABLE parent(id INTEGER PRIMARY KEY);
    CREATE TABLE t(id INTEGER PRIMARY KEY, x UNIQUE NOT NULL CHECK (x <> 'bad'),
                   later REFERENCES parent(id) DEFERRABLE INITIALLY DEFERRED, at_once REFERENCES parent(id));
    CREATE TABLE seen(what, x);
    CREATE TABLE raising(how, x);
    CREATE TRIGGER r1 BEFORE INSERT ON raising WHEN new.how = 'ROLLBACK' BEGIN SELECT RAISE(ROLLBACK, 'r'); END;
    CREATE TRIGGER r2 BEFORE INSERT ON raising WHEN new.how = 'ABORT' BEGIN SELECT RAISE(ABORT, 'r'); END;
    CREATE TRIGGER r3 AFTER INSERT ON raising WHEN new.how = 'FAIL' BEGIN SELECT RAISE(FAIL, 'r'); END;
    CREATE TRIGGER r4 BEFORE INSERT ON raising WHEN new.how = 'IGNORE' BEGIN SELECT RAISE(IGNORE); END;
    CREATE TRIGGER r5 AFTER INSERT ON raising BEGIN INSERT INTO seen VALUES ('raising', new.x), ('twice', new.x); END;
    CREATE TABLE keyed(k PRIMARY KEY, v) WITHOUT ROWID;
    CREATE TABLE typed(id INTEGER PRIMARY KEY, d DECIMAL);
    CREATE VIEW v AS SELECT x FROM t;
    CREATE TRIGGER iv INSTEAD OF INSERT ON v BEGIN INSERT INTO seen VALUES ('view', new.x); END;
    CREATE VIRTUAL TABLE words USING fts5(w, content=texts, content_rowid=id);
    CREATE TABLE texts(id INTEGER PRIMARY KEY, w);
"""
FILL = """
    DELETE FROM t; DELETE FROM parent; DELETE FROM seen; DELETE FROM raising; DELETE FROM keyed; DELETE FROM typed; DELETE FROM texts;
    INSERT INTO parent VALUES (1), (2), (3);
    INSERT INTO t VALUES (1, 'one', 1, NULL), (2, 'two', NULL, NULL), (3, 'three', NULL, 3);
    INSERT INTO seen VALUES ('before', 0), ('before', 1);
    INSERT INTO typed VALUES (1, 'not a number'), (2, '1.5');
    INSERT INTO texts VALUES (1, 'not in the index');
"""
TABLES = ("parent", "t", "seen", "raising", "keyed", "typed", "texts")

#: Kinds of members: the statement, and its parameters, given a number of its own; a list of them is for many runs.
KINDS = {
    "insert": ("INSERT INTO t(id, x) VALUES (?, ?)", lambda n: (n, f"x{n}")),
    "automatic rowid": ("INSERT INTO t(x) VALUES (?)", lambda n: (f"a{n}",)),
    "returning": (
        "INSERT INTO t(id, x) VALUES (?, ?), (?, ?) RETURNING x, id",
        lambda n: (n, f"x{n}", n + 500, f"y{n}"),
    ),
    "same key": ("INSERT INTO t(id, x) VALUES (77, ?)", lambda n: (f"s{n}",)),
    "or ignore": ("INSERT OR IGNORE INTO t(id, x) VALUES (77, ?)", lambda n: (f"i{n}",)),
    "or replace": ("INSERT OR REPLACE INTO t(id, x) VALUES (2, ?)", lambda n: (f"r{n}",)),
    "upsert": (
        "INSERT INTO t(id, x) VALUES (77, ?) ON CONFLICT(id) DO UPDATE SET x = x || '!' RETURNING x",
        lambda n: (f"u{n}",),
    ),
    "update two": ("UPDATE seen SET x = x + ? WHERE what = 'before'", lambda n: (n,)),
    "update none": ("UPDATE t SET x = 'no' WHERE id = ?", lambda n: (-n,)),
    "delete all": ("DELETE FROM seen", lambda n: ()),
    "without rowid": ("INSERT INTO keyed VALUES (?, 1)", lambda n: (n,)),
    "a view": ("INSERT INTO v VALUES (?), (?)", lambda n: (n, n)),
    "insert nothing": ("INSERT INTO t(x) SELECT 'never' WHERE 0", lambda n: ()),
    "many": ("INSERT INTO seen VALUES ('many', ?)", lambda n: [(n,), (n,), (n,)]),
    "many of none": ("INSERT INTO seen VALUES ('many', ?)", lambda n: []),
    "ignored": ("INSERT INTO raising VALUES ('IGNORE', ?)", lambda n: (n,)),
    "a missing parent": ("INSERT INTO parent VALUES (55)", lambda n: ()),
    # those that fail, always or after another
    "unique": ("INSERT INTO t(id, x) VALUES (?, 'one')", lambda n: (n,)),
    "not null": ("INSERT INTO t(id) VALUES (?)", lambda n: (n,)),
    "check": ("UPDATE t SET x = 'bad' WHERE id = 2", lambda n: ()),
    "deferred": ("INSERT INTO t(id, x, later) VALUES (?, ?, 55)", lambda n: (n, f"d{n}")),
    "deferred delete": ("DELETE FROM parent WHERE id = 1", lambda n: ()),
    "foreign key": ("INSERT INTO t(id, x, at_once) VALUES (?, ?, 66)", lambda n: (n, f"f{n}")),
    "or rollback": ("INSERT OR ROLLBACK INTO t(id, x) VALUES (?, ?), (1, 'again')", lambda n: (n, f"o{n}")),
    "or fail": ("INSERT OR FAIL INTO t(id, x) VALUES (?, ?), (1, 'again')", lambda n: (n, f"o{n}")),
    "raise rollback": ("INSERT INTO raising VALUES ('', ?), ('ROLLBACK', 1)", lambda n: (n,)),
    "raise abort": ("INSERT INTO raising VALUES ('', ?), ('ABORT', 1)", lambda n: (n,)),
    "raise fail": ("INSERT INTO raising VALUES ('', ?), ('FAIL', 1)", lambda n: (n,)),
    "many, the last fails": ("INSERT INTO t(x) VALUES (?)", lambda n: [(f"m{n}",), (f"n{n}",), ("one",)]),
    "many, the last rolls back": (
        "INSERT OR ROLLBACK INTO t(x) VALUES (?)",
        lambda n: [(f"m{n}",), (f"n{n}",), ("one",)],
    ),
    "many, one deferred": ("INSERT INTO t(x, later) VALUES (?, ?)", lambda n: [(f"m{n}", 1), (f"n{n}", 55)]),
    "not a decimal": ("UPDATE typed SET d = d || ' still' RETURNING d", lambda n: ()),
    "not text": ("INSERT INTO seen VALUES (?, 0) RETURNING CAST(x'ff' AS TEXT)", lambda n: (n,)),
    "a wrong type": ("INSERT INTO t(id, x) VALUES ('text', ?)", lambda n: (n,)),
    "overflow": ("UPDATE seen SET x = abs(-9223372036854775807 - 1)", lambda n: ()),
    "no json": ("INSERT INTO seen VALUES (?, json('{'))", lambda n: (n,)),
    "an index out of step": ("INSERT INTO words(words, rank) VALUES ('integrity-check', 1)", lambda n: ()),
}
GOOD = "insert"


class Pair:
    """Two files alike: in one the members of a batch go together, in the other alone, one after the other."""

    def __init__(self, one, other):
        self.one, self.other = one, other
        for db in (one, other):
            db.script(SCHEMA)
            learn(db, *(sql for sql, _ in KINDS.values()))

    def _known(self, sql):
        """The statement; the background's PRAGMA optimize may have changed the schema since it was learned."""
        statements = self.one._engine.store().statements
        statement = statements.sharable(sql)
        if statement is None:
            statements.analyse(sql)
            statement = statements.sharable(sql)
        assert statement is not None, sql
        return statement

    def agree(self, kinds, *, by_thread=0):
        """The same from both; the first ``by_thread`` members are of threads that wait, the others of futures."""
        members = []
        for number, kind in enumerate(kinds, 101):
            sql, parameters = KINDS[kind]
            members.append((sql, parameters(number), isinstance(parameters(number), list)))
        for db in (self.one, self.other):
            db.script(FILL)
        with ExitStack() as stack:
            gate = gate_of(self.one)
            gate.enter("the holder", 20)
            stack.callback(gate.leave)
            callers = queue_up(self.one, [partial(call, self.one, m) for m in members[:by_thread]])
            store = self.one._engine.store()
            futures = [
                store.batches.submit(self._known(sql), parameters, many)
                for sql, parameters, many in members[by_thread:]
            ]
        found = [caller.ended() for caller in callers] + [outcome(future) for future in futures]
        assert [answer(kept(self.other, member)) for member in members] == [answer(one) for one in found], kinds
        for table in TABLES:
            sql = f"SELECT * FROM {table} ORDER BY 1, 2"
            assert contents(self.other, table) == contents(self.one, table), (kinds, sql)


def call(db, member):
    sql, parameters, many = member
    return db.executemany(sql, parameters) if many else db.execute(sql, *parameters)


def kept(db, member):
    try:
        return call(db, member)
    except errors.Error as error:
        return error


def answer(found):
    if isinstance(found, BaseException):
        assert isinstance(found, errors.Error)
        assert found.hint, found
        return type(found)
    return found.rowcount, found.lastrowid, tuple(map(tuple, found.rows))


def contents(db, table):
    with db.transaction() as tx:  # as it is stored: no conversion
        count = len(tx.query(f"SELECT name FROM pragma_table_info('{table}')"))
        quoted = ", ".join(
            f"quote([{row['name']}])" for row in tx.query(f"SELECT name FROM pragma_table_info('{table}')")
        )
        assert count
        return Counter(map(tuple, tx.query(f"SELECT {quoted} FROM {table}")))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    with (
        coeval.open(folder / "together.db", durability="normal") as one,
        coeval.open(folder / "alone.db", durability="normal") as other,
    ):
        yield Pair(one, other)


@pytest.mark.parametrize("first", KINDS)
def test_each_kind_beside_each_kind(pair, first):
    """Leader and follower, with an innocent one in between: answers and contents are those of each alone, in order (hole 6)."""
    for second in KINDS:
        pair.agree([first, GOOD, second])
    counts = pair.one._engine.store().batches.counts
    assert counts.batches > 0


@given(kinds=st.lists(st.sampled_from(sorted(KINDS)), min_size=2, max_size=9), by_thread=st.integers(0, 3))
def test_any_batch(pair, kinds, by_thread):
    """Threads and futures mixed, of any kinds, in any order: the same as each alone, in order."""
    pair.agree(kinds, by_thread=by_thread)


def test_the_kinds_are_what_they_say(pair):
    """Alone, the failing kinds fail and the others do not, so that the tests above try what they should."""
    fails = dict.fromkeys(itertools.takewhile(lambda kind: kind != "unique", KINDS), False)
    fails |= {kind: True for kind in KINDS if kind not in fails}
    found = {}
    for kind, (sql, parameters) in KINDS.items():
        pair.other.script(FILL)
        given = parameters(101)
        found[kind] = isinstance(kept(pair.other, (sql, given, isinstance(given, list))), BaseException)
    assert fails == found


# -- nobody's code runs for another (hole 7) ----------------------------------------------------------------------------------


def _trigger(db):
    db.script("CREATE TRIGGER noted AFTER INSERT ON t BEGIN UPDATE t SET x = peculiar(x) WHERE id = new.id; END")


def _generated(db):
    db.script("DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY, x, g AS (peculiar(x)) STORED)")


def _check(db):
    db.script("DROP TABLE t; CREATE TABLE t(id INTEGER PRIMARY KEY, x CHECK (peculiar(x) IS NOT NULL))")


def _index(db):
    db.script("CREATE INDEX odd ON t(peculiar(x))")


def _view(db):
    db.script("ALTER TABLE t RENAME TO u; CREATE VIEW t AS SELECT * FROM u")
    db.script("CREATE TRIGGER into_u INSTEAD OF INSERT ON t BEGIN INSERT INTO u(x) VALUES (PECULIAR(new.x)); END")


def _partial(db):
    db.script("CREATE INDEX odd ON t(x) WHERE peculiar(x) > 0")


def _nothing(db):
    pass


@pytest.mark.parametrize("when", ["before", "after", "learnt", "looked at since"])
@pytest.mark.parametrize(
    ("make", "sql"),
    [
        (_nothing, "INSERT INTO t(x) VALUES (peculiar(?))"),
        (_nothing, 'INSERT INTO t(x) VALUES (/* */"Peculiar" (?))'),
        (_trigger, INSERT),
        (_generated, INSERT),
        (_check, INSERT),
        (_index, INSERT),
        (_partial, INSERT),
        (_view, INSERT),
    ],
)
def test_a_function_runs_in_the_thread_of_its_caller(path, make, sql, when):
    """Wherever the function hides, and whether it, the table or the first run of the statement came first."""
    ran = []

    def peculiar(value):
        ran.append((value, threading.get_ident()))
        return value

    with coeval.open(path) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x); CREATE TABLE other(x)")
        if when == "after" and make is _nothing:
            pytest.skip("the statement cannot be compiled before the function is there")
        if when == "after":
            db.execute(sql, 0)
        db.create_function("peculiar", peculiar, 1, deterministic=True)
        if when in ("learnt", "looked at since"):
            db.execute(sql, 0)
        make(db)
        if when == "looked at since":
            learn(db, "INSERT INTO other VALUES (1)")  # the schema is known as it is now
        ran.clear()
        own = {}

        def write(value):
            own[value] = threading.get_ident()
            return db.execute(sql, value)

        found = together(db, [partial(write, n) for n in (1, 2, 3, 4)])
        assert not [one for one in found if isinstance(one, BaseException)]
        assert {1, 2, 3, 4} == {value for value, _ in ran}
        assert [] == [(value, ident) for value, ident in ran if own[value] != ident]


@pytest.mark.parametrize("noticed", [False, True])
def test_a_function_made_known_by_another_processs_trigger(path, start_shell, noticed):
    """Another program adds the trigger that calls it, after the statement was known to call nothing."""
    ran = []

    def peculiar(value):
        ran.append((value, threading.get_ident()))
        return value

    shell = start_shell()
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x); CREATE TABLE log(x)")
        db.create_function("peculiar", peculiar, 1, deterministic=True)
        db.execute(INSERT, 0)
        db.execute(INSERT, 0)
        shell.execute("CREATE TRIGGER noted AFTER INSERT ON t BEGIN INSERT INTO log VALUES (peculiar(new.x)); END")
        if noticed:
            db.query("SELECT * FROM t")
        own = {}

        def write(value):
            own[value] = threading.get_ident()
            return db.execute(INSERT, value)

        found = together(db, [partial(write, n) for n in (1, 2, 3)])
        assert not [one for one in found if isinstance(one, BaseException)]
        assert {1, 2, 3} == {value for value, _ in ran}
        assert [] == [(value, ident) for value, ident in ran if own[value] != ident]


def test_a_collation_runs_in_the_thread_of_its_caller(path):
    """Comparing is the user's code, too."""
    ran = set()

    def order(a, b):
        ran.add(threading.get_ident())
        return (a > b) - (a < b)

    with coeval.open(path) as db:
        db.create_collation("peculiar", order)
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x TEXT COLLATE peculiar UNIQUE)")
        db.execute(INSERT, "a")
        ran.clear()
        own = set()

        def write(value):
            own.add(threading.get_ident())
            db.execute(INSERT, value)

        assert [None] * 3 == together(db, [partial(write, f"v{n}") for n in (1, 2, 3)])
        assert own == ran  # each insert compares at least once


@pytest.mark.parametrize("hidden", ["temp trigger", "module"])
def test_code_of_on_connect_runs_in_the_thread_of_its_caller(path, hidden):
    """A temporary trigger that calls a function, or a table in Python, made in on_connect."""
    ran = []

    def peculiar(value):
        ran.append((value, threading.get_ident()))
        return value

    def connect(connection):
        connection.create_scalar_function("peculiar", peculiar, 1)
        if connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 't'").get and hidden == "temp trigger":
            connection.execute("CREATE TEMP TRIGGER noted BEFORE INSERT ON main.t BEGIN SELECT peculiar(new.x); END")
        if hidden == "module":
            connection.create_module("keeping", Keeping(ran))

    with coeval.open(path) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
    with coeval.open(path, on_connect=connect) as db:
        sql = INSERT
        if hidden == "module":
            db.script("CREATE VIRTUAL TABLE k USING keeping()")
            sql = "INSERT INTO k(x) VALUES (?)"
        db.execute(sql, 0)
        own = {}

        def write(value):
            own[value] = threading.get_ident()
            return db.execute(sql, value)

        ran.clear()
        found = together(db, [partial(write, n) for n in (1, 2, 3)])
        assert not [one for one in found if isinstance(one, BaseException)], found
        assert {1, 2, 3} == {value for value, _ in ran}
        assert [] == [(value, ident) for value, ident in ran if own[value] != ident]


class Keeping:
    """A module of virtual tables whose rows are written by Python; it keeps nothing but who wrote."""

    def __init__(self, ran):
        self.ran = ran

    def Create(self, db, modulename, dbname, tablename, *args):  # noqa: N802
        return "CREATE TABLE k(x)", self

    Connect = Create

    def BestIndex(self, constraints, orderbys):  # noqa: N802
        return None

    def Open(self):  # noqa: N802
        return Empty()

    def Disconnect(self):  # noqa: N802
        pass

    Destroy = Disconnect

    def UpdateInsertRow(self, rowid, fields):  # noqa: N802
        self.ran.append((fields[0], threading.get_ident()))
        return 1


class Empty:
    """A cursor over nothing."""

    def Filter(self, *args):  # noqa: N802
        pass

    def Eof(self):  # noqa: N802
        return True

    def Close(self):  # noqa: N802
        pass


def test_a_function_may_wait_for_a_lock_that_a_neighbour_holds(path):
    """The deadlock of hole 7: one caller holds the application's lock while its write waits, another's function needs the lock."""
    lock = threading.Lock()

    def careful(value):
        with lock:
            return value

    with coeval.open(path, timeout=10) as db:
        db.create_function("careful", careful, 1)
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, x)")
        plain = "INSERT INTO t(x) VALUES (?)"
        learn(db, plain)

        def locked():
            with lock:
                return db.execute(plain, 1)

        calls = [lambda: db.execute(plain, 0), locked, lambda: db.execute("INSERT INTO t(x) VALUES (careful(?))", 2)]
        found = together(db, [calls[0], calls[1], calls[2], calls[0]])
        assert [1] * 4 == [one.rowcount for one in found]


def test_a_listener_may_write(db):
    """It is called when the turn has been passed on, so that a write of its own is a write like any other."""
    done: list[Any] = []

    def listener(name, facts):
        if name == "write" and len(done) < 3:
            done.append(name)
            db.execute(INSERT, f"from the listener {len(done)}")

    db.listen(listener)
    together(db, [partial(db.execute, INSERT, n) for n in range(3)])
    eventually(lambda: db.scalar("SELECT count(*) FROM t") == 6)
