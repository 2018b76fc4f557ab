"""Identities: which functions are the same, as far as keys of their calls go.

A function goes by its module and its name, the version of the program and its own. That is not enough inside of a process: two
lambdas, two closures over other values, or a module that was loaded again have the same names and other answers, and one function may be
decorated twice with other options. So a key begins with an object that equals itself alone, and two decorations share one only where
nothing tells them apart: the same code, names and options, and no values of its own.

Ring: policy.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from types import FunctionType
from typing import Any
from weakref import WeakValueDictionary


class Identity:
    """Begins the keys of one function's calls. ``text`` names the function to people, and to other processes."""

    __slots__ = ("__weakref__", "_names", "text")

    def __init__(self, text: str, names: dict[str, Any] | None = None) -> None:
        self.text = text
        self._names = names  #: the globals of its code, alive as long as this is

    def __repr__(self) -> str:
        return f"<{self.text}>"


#: Of functions without values of their own; an identity lives as long as a function or an entry has it.
_known: WeakValueDictionary[tuple[Hashable, ...], Identity] = WeakValueDictionary()


def name_of(function: Callable[..., Any]) -> str:
    """The module and the name of ``function``, or of what it calls where it has none: a partial, an object."""
    while not hasattr(function, "__qualname__") and hasattr(function, "func"):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{getattr(named, '__module__', 'builtins')}.{named.__qualname__}"


def identity_of(function: Callable[..., Any], told: tuple[Hashable, ...]) -> Identity:
    """The identity of ``function``; ``told``: what else tells its calls from others'."""
    text = name_of(function)
    values = getattr(function, "__closure__", None) or getattr(function, "__defaults__", None)
    if type(function) is not FunctionType or values or function.__kwdefaults__:
        return Identity(text)
    names = function.__globals__
    try:
        key = (text, function.__code__, id(names), *told)
        found = _known.get(key)
    except TypeError:  # an option without a hash
        return Identity(text)
    return _known.setdefault(key, Identity(text, names)) if found is None else found
