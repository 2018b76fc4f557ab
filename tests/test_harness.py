"""The tests' own tools do what tests rely on."""

from __future__ import annotations

from pathlib import Path

import pytest

from processes import Foreign, ForeignError, Shell
from wheel import wheel_problem


def test_a_foreign_process_answers_with_rows(foreign: Foreign):
    """What is written comes back, of every type that SQLite has."""
    foreign.script("CREATE TABLE t (v); CREATE TABLE u (v);")
    values = [None, 7, -(2**63), 0.5, "ünï", b"\x00\xff"]
    foreign.executemany("INSERT INTO t VALUES (?)", [[value] for value in values])
    assert values == [row[0] for row in foreign.execute("SELECT v FROM t ORDER BY rowid")]
    foreign.execute("UPDATE t SET v = 1 WHERE v = ?", b"\x00\xff")
    assert foreign.rowcount == 1


def test_a_foreign_error_is_raised_and_the_process_goes_on(foreign: Foreign):
    """An error of SQLite travels to the test with its kind and message."""
    with pytest.raises(ForeignError, match="no such table: nowhere") as caught:
        foreign.execute("SELECT * FROM nowhere")
    assert caught.value.kind == "OperationalError"
    assert foreign.execute("SELECT 1") == [(1,)]


def test_an_old_library_never_checkpoints(foreign: Foreign, shell: Shell):
    """Both foreign programs keep their hands off the WAL where their library could corrupt the file."""
    for program in (foreign, shell):
        expected = 0 if program.version < (3, 51, 3) else 1000
        assert program.execute("PRAGMA wal_autocheckpoint") == [(expected,)]


def test_two_processes_meet_at_the_lock(foreign: Foreign, start_foreign):
    """A statement can be left under way, and ends when the other process lets the lock go."""
    other = start_foreign()
    foreign.script("PRAGMA journal_mode=WAL; CREATE TABLE t (v)")
    foreign.execute("BEGIN IMMEDIATE")
    other.send("INSERT INTO t VALUES (1)")
    with pytest.raises(TimeoutError):
        other.receive(timeout=0.05)
    foreign.execute("COMMIT")
    other.receive()
    assert foreign.execute("SELECT v FROM t") == [(1,)]


def test_a_killed_process_leaves_nothing_open(foreign: Foreign, start_foreign):
    """A kill is a crash: what was not committed is gone, and the lock is free."""
    other = start_foreign()
    foreign.script("PRAGMA journal_mode=WAL; CREATE TABLE t (v)")
    other.execute("BEGIN IMMEDIATE")
    other.execute("INSERT INTO t VALUES (1)")
    assert other.alive
    other.kill()
    assert not other.alive
    foreign.execute("INSERT INTO t VALUES (2)")
    assert foreign.execute("SELECT v FROM t") == [(2,)]


def test_a_lock_time_out_is_the_callers_choice(foreign: Foreign, start_foreign):
    """A foreign program can be told not to wait."""
    foreign.script("PRAGMA journal_mode=WAL; CREATE TABLE t (v)")
    foreign.execute("BEGIN IMMEDIATE")
    hasty = start_foreign(timeout=0.0)
    with pytest.raises(ForeignError, match="locked"):
        hasty.execute("INSERT INTO t VALUES (1)")


def test_the_shell_answers_with_rows(shell: Shell, foreign: Foreign):
    """The shell and the other process see each other's commits."""
    assert shell.execute("CREATE TABLE t (a, b); INSERT INTO t VALUES (1, 'x'), (NULL, 2.5)") == []
    assert foreign.execute("SELECT * FROM t") == [(1, "x"), (None, 2.5)]
    assert shell.execute("SELECT * FROM t -- all of them") == [(1, "x"), (None, 2.5)]


def test_a_complaint_of_the_shell_is_raised(shell: Shell):
    """An error of the shell is an error of the test, and the shell goes on."""
    with pytest.raises(ForeignError, match="no such table"):
        shell.execute("SELECT * FROM nowhere")
    assert shell.execute("SELECT 2 AS x, 3 AS x") == [(2, 3)]


def test_the_guard_refuses_all_but_the_wheel(tmp_path: Path):
    """The source tree, another environment and no package at all are told apart from the wheel."""
    root, prefix = tmp_path / "project", tmp_path / "venv"
    inside = str(prefix / "lib" / "coeval" / "__init__.py")
    assert wheel_problem(inside, str(prefix), root) is None
    assert "source tree" in (wheel_problem(str(root / "src" / "coeval" / "__init__.py"), str(prefix), root) or "")
    assert "does not come from" in (wheel_problem("/elsewhere/coeval/__init__.py", str(prefix), root) or "")
    assert "not installed" in (wheel_problem(None, str(prefix), root) or "")
