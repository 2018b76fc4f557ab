"""The command: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

from click.testing import CliRunner

import coeval
from coeval import cli
from coeval.cli import demo, explain
from coeval.cli.group import coeval as command
from coeval.errors import OpenError

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


def call(*arguments: object, answer: str | None = None) -> Result:
    """What the command does with these arguments, without a process of its own."""
    return CliRunner().invoke(command, [str(argument) for argument in arguments], input=answer)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database that Coeval has had open."""
    path = tmp_path / "app.db"
    with coeval.open(path) as db:
        db.script("CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT); INSERT INTO users VALUES (1, 'Ann')")
    return path


def objects(path: Path) -> set[str]:
    """The names of everything in the file, as SQLite itself tells them."""
    program = "import sqlite3, sys; print(*[r[0] for r in sqlite3.connect(sys.argv[1]).execute('SELECT name FROM sqlite_schema')])"
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_version() -> None:
    """The version is that of the package."""
    done = call("--version")
    assert (done.exit_code, done.output) == (0, f"coeval, version {coeval.__version__}\n")


def test_every_command_says_what_it_does() -> None:
    """The help names each command, and each has a help of its own."""
    overview = call("--help").output
    assert set(command.commands) == {"demo", "explain", "restamp", "uninstall"}
    for name in command.commands:
        assert name in overview
        assert call(name, "-h").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("demo", "--seconds", "0"),
        ("demo", "--workers", "0"),
        ("demo", "--port", "65536"),
        ("explain",),
        ("explain", "no/such/file.db", "SELECT 1"),
        ("restamp", "no/such/file.db"),
        ("uninstall", "."),
    ],
)
def test_what_is_not_understood(arguments: tuple[str, ...]) -> None:
    """A wrong use exits with 2, says so on the standard error, and creates nothing."""
    done = call(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Usage: " in done.stderr
    assert not os.path.exists("no")


def test_explain_prints_the_explanation(file: Path) -> None:
    """`coeval explain` prints what db.explain says."""
    sql = "SELECT name FROM users WHERE id = ?"
    with coeval.open(file) as db:
        expected = str(db.explain(sql, 1))
    done = call("explain", file, sql, "1")
    assert (done.exit_code, done.stdout, done.stderr) == (0, expected + "\n", "")
    assert "users" in expected


def test_explain_prints_json(file: Path) -> None:
    """With --json there is one object, with what the statement reads, whether it is cacheable and why not."""
    done = call("explain", "--json", file, "SELECT name, random() FROM users")
    explanation = json.loads(done.stdout)
    assert (done.exit_code, explanation["reads"], explanation["cacheable"]) == (0, ["users"], False)
    assert explanation["reasons"]
    assert explanation["plan"]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ((), ()),
        (("7", "-1", "1.5", "1e3"), (7, -1, 1.5, 1000.0)),
        (("null", '"7"', "US", ""), (None, "7", "US", "")),
        (("true", "[1]", "{}", "NaN", "-Infinity", "1 2"), ("true", "[1]", "{}", "NaN", "-Infinity", "1 2")),
        ((":id=7", ":name=a=b"), ({"id": 7, "name": "a=b"},)),
        ((":id=7", "x"), (":id=7", "x")),
        ((":id",), (":id",)),
    ],
)
def test_parameters_on_the_command_line(written: tuple[str, ...], expected: tuple[object, ...]) -> None:
    """Numbers and null are themselves, text is text, and :name=value makes named parameters."""
    found = explain._parameters(written)
    assert found == expected
    assert list(map(type, found)) == list(map(type, expected))


def test_parameters_reach_the_statement(file: Path) -> None:
    """Positional and named parameters are accepted in their number, and no other."""
    assert call("explain", file, "SELECT * FROM users WHERE id = ?", "1").exit_code == 0
    assert call("explain", file, "SELECT * FROM users WHERE id = :id", ":id=1").exit_code == 0
    assert call("explain", file, "SELECT * FROM users WHERE id = ?", "--", "-1").exit_code == 0
    assert call("explain", file, "SELECT * FROM users WHERE id = ?", "1", "2").exit_code == 1


