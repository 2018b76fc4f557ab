"""Warnings of what the standard module has deprecated in the Python that runs, in its words, so that a change of module hides none.

Ring: shell.
"""

from __future__ import annotations

import functools
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

_HERE = os.path.dirname(__file__) + os.sep
_OPTIONAL = (
    "'timeout', 'detect_types', 'isolation_level', 'check_same_thread', 'factory', 'cached_statements' and 'uri' will "
    "become keyword-only parameters in Python 3.15."
)


def deprecated(message: str) -> None:
    """Warn at the line of the caller of this package."""
    if sys.version_info >= (3, 12):
        warnings.warn(message, DeprecationWarning, stacklevel=2, skip_file_prefixes=(_HERE,))
    else:
        warnings.warn(message, DeprecationWarning, stacklevel=3)


def more_than_one(where: str) -> None:
    """More than one argument of ``where`` was given by position."""
    if sys.version_info >= (3, 13):
        deprecated(f"Passing more than 1 positional argument to {where}() is deprecated. Parameters {_OPTIONAL}")


def by_position(*names: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """For a method of Connection: arguments called ``names`` are to be given by position."""

    several = len(names) > 1
    listed = " and ".join(", ".join(map(repr, names)).rsplit(", ", 1))

    def decorate(method: Callable[P, T]) -> Callable[P, T]:
        text = (
            f"Passing keyword argument{'s' * several} {listed} to _sqlite3.Connection.{method.__name__}() is deprecated. "
            f"Parameter{'s' * several} {listed} will become positional-only in Python 3.15."
        )

        @functools.wraps(method)
        def called(*arguments: P.args, **named: P.kwargs) -> T:
            if not named.keys().isdisjoint(names):
                deprecated(text)
            return method(*arguments, **named)

        return called if sys.version_info >= (3, 13) else method

    return decorate


def initialised(method: Callable[..., None]) -> Callable[..., None]:
    """For ``Connection.__init__``: all but the database are to be given by name."""

    @functools.wraps(method)
    def called(self: Any, *arguments: Any, **named: Any) -> None:
        if len(arguments) > 1:
            more_than_one("_sqlite3.Connection")
        method(self, *arguments, **named)

    return called if sys.version_info >= (3, 13) else method
