"""The documentation names everything that a user can type, and its links lead somewhere.

A name counts where it stands in code: in a fenced block or between backticks.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import coeval
from coeval import errors
from coeval.config import Settings

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted((ROOT / "docs").rglob("*.md"))
TOP = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PACKAGE = Path(inspect.getfile(coeval)).parent

LAWS = [
    "Never stale",
    "Stamps first",
    "Proof or no cache",
    "The cache never fails a request",
    "Nothing from a cache is executed",
    "Acknowledged means durable",
    "Writers queue, fairly",
    "One SQLite in the process",
    "Never slower than no cache",
    "Bounded",
]
WORDS = [
    "store",
    "gate",
    "batch",
    "commit clock",
    "snapshot",
    "scope, stamp",
    "schema stamp",
    "read set",
    "entry",
    "tier",
    "flight",
    "admission",
]


def public_names() -> list[str]:
    """What can be taken from `coeval`, and the methods and attributes of those classes."""
    names = set(coeval.__all__)
    for name in coeval.__all__:
        kind = getattr(coeval, name)
        if inspect.isclass(kind) and not issubclass(kind, Exception):
            names |= {member for member in vars(kind) if not member.startswith("_")}
    return sorted(names)


def settings() -> list[str]:
    """The settings of an open database."""
    return [field.name for field in dataclasses.fields(Settings) if field.metadata]


def error_classes() -> list[str]:
    """The classes of the error tree, also those that __all__ forgot."""
    return sorted(
        name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, errors.Error)
    )


def commands() -> list[str]:
    """The commands of `coeval`, as one types them."""
    pytest.importorskip("click", reason="the cli extra is not installed")
    from coeval.cli.group import coeval as group

    return sorted(f"coeval {name}" for name in group.commands)


def code(text: str) -> str:
    """Return what stands in code in a page: fenced blocks and backticks."""
    fenced = re.findall(r"^```.*?^```", text, re.MULTILINE | re.DOTALL)
    rest = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    return "\n".join(fenced + re.findall(r"`([^`]+)`", rest))


def missing(names: list[str], text: str) -> list[str]:
    """Return the names that stand nowhere in the code of a text as words of their own."""
    shown = code(text)
    return [name for name in names if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", shown)]


def missing_laws(text: str) -> list[str]:
    """Return the laws that a text does not hold under their numbers."""
    return [
        f"{number}. {law}"
        for number, law in enumerate(LAWS, 1)
        if not re.search(rf"^#* *\**{number}\.\**\s+\**{re.escape(law)}\b", text, re.MULTILINE)
    ]


def missing_words(text: str) -> list[str]:
    """Return the words whose row is missing from the table of words."""
    return [word for word in WORDS if not re.search(rf"^\| *[*`]*{re.escape(word)}[*`]* *\|", text, re.MULTILINE)]


def dead_links(page: Path) -> list[str]:
    """Return the links of a page that lead to no file; links into the web are left alone."""
    found = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    return [link for link in found if "://" not in link and not (page.parent / link).exists()]


def documentation() -> str:
    """All of docs/."""
    return "\n".join(page.read_text(encoding="utf-8") for page in PAGES)


@pytest.mark.parametrize("listed", [public_names, settings, error_classes, commands])
def test_everything_that_can_be_typed_is_documented(listed):
    """A public name, a setting, an error or a command that docs/ does not show is a mistake of docs/."""
    names = listed()
    assert names != []
    assert missing(names, documentation()) == []


def test_the_architecture_holds_the_laws_and_the_words():
    """The code cites them by number, so they stand there by number."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    assert missing_laws(text) == []
    assert missing_words(text) == []


def test_the_package_docstring_is_a_map():
    """Every folder of the package has its line in the docstring of the package."""
    folders = sorted(file.parent.name for file in PACKAGE.glob("*/__init__.py"))
    assert [folder for folder in folders if f"{folder}/" not in (coeval.__doc__ or "")] == []


@pytest.mark.parametrize("page", [*TOP, *PAGES], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    """A link to a file of this project finds it."""
    assert dead_links(page) == []


def test_the_readme_leads_on():
    """From the README one finds the laws, the reference, the decisions and the demonstration."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    wanted = ["ARCHITECTURE.md", "CONTRIBUTING.md", "docs/reference.md", "docs/decisions.md", "make demo"]
    assert [name for name in wanted if name not in text] == []


def test_the_version_is_one():
    """The package, its metadata and the changelog agree on the version."""
    assert coeval.__version__ == importlib.metadata.version("coeval")
    assert f"## [{coeval.__version__}]" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_checks_can_fail(tmp_path: Path):
    """A name in prose, part of a longer name, a law without its number and a dead link are all noticed."""
    page = "Use query often.\n\n`db.query_all(x)` and `read-only`\n\n```python\ndb.one(sql)\n```\n"
    assert missing(["one"], page) == []
    assert missing(["query", "only", "python3", "read"], page) == ["query", "only", "python3", "read"]
    laws = "".join(f"{number}. **{law}.** Because.\n" for number, law in enumerate(LAWS, 1))
    assert missing_laws(laws) == []
    assert missing_laws(laws.replace("3. **Proof", "**Proof")) == ["3. Proof or no cache"]
    assert missing_laws(laws.replace("Bounded", "Limited")) == ["10. Bounded"]
    assert missing_words("".join(f"| {word} | is what it is |\n" for word in WORDS[1:])) == ["store"]
    (tmp_path / "page.md").write_text("[a](page.md#top) [b](gone.md) [c](https://example.org/x)")
    assert dead_links(tmp_path / "page.md") == ["gone.md"]


def test_the_reference_is_what_the_code_says():
    """docs/reference.md is made by tools/reference.py, and was made after the last change."""
    pytest.importorskip("click", reason="the cli extra is not installed")
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "reference.py", "--check"], capture_output=True, text=True, check=False
    )
    assert (0, "") == (done.returncode, done.stderr)


def test_the_guide_runs_in_order(tmp_path: Path):
    """What it shows from cached functions to `db.write` is one program."""
    pytest.importorskip("syntaqlite", reason="the track extra is not installed")
    text = (ROOT / "docs" / "guide.md").read_text(encoding="utf-8")
    part = text[text.index("\n## Functions\n") : text.index("\n## asyncio\n")]
    blocks = re.findall(r"^```python\n(.*?)^```", part, re.MULTILINE | re.DOTALL)
    ends = """
assert region_report("EU") == {"paid": 1}
assert db.scalar("SELECT body FROM page") == "new"
assert db.scalar("SELECT balance FROM account") == 90
db.close()
"""
    assert len(blocks) == 5
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join([*blocks, ends])],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (0, "") == (done.returncode, done.stderr)
