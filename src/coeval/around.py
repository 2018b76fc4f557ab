"""Whether anything is around a call, a unit or a tracked call: one context variable, so that the quick paths ask but once.

``busy`` is True wherever `unit.current` or `witnessing.witness` is set, and may stay so for longer; `quiet` looks again.

Ring: shell.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

#: False: there is neither. True: there may be. Set before either of the two is, so that no interrupt comes in between.
busy: ContextVar[bool] = ContextVar("coeval_busy", default=False)

#: Those that are looked at.
_two: list[ContextVar[Any]] = []


def counts(variable: ContextVar[Any]) -> ContextVar[Any]:
    """``variable``, which makes a call busy where it is not None."""
    _two.append(variable)
    return variable


def quiet() -> bool:
    """Whether there is nothing around the call; asked where `busy` says that there may be."""
    for variable in _two:
        if variable.get() is not None:
            return False
    busy.set(False)
    return True
