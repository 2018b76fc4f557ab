"""Bad input: refused with an error of the tree that names the thing and the cure, before anything is touched."""

# ruff: noqa: ARG005 - functions for SQL take what they are given

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from datetime import timedelta

import pytest

import coeval
from coeval import errors

TABLE = "CREATE TABLE t(id INTEGER PRIMARY KEY, x)"


@pytest.fixture
def db(path):
    with coeval.open(path) as db:
        db.script(f"{TABLE}; INSERT INTO t VALUES (1, 'one')")
        yield db


@pytest.fixture
def filled(path, foreign):
    """A database in rollback mode that Coeval has never seen, with some pages."""
    foreign.execute("PRAGMA journal_mode = DELETE")
    foreign.execute(TABLE)
    foreign.execute("BEGIN")
    foreign.executemany("INSERT INTO t VALUES (?, ?)", [(i, "x" * 200) for i in range(500)])
    foreign.execute("COMMIT")
    foreign.disconnect()
    return path


def refused(kind, call, *words):
    """Run `call`: it raises exactly `kind`, with a cure, and with these words in what it says."""
    with pytest.raises(errors.Error) as caught:
        call()
    assert kind is type(caught.value), str(caught.value)
    assert caught.value.hint
    for word in words:
        assert str(word) in str(caught.value)
    return caught.value


def listing(folder):
    """What lies in a folder: each name with its bytes. Call it only while this process has none of them open."""
    return {name.name: name.read_bytes() if name.is_file() else None for name in folder.iterdir()}


# -- the file ---------------------------------------------------------------------------------------------------------


def test_a_missing_folder(tmp_path):
    """The folder is named, with the command that makes it, and is not made."""
    missing = tmp_path / "no" / "such"
    refused(errors.OpenError, lambda: coeval.open(missing / "app.db"), missing, "mkdir -p")
    assert {} == listing(tmp_path)


def test_a_folder_that_is_a_file(tmp_path):
    """A path that leads through a file is as good as a missing folder."""
    (tmp_path / "file").write_bytes(b"text")
    refused(errors.OpenError, lambda: coeval.open(tmp_path / "file" / "app.db"), tmp_path / "file")
    assert {"file": b"text"} == listing(tmp_path)


def test_a_path_that_is_a_folder(tmp_path):
    """A folder is no database."""
    refused(errors.NotADatabaseError, lambda: coeval.open(tmp_path), tmp_path)
    assert {} == listing(tmp_path)


@pytest.mark.parametrize("coherence", ["stamps", "clock"])
@pytest.mark.parametrize("content", [b"hello", b"not a database at all\n" * 400, b"\x89PNG\r\n" + bytes(8192)])
def test_a_file_that_is_no_database(path, coherence, content):
    """Another kind of file is recognised and left as it is, with nothing beside it."""
    path.write_bytes(content)
    refused(errors.NotADatabaseError, lambda: coeval.open(path, coherence=coherence), path)
    assert {"app.db": content} == listing(path.parent)


def test_a_named_pipe(path):
    """What is no regular file is refused, not waited for."""
    os.mkfifo(path)
    refused(errors.NotADatabaseError, lambda: coeval.open(path), path)


def test_a_damaged_schema(filled):
    """A file whose first page is spoilt is refused unchanged."""
    content = bytearray(filled.read_bytes())
    content[100:4096] = b"\xaa" * 3996
    filled.write_bytes(content)
    refused(errors.DamagedError, lambda: coeval.open(filled), filled, "restore a backup")
    assert {"app.db": content} == listing(filled.parent)


def test_a_truncated_file(filled):
    """A file of which the end is missing is refused unchanged."""
    content = filled.read_bytes()[: 3 * 4096]
    filled.write_bytes(content)
    refused(errors.DamagedError, lambda: coeval.open(filled), filled)
    assert {"app.db": content} == listing(filled.parent)


def test_damage_that_only_a_read_meets(filled):
    """Damage deep in a table is told by the read that meets it, and other tables go on."""
    content = bytearray(filled.read_bytes())
    content[4 * 4096 :] = b"\xaa" * (len(content) - 4 * 4096)
    filled.write_bytes(content)
    with coeval.open(filled, coherence="clock") as db:
        refused(errors.DamagedError, lambda: db.query("SELECT * FROM t"), filled)
        assert 1 == db.scalar("SELECT 1")


