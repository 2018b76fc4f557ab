"""The error tree: drawn as it is, each with its cure, and whole after a trip to another process."""

# ruff: noqa: S301 - what is loaded was made a line before

from __future__ import annotations

import copy
import inspect
import pickle
import re

import pytest

import coeval
from coeval import errors

ALL = [value for _, value in inspect.getmembers(errors, inspect.isclass) if issubclass(value, errors.Error)]


def drawn():
    """The tree in the module's docstring: each class's name and its parent's."""
    found: dict[str, str | None] = {}
    path: list[str] = []
    for line in errors.__doc__.splitlines():
        match = re.match(r"    ((?:[│├└─ ]{4})*)([A-Z]\w+Error|Error)\b", line)
        if match:
            depth = len(match[1]) // 4
            path[depth:] = [match[2]]
            found[match[2]] = path[depth - 1] if depth else None
    return found


def test_the_drawing_is_the_tree():
    """Every class is drawn below its parent, and nothing else is."""
    real = {kind.__name__: next((base.__name__ for base in kind.__bases__ if base in ALL), None) for kind in ALL}
    assert real == drawn()


def test_every_class_is_exported_and_documented():
    """`__all__` lists them, sorted, and each says what it means."""
    assert {kind.__name__ for kind in ALL} == set(errors.__all__)
    assert coeval.Error is errors.Error
    for kind in ALL:
        assert kind.__doc__
        assert kind.__doc__.endswith(".")
        assert f"{kind.__name__} " in errors.__doc__


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (errors.ConfigError, ValueError),
        (errors.ParameterError, ValueError),
        (errors.ConversionError, ValueError),
        (errors.ColumnError, LookupError),
        (errors.LockTimeoutError, TimeoutError),
        (errors.PoolTimeoutError, TimeoutError),
    ],
)
def test_some_are_what_python_programs_expect(kind, builtin):
    """Where Python has a class for the thing, ours is one too, and the drawing says so."""
    assert issubclass(kind, builtin)
    line = next(line for line in errors.__doc__.splitlines() if re.search(rf"\b{kind.__name__}\b", line))
    assert f"({builtin.__name__})" in line


@pytest.mark.parametrize("kind", ALL)
def test_str_shows_the_hint(kind):
    """What is printed says what happened, and what to do."""
    error = kind("it broke", hint="mend it")
    assert "it broke\n  mend it" == str(error)
    assert ("it broke", "mend it") == (error.message, error.hint)
    assert ("it broke", "") == (str(kind("it broke")), kind("it broke").hint)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, *(lambda e, p=p: pickle.loads(pickle.dumps(e, p)) for p in range(6))]
)
def test_it_survives_pickling(kind, again):
    """A worker's error arrives as it was, with its hint."""
    error = again(kind("it broke", hint="mend it"))
    assert (kind, "it broke", "mend it", "it broke\n  mend it") == (type(error), error.message, error.hint, str(error))
    assert ("it broke",) == error.args


def test_one_clause_catches_all():
    """`except coeval.Error`, and none of the kinds is a sqlite3 or apsw error."""
    for kind in ALL:
        assert issubclass(kind, coeval.Error)
        assert all(base.__module__ in {"builtins", "coeval.errors"} for base in kind.__mro__)


def test_the_cause_is_kept(path):
    """SQLite's own error stands behind ours."""
    import apsw

    with coeval.open(path) as db, pytest.raises(errors.SQLError) as caught:
        db.query("SELECT * FROM nowhere")
    assert isinstance(caught.value.__cause__, apsw.SQLError)
