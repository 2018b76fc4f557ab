"""The three rings hold, files stay short, and `import coeval` stays light.

How long the import takes is measured in benchmarks/import_time.py; here it is counted what it brings along.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from rings import LONGEST, OUTER, check

POLICY = '"""Ring: policy."""\n'
FLOW = '"""Ring: flow."""\n'
SHELL = '"""Ring: shell."""\n'

# The least that a package has: each ring, and what each may import.
SOUND = {
    "__init__.py": '"""Map.\n\nRing: shell.\n"""\nfrom coeval import store',
    "store.py": SHELL + "import os, threading, apsw\nfrom . import flow\nfrom .rules import valid",
    "flow.py": FLOW
    + "from collections.abc import Callable\nfrom concurrent.futures import Future\nfrom .rules import valid",
    "rules/__init__.py": POLICY,
    "rules/valid.py": POLICY
    + "import math\nimport sys\nimport typing\nfrom . import words\nfrom ..rules.words import WORDS\n"
    + "NAME = sys.intern('x')\nif typing.TYPE_CHECKING:\n    import apsw\n    from ..store import Store",
    "rules/words.py": '"""Words.\n\nRing: policy. They come from nowhere.\n"""\nfrom datetime import datetime',
    "tiers/redis.py": SHELL + "import redis",
    "tiers/__init__.py": SHELL,
    "integrations/fastapi.py": SHELL + "import fastapi\nfrom coeval import store",
    "integrations/__init__.py": SHELL,
    "demo.py": SHELL + "import sqlite3\nfrom coeval.integrations import fastapi",
    "cli.py": SHELL + "import click\ndef main():\n    from coeval.demo import run",
}

# One change each, and what the check has to say.
BROKEN = [
    ("rules/valid.py", '"""No ring."""', "valid.py: does not say its ring"),
    ("rules/__init__.py", "", "rules/__init__.py: does not say its ring"),
    ("rules/valid.py", '"""The ring is named in passing, Ring: policy."""', "does not say its ring"),
    ("rules/valid.py", POLICY + "import time", "policy imports time"),
    ("rules/valid.py", POLICY + "import random", "policy imports random"),
    ("rules/valid.py", POLICY + "from os import environ", "policy imports os.environ"),
    ("rules/valid.py", POLICY + "def f():\n    import threading", "valid.py:3: policy imports threading"),
    ("rules/valid.py", POLICY + "async def f():\n    import asyncio", "policy imports asyncio"),
    (
        "rules/valid.py",
        POLICY + "class A:\n    try:\n        import secrets\n    finally: pass",
        "policy imports secrets",
    ),
    ("rules/valid.py", POLICY + "import apsw", "policy imports apsw"),
    ("rules/valid.py", POLICY + "import sqlite3", "policy imports sqlite3"),
    ("rules/valid.py", POLICY + "import socket", "policy imports socket"),
    ("rules/valid.py", POLICY + "import redis", "policy imports redis"),
    ("rules/valid.py", POLICY + "import urllib.request", "policy imports urllib.request"),
    ("rules/valid.py", POLICY + "import sys\nx = sys.modules", "policy uses sys.modules"),
    ("rules/valid.py", POLICY + "from sys import argv", "policy imports sys.argv"),
    ("rules/valid.py", POLICY + "import importlib", "policy imports importlib"),
    ("rules/valid.py", POLICY + "import coeval.flow", "policy imports coeval.flow, which is flow"),
    ("rules/valid.py", POLICY + "from .. import flow", "policy imports coeval.flow, which is flow"),
    ("rules/valid.py", POLICY + "from ..store import Store", "policy imports coeval.store, which is shell"),
    ("rules/valid.py", POLICY + "from coeval import Database", "policy imports coeval, which is shell"),
    ("rules/valid.py", POLICY + "from ..gone import x", "imports coeval.gone.x, which is not there"),
    ("rules/__init__.py", POLICY + "from ..store import Store", "__init__.py:2: policy imports coeval.store"),
    ("rules/valid.py", POLICY + "import datetime\nNOW = datetime.datetime.now()", "policy uses datetime.now"),
    ("rules/valid.py", POLICY + "from datetime import date\nx = date.today", "policy uses date.today"),
    ("rules/valid.py", POLICY + "from uuid import uuid4", "policy uses uuid4"),
    ("rules/valid.py", POLICY + "def f(name):\n    return open(name)", "policy uses open()"),
    ("rules/valid.py", POLICY + "__import__('time')", "policy uses __import__()"),
    (
        "rules/valid.py",
        POLICY + "if TYPE_CHECKING:\n    import os\nelse:\n    import time",
        "valid.py:5: policy imports time",
    ),
    ("flow.py", FLOW + "import threading", "flow imports threading"),
    ("flow.py", FLOW + "import asyncio", "flow imports asyncio"),
    ("flow.py", FLOW + "from time import monotonic", "flow imports time.monotonic"),
    ("flow.py", FLOW + "from .store import Store", "flow imports coeval.store, which is shell"),
    ("flow.py", FLOW + "print('x')", "flow uses print()"),
    ("store.py", SHELL + "import flask", "shell imports flask, and only an outer part may"),
    ("store.py", SHELL + "def f():\n    from fastapi import FastAPI", "shell imports fastapi.FastAPI, and only"),
    ("store.py", SHELL + "import redis", "shell imports redis, and only an outer part may"),
    ("store.py", SHELL + "import sqlite3", "shell imports sqlite3: one process, one SQLite"),
    ("store.py", SHELL + "from .integrations import fastapi", "imports coeval.integrations.fastapi, which is an entry"),
    ("store.py", SHELL + "from . import cli", "shell imports coeval.cli, which is an entry point"),
    ("store.py", SHELL + "import coeval.demo", "shell imports coeval.demo, which is an entry point"),
    ("integrations/fastapi.py", SHELL + "from .. import cli", "shell imports coeval.cli, which is an entry point"),
    ("store.py", SHELL + "\n" * (LONGEST - 1), f"store.py: {LONGEST + 1} lines"),
]


def package(folder: Path, files: dict[str, str]) -> Path:
    """Write a made-up package."""
    for name, text in files.items():
        file = folder / "coeval" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n" if text else "", encoding="utf-8")
    return folder / "coeval"


def installed() -> Path:
    """The folder of the package under test."""
    found = importlib.util.find_spec("coeval")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


def test_the_package_keeps_its_rings():
    """Policy knows no clock, flow no thread, shells no framework; each file says its ring and stays short."""
    assert check(installed()) == []


def test_the_check_accepts_a_sound_package(tmp_path: Path):
    """What the rules allow is allowed, imports for the type checker too."""
    assert check(package(tmp_path, SOUND)) == []


@pytest.mark.parametrize(("name", "text", "expected"), BROKEN)
def test_the_check_finds_a_broken_rule(tmp_path: Path, name: str, text: str, expected: str):
    """Each rule, broken once in an otherwise sound package, is the one complaint."""
    problems = check(package(tmp_path, SOUND | {name: text}))
    assert len(problems) == 1, problems
    assert expected in problems[0]


def brought_along(statement: str, *folders: Path) -> set[str]:
    """Run a statement in a bare interpreter; return the names of the modules that came with it."""
    program = (
        f"import json, sys; sys.path[:0] = {[str(folder) for folder in folders]!r}; before = set(sys.modules)\n"
        f"{statement}\nprint(json.dumps(sorted(set(sys.modules) - before)))"
    )
    said = subprocess.run([sys.executable, "-I", "-c", program], check=True, capture_output=True, text=True).stdout
    return set(json.loads(said))


def too_heavy(modules: set[str]) -> set[str]:
    """Return what `import coeval` must not bring along: loops, another SQLite, packages but the driver, outer parts."""
    standard = {"asyncio", "sqlite3", "multiprocessing", "unittest", "ssl", "http", "email"}
    outer = {*OUTER, "aio"}
    heavy = set()
    for module in modules:
        top, _, rest = module.partition(".")
        if top == "coeval":
            forbidden = rest.split(".")[0] in outer
        elif top in sys.stdlib_module_names:
            forbidden = module in standard
        else:
            forbidden = top != "apsw"
        if forbidden:
            heavy.add(module)
    return heavy


def test_importing_coeval_is_light():
    """No asyncio, framework, codec or client before it is needed, and never the standard sqlite3."""
    modules = brought_along("import coeval")
    assert "coeval" in modules
    assert too_heavy(modules) == set()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("import asyncio", "asyncio"),
        ("import msgspec", "msgspec"),
        ("import sqlite3", "sqlite3"),
        ("from . import cli", "coeval.cli"),
    ],
)
def test_a_heavy_import_is_noticed(tmp_path: Path, line: str, expected: str):
    """A package that imports one of them at its top is found out."""
    package(tmp_path, {"__init__.py": SHELL + line, "cli.py": SHELL})
    assert expected in too_heavy(brought_along("import coeval", tmp_path))