def test_a_locked_file(filled, foreign):
    """Another program's exclusive lock is waited for, then named; the file stays as it was."""
    content = filled.read_bytes()
    foreign.execute("BEGIN EXCLUSIVE")
    refused(errors.LockTimeoutError, lambda: coeval.open(filled, timeout=0.1), filled, "timeout")
    foreign.execute("ROLLBACK")
    foreign.disconnect()
    assert {"app.db": content} == listing(filled.parent)


def test_a_locked_file_can_be_opened_later(filled, foreign):
    """An open that failed leaves nothing behind in this process, so the next one works."""
    foreign.execute("PRAGMA journal_mode = WAL")
    foreign.execute("BEGIN IMMEDIATE")
    refused(errors.LockTimeoutError, lambda: coeval.open(filled, timeout=0.1), filled)
    foreign.execute("ROLLBACK")
    with coeval.open(filled) as db:
        assert 500 == db.scalar("SELECT count(*) FROM t")


def test_a_verified_file_opens_while_another_program_writes(path, foreign):
    """Where all triggers are in place there is nothing to write at open, so nobody's lock is waited for."""
    with coeval.open(path) as db:
        db.script(TABLE)
    foreign.execute("BEGIN IMMEDIATE")
    foreign.execute("INSERT INTO t VALUES (1, 1)")
    with coeval.open(path, timeout=0.1) as db:
        assert 0 == db.scalar("SELECT count(*) FROM t")


def test_a_locked_file_at_a_write(path, foreign):
    """A write that cannot have the lock says so after the time-out, and writes nothing."""
    with coeval.open(path, timeout=0.1) as db:
        db.script(TABLE)
        foreign.execute("BEGIN IMMEDIATE")
        refused(errors.LockTimeoutError, lambda: db.execute("INSERT INTO t VALUES (1, 1)"), path, "timeout")
        assert 0 == db.scalar("SELECT count(*) FROM t")
        foreign.execute("ROLLBACK")
        assert 1 == db.execute("INSERT INTO t VALUES (1, 1)").rowcount


