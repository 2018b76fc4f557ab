"""The page needs nothing but the application: no other host, and every file it names is in the package."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coeval.demo import app

from rings import LONGEST

FILES = sorted(app.PAGE.iterdir())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_nothing_is_fetched_from_elsewhere(file: Path) -> None:
    """The only address is the name of SVG, which nobody fetches."""
    found = re.findall(r"(?:https?:)?//[\w.-]+\.\w+[^\s\"']*", file.read_text("utf-8"))
    assert {"http://www.w3.org/2000/svg"} >= set(found)


def test_every_file_that_is_named_is_there() -> None:
    """By the HTML, or imported by a module."""
    html = (app.PAGE / "index.html").read_text("utf-8")
    named = set(re.findall(r"/page/([\w.-]+)", html))
    for file in app.PAGE.glob("*.js"):
        named |= set(re.findall(r"from \"\./([\w.-]+)\"", file.read_text("utf-8")))
    assert named | {"index.html"} == {file.name for file in FILES}


def test_every_element_that_is_looked_up_is_there() -> None:
    """A renamed id would leave a part of the page dead."""
    html = (app.PAGE / "index.html").read_text("utf-8")
    ids = set(re.findall(r"\bid=\"([\w-]+)\"", html))
    used = set()
    for file in app.PAGE.glob("*.js"):
        used |= set(re.findall(r"(?:\$|getElementById|show|spark)\(\"([\w-]+)\"", file.read_text("utf-8")))
    assert used <= ids


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_files_stay_short(file: Path) -> None:
    """As those of Python do."""
    assert len(file.read_text("utf-8").splitlines()) <= LONGEST
