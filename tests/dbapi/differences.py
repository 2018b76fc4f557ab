"""What of CPython's own tests of `sqlite3` does not pass with `coeval.dbapi`, and why; and how many pass.

docs/dbapi.md holds this as a table; `python tests/dbapi/differences.py` writes it there.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "dbapi.md"
BEGIN, END = "<!-- from tests/dbapi/differences.py -->", "<!-- to here -->"


@dataclass(frozen=True)
class Difference:
    """Tests that fail, in which versions of Python, and the reason that they do."""

    tests: tuple[str, ...]
    versions: tuple[str, ...]
    reason: str


ALL = ("3.11", "3.12", "3.13")

DIFFERENCES = (
    Difference(
        ("test_dbapi.MultiprocessTests.test_ctx_mgr_rollback_if_commit_failed",),
        ALL,
        "A new file is put into WAL mode when it is opened, which has to wait for the reader that the test keeps open in "
        "rollback mode; with that reader in WAL mode there would be no lock to be refused by.",
    ),
    Difference(
        (
            "test_dbapi.OpenTests.test_open_undecodable_uri",
            "test_dbapi.OpenTests.test_open_with_undecodable_path",
        ),
        ALL,
        "APSW takes the names of files as UTF-8. A name of other bytes raises NotSupportedError.",
    ),
    Difference(
        (
            "test_userfunctions.WindowFunctionTests.test_win_exception_in_finalize",
            "test_userfunctions.WindowFunctionTests.test_win_missing_finalize",
        ),
        ALL,
        "An exception in a window function's `finalize`, which SQLite itself passes over, is noticed by APSW and raised as "
        "OperationalError.",
    ),
    Difference(
        ("test_dbapi.ModuleTests.test_shared_cache_deprecated",),
        ("3.11",),
        "`enable_shared_cache` is gone since Python 3.12, and was never made here: SQLite advises against shared caches.",
    ),
    Difference(
        ("test_factory.TextFactoryTests.test_optimized_unicode",),
        ("3.11",),
        "`OptimizedUnicode`, another name of `str`, is gone since Python 3.12, and was never made here.",
    ),
)

#: Tests that pass, by the exact version of Python that brings them.
PASSING = {"3.11.7": 423, "3.12.1": 456, "3.13.0": 472}

#: Tests that are skipped with the standard module too, and what their reason says.
SKIPPED = ("not enough memory", "SQLite < 3.8.3 needed")


def known(version: str) -> set[str]:
    """The tests that fail in a version of Python such as "3.11"."""
    return {test for difference in DIFFERENCES if version in difference.versions for test in difference.tests}


def table() -> str:
    """All of it, as it stands in the documentation."""
    lines = ["| test of CPython's | Python | why it fails here |", "|---|---|---|"]
    for difference in DIFFERENCES:
        tests = "<br>".join(f"`{test}`" for test in difference.tests)
        versions = "all" if difference.versions == ALL else ", ".join(difference.versions)
        lines.append(f"| {tests} | {versions} | {difference.reason} |")
    lines += ["", "| Python | tests that pass | that fail |", "|---|---|---|"]
    for version, passing in PASSING.items():
        lines.append(f"| {version} | {passing} | {len(known(version.rpartition('.')[0]))} |")
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with the table as it is now."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