def unprivileged(path, program):
    """Run `program` as nobody, with `refusal` to report with; its report. Root ignores permissions, nobody does not."""
    if os.geteuid() != 0:
        return None
    script = """
        import json, os, sys
        import apsw, ctypes, tempfile, difflib, msgspec  # while they may still be read
        import coeval, coeval.into
        from coeval import errors

        path = sys.argv[1]
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        try:
            os.listdir(os.path.dirname(path))
        except OSError as error:
            print(json.dumps(["unreachable", str(error), ""]))
            sys.exit()

        def report(call):
            try:
                found = call()
            except errors.Error as error:
                print(json.dumps([type(error).__name__, error.message, error.hint]))
            else:
                print(json.dumps(["nothing", repr(found), ""]))
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script) + textwrap.dedent(program), str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
    return json.loads(done.stdout)


@pytest.fixture
def reachable(tmp_path):
    """A folder that nobody can read and enter, and cannot write; skips where there is no way to become nobody."""
    if os.geteuid() != 0:
        pytest.skip("PERMISSIONS ARE NOT TESTED: only root can become another user")
    folder = tmp_path
    while folder != folder.parent and folder.stat().st_uid == os.geteuid() and folder.name:
        if folder.stat().st_mode & 0o005 != 0o005:
            folder.chmod(folder.stat().st_mode | 0o055)
        folder = folder.parent
    tmp_path.chmod(0o755)
    found = unprivileged(tmp_path / "app.db", "report(lambda: None)")
    if found[0] != "nothing":
        pytest.skip(f"PERMISSIONS ARE NOT TESTED: {found[1]}")
    return tmp_path


def test_an_unwritable_file(filled, foreign, reachable):
    """A file that may only be read is refused, unchanged, with the way to read it."""
    filled.chmod(0o644)
    before = listing(reachable)
    kind, message, hint = unprivileged(filled, "report(lambda: coeval.open(path))")
    assert "NotWritableError" == kind
    assert str(filled) in message
    assert 'coherence="clock"' in hint
    assert before == listing(reachable)


def test_an_unwritable_folder(reachable):
    """A new file in a folder that may not be written is refused, and the folder is named."""
    kind, message, hint = unprivileged(reachable / "new.db", "report(lambda: coeval.open(path))")
    assert "NotWritableError" == kind
    assert str(reachable) in message
    assert hint
    assert {} == listing(reachable)


def test_an_unwritable_folder_and_a_file_that_is_missing(reachable):
    """With coherence="clock" a missing file in an unwritable folder is refused as well."""
    kind, message, _ = unprivileged(reachable / "new.db", 'report(lambda: coeval.open(path, coherence="clock"))')
    assert "NotWritableError" == kind
    assert str(reachable) in message


def test_an_unreadable_file(filled, reachable):
    """A file that may not even be read is refused."""
    filled.chmod(0o600)
    kind, message, hint = unprivileged(filled, 'report(lambda: coeval.open(path, coherence="clock"))')
    assert "OpenError" == kind
    assert str(filled) in message
    assert hint


def test_a_write_to_a_file_that_is_open_for_reading_alone(filled, foreign, reachable):
    """A read-only file can be read with coherence="clock"; a write says why it cannot be, and leaves the file alone."""
    filled.chmod(0o644)
    before = listing(reachable)
    program = """
        db = coeval.open(path, coherence="clock")
        assert 500 == db.scalar("SELECT count(*) FROM t")
        report(lambda: db.execute("DELETE FROM t"))
    """
    kind, message, hint = unprivileged(filled, program)
    assert "NotWritableError" == kind
    assert str(filled) in message
    assert hint
    assert before == listing(reachable)


def test_a_read_only_file_in_wal_mode(filled, foreign, reachable):
    """A file in WAL mode in a folder that may not be written is read, or refused with an error that says what to do."""
    foreign.execute("PRAGMA journal_mode = WAL")
    foreign.disconnect()
    filled.chmod(0o644)
    program = """
        report(lambda: coeval.open(path, coherence="clock").scalar("SELECT count(*) FROM t"))
    """
    kind, message, hint = unprivileged(filled, program)
    assert ("nothing", "500") == (kind, message) or "WAL" in message + hint


# -- calls ------------------------------------------------------------------------------------------------------------

READS = ["query", "one", "first", "scalar", "iterate"]


def read(face, call, *arguments):
    """A reading call, run to its end."""
    found = getattr(face, call)(*arguments)
    return list(found) if call == "iterate" else found


@pytest.fixture
def untouched(db):
    """Afterwards the data is what it was, and not one write was committed."""
    before = db.query("SELECT * FROM t"), db.stats().writes
    yield db
    assert before == (db.query("SELECT * FROM t"), db.stats().writes)


@pytest.mark.parametrize("call", READS)
@pytest.mark.parametrize(
    ("params", "words"),
    [
        ((), ("1 placeholder", "0 values")),
        ((1, 2), ("1 placeholder", "2 values")),
        (({"id": 1},), ("placeholders without a name",)),
    ],
)
def test_a_wrong_parameter_count_in_a_read(untouched, call, params, words):
    """As many values as placeholders, or it says how many there are of each."""
    refused(errors.ParameterError, lambda: read(untouched, call, "SELECT * FROM t WHERE id = ?", *params), *words)


@pytest.mark.parametrize("params", [(), (1, 2), ({"id": 1},)])
def test_a_wrong_parameter_count_in_a_write(untouched, params):
    """A write with the wrong number of values writes nothing."""
    refused(errors.ParameterError, lambda: untouched.execute("DELETE FROM t WHERE id = ?", *params), "DELETE FROM t")


def test_a_wrong_parameter_count_among_many(untouched):
    """One row of the wrong length undoes the rows before it."""
    rows = [(2, "two"), (3,), (4, "four")]
    refused(errors.ParameterError, lambda: untouched.executemany("INSERT INTO t VALUES (?, ?)", rows), "1 value was")


def test_a_missing_named_parameter(untouched):
    """A name without a value is named, with those that were given."""
    sql = "SELECT * FROM t WHERE id = :id AND x = :x"
    refused(errors.ParameterError, lambda: untouched.query(sql, {"id": 1, "y": 2}), ":x", "id, y")


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (2**63, "64"),
        (float("nan"), "NaN"),
        ("\udc80", "surrogate"),
        (object(), "object"),
        ([1, 2], "list"),
        (timedelta(1), "timedelta"),
        (1j, "complex"),
    ],
)
def test_a_value_that_sqlite_cannot_hold(untouched, value, word):
    """It is refused in every call, by its place and its type."""
    sql = "SELECT ?"
    for call in READS:
        refused(errors.ParameterError, lambda call=call: read(untouched, call, sql, value), "parameter 1", word)
    insert = "INSERT INTO t VALUES (?, ?)"
    refused(errors.ParameterError, lambda: untouched.execute(insert, 2, value), "parameter 2", word)
    refused(errors.ParameterError, lambda: untouched.executemany(insert, [(2, 2), (3, value)]), word)
    refused(errors.ParameterError, lambda: untouched.execute("INSERT INTO t VALUES (2, :x)", {"x": value}), ":x", word)


@pytest.mark.parametrize("call", [*READS, "execute"])
@pytest.mark.parametrize(
    "sql", ["SELECT 1; SELECT 2", "SELECT 1; DELETE FROM t", "SELECT 1; garbage", "DELETE FROM t; SELECT 1;"]
)
def test_two_statements_in_one_string(untouched, call, sql):
    """Both are named, and neither runs."""
    refused(errors.SQLError, lambda: read(untouched, call, sql), "Two statements", "script")


@pytest.mark.parametrize("sql", ["SELECT 1;", "SELECT 1; -- done", "SELECT 1 ; ;; /* done */ ", "; SELECT 1"])
def test_one_statement_and_what_is_none(db, sql):
    """Semicolons and comments are no second statement."""
    assert 1 == db.scalar(sql)


@pytest.mark.parametrize("sql", ["", "  ", "-- nothing", ";"])
def test_no_statement(untouched, sql):
    """There must be a statement."""
    for call in (*READS, "execute"):
        refused(errors.SQLError, lambda call=call: read(untouched, call, sql), "no statement")


@pytest.mark.parametrize("call", READS)
@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO t VALUES (2, 'two')",
        "INSERT INTO t VALUES (2, 'two') RETURNING id",
        "UPDATE t SET x = 0",
        "WITH gone AS (SELECT id FROM t) DELETE FROM t WHERE id IN gone",
        "REPLACE INTO t VALUES (1, 'uno')",
        "CREATE TABLE u(x)",
        "DROP TABLE t",
        "ANALYZE",
        "REINDEX",
    ],
)
def test_a_write_passed_to_a_read(untouched, call, sql):
    """It is named, with the call that takes it."""
    refused(errors.SQLError, lambda: read(untouched, call, sql), sql.split()[0], "execute")


@pytest.mark.parametrize("sql", ["BEGIN", "BEGIN IMMEDIATE", "COMMIT", "END", "ROLLBACK", "SAVEPOINT a", "RELEASE a"])
def test_transaction_control(untouched, sql):
    """It is refused in every call, inside and outside a transaction, with the call to use."""
    refused(errors.SQLError, lambda: untouched.execute(sql), sql, "transaction()")
    refused(errors.SQLError, lambda: untouched.query(sql), sql, "transaction()")
    refused(errors.SQLError, lambda: untouched.script(f"INSERT INTO t VALUES (2, 2); {sql}; SELECT 1"), sql)


@pytest.mark.parametrize("sql", ["COMMIT", "ROLLBACK", "SAVEPOINT a"])
def test_transaction_control_inside_a_transaction(db, sql):
    """A refused COMMIT neither ends the transaction nor spoils it."""
    with db.transaction() as tx:
        tx.execute("INSERT INTO t VALUES (2, 'two')")
        refused(errors.SQLError, lambda: tx.execute(sql), sql)
        refused(errors.SQLError, lambda: tx.query(sql), sql)
    assert 2 == db.scalar("SELECT count(*) FROM t")


def test_bad_calls_are_refused_at_once_while_another_program_writes(path, foreign):
    """A call that is wrong in itself does not wait for a lock to be told so."""
    with coeval.open(path, timeout=0.2) as db:
        db.script(TABLE)
        foreign.execute("BEGIN IMMEDIATE")
        refused(errors.SQLError, lambda: db.execute("garbage"), "garbage")
        refused(errors.SQLError, lambda: db.execute("SELECT 1; SELECT 2"), "Two statements")
        refused(errors.ParameterError, lambda: db.execute("DELETE FROM t WHERE id = ?", 2**64), "64")
        refused(errors.ParameterError, lambda: db.execute("DELETE FROM t WHERE id = ?"), "1 placeholder")
        refused(errors.SQLError, lambda: db.execute("COMMIT"), "COMMIT")


def test_what_cannot_be_compiled(untouched):
    """SQLite's own words come through, with the statement."""
    refused(errors.SQLError, lambda: untouched.query("SELEC 1"), "SELEC 1", "syntax error")
    refused(errors.SQLError, lambda: untouched.query("SELECT y FROM t"), "no such column: y")
    refused(errors.SQLError, lambda: untouched.execute("DELETE FROM nowhere"), "no such table: nowhere")
    refused(errors.SQLError, lambda: untouched.script("INSERT INTO t VALUES (2, 2); garbage"), "garbage")


