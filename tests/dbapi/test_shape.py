"""What `sqlite3` has is there, and what CPython's own tests do not look at."""

from __future__ import annotations

import inspect
import sqlite3
import threading

import pytest

from coeval import dbapi

MISSING = {"OptimizedUnicode", "enable_shared_cache", "collections", "datetime", "time", "dbapi2", "dump"}


@pytest.fixture
def connection():
    connection = dbapi.connect(":memory:", check_same_thread=False)
    yield connection
    connection.close()


def test_every_name_is_there():
    """Of the module and of its classes; and constants have the same values."""
    names = {name for name in dir(sqlite3) if not name.startswith("_")} - MISSING
    assert set() == {name for name in names if not hasattr(dbapi, name)} - {"version", "version_info"}
    for name in ("Connection", "Cursor", "Row", "Blob"):
        members = {member for member in dir(getattr(sqlite3, name)) if not member.startswith("_")}
        assert set() == {member for member in members if not hasattr(getattr(dbapi, name), member)} - {
            *("row_factory", "connection", "arraysize")  # made with each one
        }
    constants = {name: value for name, value in vars(sqlite3).items() if name.startswith(("SQLITE_", "PARSE_"))}
    assert constants == {name: getattr(dbapi, name) for name in constants}


def test_the_errors_are_pep_249s():
    """The tree, on the module and on connections."""
    for name in (
        "Warning",
        "Error",
        "InterfaceError",
        "DatabaseError",
        "DataError",
        "OperationalError",
        "NotSupportedError",
    ):
        kind = getattr(dbapi, name)
        assert kind is getattr(dbapi.Connection, name)
        assert [base.__name__ for base in kind.__mro__] == [base.__name__ for base in getattr(sqlite3, name).__mro__]


@pytest.mark.parametrize("factory", [bytes, bytearray, lambda data: data.decode("latin-1")])
def test_text_that_is_not_utf8_reaches_the_factory(connection, factory):
    """Also behind rows that are, in any column, and typed by what it is: a blob stays one."""
    connection.executescript(
        "CREATE TABLE t(n, a, b); INSERT INTO t VALUES (1, 'one', x'ff'), (2, CAST(x'fc6265' AS TEXT), NULL), (3, 'three', 'ü')"
    )
    connection.text_factory = factory
    expected = [
        (1, factory(b"one"), b"\xff"),
        (2, factory(b"\xfcbe"), None),
        (3, factory(b"three"), factory("ü".encode())),
    ]
    sql = "SELECT n, a, b FROM t WHERE n < ? ORDER BY n; -- all"
    assert expected == connection.execute(sql, (9,)).fetchall()
    assert expected == list(connection.execute(sql, (9,)))
    cursor = connection.execute(sql, (9,))
    assert ["n", "a", "b"] == [column[0] for column in cursor.description or ()]
    assert expected == [cursor.fetchone(), cursor.fetchone(), cursor.fetchone()]
    assert cursor.fetchone() is None
    assert [(5,)] == cursor.execute("SELECT 5").fetchall()


def test_text_that_is_not_utf8_is_an_error_for_str(connection):
    """With the column and the text in it; rows before it are given."""
    cursor = connection.execute("VALUES ('a'), (CAST(x'ff' AS TEXT))")
    assert ("a",) == cursor.fetchone()
    with pytest.raises(dbapi.OperationalError, match="Could not decode to UTF-8 column 'column1'"):
        cursor.fetchone()
    with pytest.raises(dbapi.OperationalError, match="Could not decode to UTF-8"):
        connection.execute("VALUES ('a'), (CAST(x'ff' AS TEXT))").fetchall()


def test_a_description_is_of_the_schema_as_it_is(connection):
    """A statement that is remembered tells of columns that were added since, also where it has no rows."""
    connection.execute("CREATE TABLE t(a)")
    assert ["a"] == [column[0] for column in connection.execute("SELECT * FROM t").description or ()]
    connection.execute("ALTER TABLE t ADD COLUMN b")
    assert ["a", "b"] == [column[0] for column in connection.execute("SELECT * FROM t").description or ()]
    connection.execute("INSERT INTO t VALUES (1, 2)")
    connection.execute("ALTER TABLE t ADD COLUMN c")
    cursor = connection.execute("SELECT * FROM t")
    assert (["a", "b", "c"], [(1, 2, None)]) == ([column[0] for column in cursor.description or ()], cursor.fetchall())


def test_converters_have_sqlites_bytes(connection):
    """A number reaches a converter as SQLite writes it."""
    typed = dbapi.connect(":memory:", detect_types=dbapi.PARSE_DECLTYPES | dbapi.PARSE_COLNAMES)
    dbapi.register_converter("raw", lambda data: data)
    try:
        typed.execute("CREATE TABLE t(a raw, b RAW(5), c)")
        typed.execute("INSERT INTO t VALUES (1.5e300, 12, 'text')")
        cursor = typed.execute('SELECT a, b, c, c AS "c [raw]" FROM t')
        assert (b"1.5e+300", b"12", "text", b"text") == cursor.fetchone()
        assert ["a", "b", "c", "c"] == [column[0] for column in cursor.description or ()]
    finally:
        dbapi.converters.pop("RAW")
        typed.close()


def test_threads_share_a_connection(connection):
    """With check_same_thread=False calls wait for each other, as they do in sqlite3."""
    connection.execute("CREATE TABLE t(n)")
    start = threading.Barrier(4)
    failed = []

    def work():
        start.wait()
        try:
            for n in range(200):
                connection.execute("INSERT INTO t VALUES (?)", (n,))
                connection.execute("SELECT count(*) FROM t").fetchone()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [] == failed
    assert (800,) == connection.execute("SELECT count(*) FROM t").fetchone()


def test_another_thread_may_interrupt(connection):
    """The statement under way ends with OperationalError, "interrupted"."""
    under_way = threading.Event()
    connection.create_function("tell", 0, under_way.set)
    threading.Thread(target=lambda: (under_way.wait(), connection.interrupt())).start()
    endless = "WITH RECURSIVE n(x) AS (SELECT tell() UNION ALL SELECT x FROM n) SELECT count(*) FROM n"
    with pytest.raises(dbapi.OperationalError, match="interrupted") as raised:
        connection.execute(endless)
    assert "SQLITE_INTERRUPT" == raised.value.sqlite_errorname


def test_the_last_row_ends_the_statement(connection):
    """A statement whose last row was given holds nothing: its table can be dropped."""
    connection.execute("CREATE TABLE t(n)")
    connection.execute("INSERT INTO t VALUES (1)")
    connection.commit()
    cursor = connection.execute("SELECT n FROM t")
    assert (1,) == cursor.fetchone()
    connection.execute("DROP TABLE t")


def test_signatures():
    """Methods take what sqlite3's take, where it tells."""
    for kind in ("Connection", "Cursor", "Blob"):
        for name, theirs in vars(getattr(sqlite3, kind)).items():
            if name.startswith("_") or not callable(theirs) or inspect.isclass(theirs):
                continue
            try:
                expected = inspect.signature(theirs)
            except ValueError:
                continue
            ours = inspect.signature(getattr(getattr(dbapi, kind), name)).parameters
            by_name = {
                one for one, parameter in expected.parameters.items() if parameter.kind is not parameter.POSITIONAL_ONLY
            }
            assert by_name <= set(ours) | {"self"}, (kind, name)
            assert len(expected.parameters) <= len(ours), (kind, name)
