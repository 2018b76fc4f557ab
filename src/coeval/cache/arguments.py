"""Keys of calls: the arguments of a function in one canonical form, whatever way they were given.

``f(1, b=2)``, ``f(a=1, b=2)`` and ``f(b=2, a=1)`` are one key, as is ``f(1)`` where 2 is the default of ``b``; 1, True, 1.0 and "1"
are four. A key is ``(identity,)``, ``(identity, value, type)``, the same with another pair, or ``(identity, values, types)``, in
the order of the parameters, so that a call whose arguments are all plain is its own key without a look at its signature. Where a value is
not plain, what stands for its type is no type, so that no call can be taken for another. What has no equality of its own (an object)
cannot be part of a key, and is refused by name.

Ring: policy.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Collection, Mapping
from typing import Any

from ..errors import KeyArgumentError
from .canonical import NotCanonical, canonical
from .identity import Identity, name_of
from .injected import declared_injected, injected
from .key import PLAIN, Key

#: Stands in a key for an argument that was left out for its type.
_LEFT_OUT = (("left out",), None)

_MISSING: Any = object()

#: Kinds of parameters that can be given by place, and by name.
_BY_PLACE = frozenset({inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD})
_BY_NAME = frozenset({inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD})


def call_key(identity: Identity, values: tuple[Any, ...], types: tuple[Any, ...]) -> Key:
    """The key of a call, flat for few arguments."""
    match values:
        case ():
            return (identity,)
        case (value,):
            return (identity, value, types[0])
        case (value, other):
            return (identity, value, types[0], other, types[1])
        case _:
            return (identity, values, types)


def _told(value: Any) -> bool:
    """Whether a plain value equals no other: -0.0 is 0.0, and NaN is not itself."""
    return type(value) is not float or (value != 0 and value == value)  # noqa: PLR0124


@dataclasses.dataclass(frozen=True, slots=True)
class _Parameter:
    name: str
    default: Any
    named: bool  #: can be given by name
    left_out: bool


class Arguments:
    """How calls of one function become keys."""

    def __init__(self, function: Callable[..., Any], identity: Identity, leave_out: Collection[str | type]) -> None:
        """``identity`` begins every key. ``leave_out``: parameters, by name or by type, that are no part of it.

        Raises KeyArgumentError for a name that is no parameter, and for a function that does not tell its parameters.
        """
        self._identity = identity
        self._function = name_of(function)
        self._called = getattr(function, "__qualname__", self._function)
        try:
            self._signature = inspect.signature(function)
        except (TypeError, ValueError) as error:
            raise KeyArgumentError(
                f"{self._function} does not tell its parameters", hint="Decorate a function of your own that calls it."
            ) from error
        parameters = self._signature.parameters
        names = {one for one in leave_out if isinstance(one, str)}
        if names - parameters.keys():
            raise KeyArgumentError(
                f"{self._function} has no parameter {min(names - parameters.keys())!r} to leave out",
                hint=f"It has {', '.join(parameters) or 'none'}.",
            )
        self._types = tuple(one for one in leave_out if isinstance(one, type))
        self._names = names | {
            n for n, p in parameters.items() if declared_injected(function, p.annotation, self._types)
        }
        every = tuple(parameters.values())
        #: in order; None where it takes any number
        self._order: tuple[_Parameter, ...] | None = None
        if {p.kind for p in every} <= _BY_PLACE | _BY_NAME:
            self._order = tuple(
                _Parameter(
                    p.name, _MISSING if p.default is p.empty else p.default, p.kind in _BY_NAME, p.name in self._names
                )
                for p in every
            )
        self._places = sum(p.kind in _BY_PLACE for p in every)
        #: the number of parameters, where a call of so many plain values, none of them 0.0, is its own key; else -1
        self.plain = len(every) if self._order is not None and self._places == len(every) and not self._names else -1

    def key(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Key:
        """The key of a call. Raises TypeError as the call itself would, and KeyArgumentError for what cannot be part of a key."""
        given = self._in_order(args, kwargs)
        if given is not None:
            types = tuple(map(type, given))
            if PLAIN.issuperset(types) and (float not in types or all(_told(v) for v in given)):
                return call_key(self._identity, given, types)
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:  # Python's own message begins with the name
            raise TypeError(f"{self._called}() {error}") from None
        bound.apply_defaults()
        parts = [self._part(name, value) for name, value in bound.arguments.items() if name not in self._names]
        return call_key(self._identity, tuple(value for _, value in parts), tuple(shape for shape, _ in parts))

    def _in_order(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """The values of the parameters that count; None where it takes a closer look."""
        order = self._order
        if order is None or len(args) > self._places:
            return None
        values = (
            [value for value, one in zip(args, order, strict=False) if not one.left_out] if self._names else [*args]
        )
        used = 0
        for one in order[len(args) :]:
            value = one.default
            if one.named and one.name in kwargs:
                value = kwargs[one.name]
                used += 1
            if value is _MISSING:
                return None
            if not one.left_out:
                values.append(value)
        return tuple(values) if used == len(kwargs) else None

    def _part(self, name: str, value: Any) -> tuple[Any, Any]:
        kind = self._signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            return (tuple,), tuple(self._one(name, one) for one in value)
        if kind is inspect.Parameter.VAR_KEYWORD:
            return (dict,), frozenset((n, self._one(n, one)) for n, one in value.items())
        return self._one(name, value)

    def _one(self, name: str, value: Any) -> tuple[Any, Any]:
        if type(value) not in PLAIN and (isinstance(value, self._types) or injected(type(value))):
            return _LEFT_OUT
        try:
            return canonical(value)
        except NotCanonical as error:
            raise KeyArgumentError(
                f"The argument {name!r} of {self._function}, a {type(value).__qualname__}, {error}",
                hint=f"Leave it out, if the answer does not depend on it (leave_out=({name!r},)), or give a key: "
                "key=lambda ...: its number or name.",
            ) from None