def test_a_bad_statement_for_no_rows(untouched):
    """A statement is looked at even where there are no rows to run it for."""
    refused(errors.SQLError, lambda: untouched.executemany("garbage", []), "garbage")


@pytest.mark.parametrize("sql", ["SELECT '\udc80'", "SELECT 1\0; DELETE FROM t"])
def test_text_that_no_sql_can_hold(untouched, sql):
    """Lone surrogates and NUL characters are refused by an error of the tree."""
    for call in (*READS, "execute", "script"):
        with pytest.raises(errors.Error):
            read(untouched, call, sql)


@pytest.mark.parametrize("sql", [None, b"SELECT 1", 1, ["SELECT 1"]])
def test_a_statement_that_is_no_text(untouched, sql):
    """What is not a str is a TypeError or an error of the tree that says so, and nothing from the depths."""
    for call in (*READS, "execute", "script"):
        with pytest.raises((errors.UsageError, TypeError)):
            read(untouched, call, sql)


# -- a closed database ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda db: db.query("SELECT * FROM t"),
        lambda db: db.query("SELECT * FROM t", into=dict),
        lambda db: db.one("SELECT 1"),
        lambda db: db.first("SELECT 1"),
        lambda db: db.scalar("SELECT 1"),
        lambda db: list(db.iterate("SELECT 1")),
        lambda db: db.execute("DELETE FROM t"),
        lambda db: db.execute("SELECT 1"),
        lambda db: db.executemany("DELETE FROM t WHERE id = ?", [(1,)]),
        lambda db: db.script("DELETE FROM t"),
        lambda db: db.transaction().__enter__(),
        lambda db: db.snapshot().__enter__(),
        lambda db: db.explain("SELECT 1"),
        lambda db: db.vacuum(),
        lambda db: db.restore("other.db"),
        lambda db: db.create_function("f", len),
        lambda db: db.create_collation("c", lambda a, b: 0),
    ],
)
def test_a_closed_database(db, call):
    """Every call on it says that it is closed, and which one it was; what it had cached is not given any more."""
    db.query("SELECT * FROM t")
    db.close()
    assert db.closed
    refused(errors.ClosedError, lambda: call(db), db.path, "coeval.open")