def test_an_error_is_a_message_and_its_cure(file: Path) -> None:
    """An error of the tree goes to the standard error without a traceback, and exits with 1."""
    done = call("explain", file, "SELECT nothing FROM users")
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert "nothing" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_cure_stands_below_the_message(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each line of the hint is shown, indented."""

    def refuse(path: str) -> list[str]:
        raise OpenError("it is shut", hint="turn the key\nor knock")

    monkeypatch.setattr(coeval, "uninstall", refuse)
    done = call("uninstall", "--yes", file)
    assert (done.exit_code, done.stderr) == (1, "error: it is shut\n  turn the key\n  or knock\n")


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    """Each command that takes a file says that it is none, and leaves it as it was."""
    letter = tmp_path / "letter.txt"
    letter.write_text("Dear reader, " * 100)
    for arguments in (("explain", letter, "SELECT 1"), ("uninstall", "--yes", letter)):
        done = call(*arguments)
        assert (done.exit_code, done.stderr[:7]) == (1, "error: ")
        assert str(letter) in done.stderr
    assert letter.read_text() == "Dear reader, " * 100


def test_uninstall_says_what_it_removed(file: Path) -> None:
    """After a yes everything of Coeval's is gone, named one a line, and a second time there is nothing left to do."""
    before = objects(file)
    done = call("uninstall", file, answer="y\n")
    removed = {line.removeprefix("removed ") for line in done.stdout.splitlines() if line.startswith("removed ")}
    assert done.exit_code == 0
    assert removed
    assert objects(file) == {"users"}
    assert removed <= before - {"users"}
    assert "plain SQLite again" in done.stdout
    again = call("uninstall", "--yes", file)
    assert (again.exit_code, "nothing to remove" in again.stdout) == (0, True)


def test_uninstall_asks_first(file: Path) -> None:
    """Without a yes nothing is removed."""
    before = objects(file)
    assert len(before) > 1
    for answer in ("n\n", ""):
        done = call("uninstall", file, answer=answer)
        assert done.exit_code == 1
        assert objects(file) == before


@pytest.mark.parametrize("code", [0, 1, 130])
def test_demo_passes_its_options_on(code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The demonstration gets every option, and its exit code is the command's."""
    import coeval.demo

    given: dict[str, Any] = {}

    def run(**options: Any) -> int:
        given.update(options)
        return code

    monkeypatch.setattr(coeval.demo, "run", run)
    assert call("demo").exit_code == code
    assert given == {
        "folder": None,
        "seconds": 20.0,
        "serve": False,
        "port": 8000,
        "workers": 2,
        "json_output": False,
    }
    call("demo", "--seconds", "1.5", "--serve", "--port", "0", "--workers", "3", "--json", "--folder", tmp_path)
    assert given == {
        "folder": tmp_path,
        "seconds": 1.5,
        "serve": True,
        "port": 0,
        "workers": 3,
        "json_output": True,
    }
    assert demo.demo.name == "demo"


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_without_the_extra(missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Where click or rich is not installed the command says how to install them and exits with 2."""
    monkeypatch.setattr(cli, "find_spec", lambda name: None if name == missing else object())
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == (f'error: the command coeval needs {missing}\n  pip install "coeval[cli]"\n')


def test_as_a_program(file: Path) -> None:
    """In a process of its own the command finds its arguments, prints, and exits with its code."""

    def program(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-W", "error", "-m", "coeval.cli", *map(str, arguments)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    done = program("explain", "--json", file, "SELECT count(*) FROM users")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["reads"] == ["users"]
    failed = program("explain", file, "SELECT * FROM absent")
    assert (failed.returncode, failed.stdout, failed.stderr[:7]) == (1, "", "error: ")
    assert program("--nonsense").returncode == 2


def test_restamp_renews_every_stamp(file: Path) -> None:
    """`coeval restamp` works beside programs that have the file open, and leaves no number as it was."""
    stamps = "SELECT stamp FROM _coeval_stamps UNION SELECT stamp FROM _coeval_schema"
    with coeval.open(file) as db:
        before = {row[0] for row in db.iterate(stamps)}
        done = call("restamp", file)
        assert (done.exit_code, done.stderr) == (0, "")
        assert "new stamps" in done.stdout
        assert not before & {row[0] for row in db.iterate(stamps)}
        assert db.query("SELECT name FROM users") == (("Ann",),)