def test_a_database_closed_twice(db):
    """Closing again does no harm."""
    db.close()
    db.close()
    assert db.closed


def test_a_closed_database_that_another_still_has_open(path, db):
    """Closing one of two faces closes that one alone."""
    other = coeval.open(path)
    db.close()
    refused(errors.ClosedError, lambda: db.query("SELECT * FROM t"), path)
    assert ((1, "one"),) == other.query("SELECT * FROM t")
    other.close()


def test_a_transaction_after_its_end(db):
    """It says that it has ended."""
    with db.transaction() as tx:
        pass
    for call in READS:
        refused(errors.ClosedError, lambda call=call: read(tx, call, "SELECT 1"), "transaction")
    refused(errors.ClosedError, lambda: tx.execute("DELETE FROM t"), "transaction")
    refused(errors.ClosedError, lambda: tx.executemany("DELETE FROM t WHERE id = ?", [(1,)]), "transaction")
    refused(errors.ClosedError, lambda: tx.script("DELETE FROM t"), "transaction")


def test_a_snapshot_after_its_end(db):
    """It says that it has ended."""
    with db.snapshot() as snap:
        pass
    for call in READS:
        refused(errors.ClosedError, lambda call=call: read(snap, call, "SELECT 1"), "snapshot")


# -- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"durabilty": "full"}, ("durabilty", "Did you mean durability")),
        ({"durability": "some"}, ("durability='some'", "'full' or 'normal'")),
        ({"timeout": 0}, ("timeout=0",)),
        ({"timeout": "3"}, ("timeout='3'",)),
        ({"readers": 0}, ("readers=0",)),
        ({"page_size": 1000}, ("page_size=1000", "power of two")),
        ({"cache": "memcache://localhost"}, ("memcache", "unknown scheme", 'cache="memory"')),
        ({"cache": "redis://:secret@localhost"}, ("redis", 'cache="memory"')),
        ({"cache": 5}, ("cache=5",)),
    ],
)
def test_an_unknown_or_impossible_setting(path, settings, words):
    """It is named with what was meant, before there is a file."""
    error = refused(errors.ConfigError, lambda: coeval.open(path, **settings), *words)
    assert "secret" not in str(error)
    assert {} == listing(path.parent)


def test_a_cache_url_in_the_path(path):
    """A cache's URL as the path is recognised as one."""
    refused(errors.ConfigError, lambda: coeval.open("redis://localhost:6379"), "redis", "cache=")


def test_a_setting_in_the_url_that_is_unknown(path):
    """The URL's settings are looked at as closely as arguments."""
    refused(errors.ConfigError, lambda: coeval.open(f"sqlite:///{path}?time_out=3"), "time_out", "timeout")
    assert {} == listing(path.parent)


@pytest.mark.parametrize(
    "settings",
    [{"durability": "normal"}, {"timeout": 1.0}, {"cache": None}, {"coherence": "clock"}, {"on_connect": print}],
)
def test_a_conflicting_setting(db, settings):
    """A second open that asks for something else names it, and the first goes on."""
    (name,) = settings
    refused(errors.ConfigError, lambda: coeval.open(db.path, **settings), db.path, name)
    assert 1 == db.scalar("SELECT count(*) FROM t")


@pytest.mark.parametrize("name", ["f g", "", "f;", "é"])
def test_a_function_name_that_needs_quotes(db, name):
    """Names of functions and collations are plain."""
    refused(errors.UsageError, lambda: db.create_function(name, len), repr(name))
    refused(errors.UsageError, lambda: db.create_collation(name, lambda a, b: 0), repr(name))


@pytest.mark.parametrize("nargs", [-2, 100_000])
def test_a_function_with_impossible_arguments(db, nargs):
    """It is refused when it is given, and every other call goes on."""
    with pytest.raises(errors.Error):
        db.create_function("f", len, nargs)
    assert 1 == db.scalar("SELECT count(*) FROM t")
    assert 1 == db.execute("INSERT INTO t VALUES (2, 'two')").rowcount


def test_a_function_that_cannot_be_called(db):
    """A function must be callable."""
    refused(errors.UsageError, lambda: db.create_function("f", 5), "f")


def test_a_restore_from_nothing_or_from_something_else(untouched, tmp_path):
    """A source that is missing, or no database, or damaged, or the database itself is refused before anything is touched."""
    text = tmp_path / "text.db"
    text.write_text("no database" * 200)
    empty = tmp_path / "empty"
    empty.mkdir()
    refused(errors.OpenError, lambda: untouched.restore(tmp_path / "missing.db"), "missing.db")
    refused(errors.OpenError, lambda: untouched.restore(empty), empty)
    refused(errors.NotADatabaseError, lambda: untouched.restore(text), text)
    refused(errors.OpenError, lambda: untouched.restore(untouched.path), untouched.path)
