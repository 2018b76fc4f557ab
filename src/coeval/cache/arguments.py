"""Keys of calls: the arguments of a function in one canonical form, whatever way they were given.

``f(1, b=2)``, ``f(a=1, b=2)`` and ``f(b=2, a=1)`` are one key, as is ``f(1)`` where 2 is the default of ``b``; 1, True, 1.0 and "1"
are four. A key is ``(call, values, types)`` with the values in the order of the parameters, so that a call whose arguments are all plain has its key
without looking at its signature. What has no equality of its own (an object) cannot be part of a key, and is refused by name.

Ring: policy.
"""

from __future__ import annotations

import dataclasses
import datetime
import enum
import fractions
import inspect
import ipaddress
import uuid
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from pathlib import PurePath
from typing import Any

from ..errors import KeyArgumentError
from .key import PLAIN, Key

#: Values that are equal where their types and texts are.
_BY_TEXT = (
    Decimal,
    fractions.Fraction,
    complex,
    uuid.UUID,
    PurePath,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    datetime.tzinfo,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    range,
)

#: Types of arguments that say how something is answered and not what: by the names of their classes, so that nothing is imported.
INJECTED = frozenset(
    {
        "coeval.aio.database.AsyncDatabase",
        "coeval.database.Database",
        "coeval.reads.Reads",
        "coeval.aio.reads.AsyncReads",
        "flask.wrappers.Request",
        "sqlalchemy.engine.base.Connection",
        "sqlalchemy.ext.asyncio.engine.AsyncConnection",
        "sqlalchemy.ext.asyncio.session.AsyncSession",
        "sqlalchemy.orm.session.Session",
        "starlette.requests.HTTPConnection",
        "starlette.responses.Response",
        "werkzeug.wrappers.request.Request",
    }
)

#: How deep values may lie in one another.
DEEPEST = 20


class Arguments:
    """How calls of one function become keys."""

    def __init__(self, function: Callable[..., Any], name: tuple[Any, ...], leave_out: Collection[str | type]) -> None:
        """``name`` begins every key. ``leave_out``: parameters, by name or by type, that are no part of it.

        Raises KeyArgumentError for a name that is no parameter.
        """
        self._name = name
        self._function = f"{function.__module__}.{function.__qualname__}"
        self._signature = inspect.signature(function)
        parameters = self._signature.parameters
        names = {one for one in leave_out if isinstance(one, str)}
        if names - parameters.keys():
            raise KeyArgumentError(
                f"{self._function} has no parameter {sorted(names - parameters.keys())[0]!r} to leave out",
                hint=f"It has {', '.join(parameters) or 'none'}.",
            )
        self._types = tuple(one for one in leave_out if isinstance(one, type))
        self._names = names | {n for n, p in parameters.items() if self._declared_out(function, n, p)}
        kinds = {p.kind for p in parameters.values()}
        positional = kinds <= {inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD}
        #: the number of parameters, where a call of so many plain positional arguments is its own key; else -1
        self.plain = len(parameters) if positional and not self._names else -1

    def key(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Key:
        """The key of a call. Raises TypeError as the call itself would, and KeyArgumentError for what cannot be part of a key."""
        if not kwargs and len(args) == self.plain:
            types = tuple(map(type, args))
            if PLAIN.issuperset(types) and (float not in types or all(a != 0 or type(a) is not float for a in args)):
                return (self._name, args, types)
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        values, types_ = [], []
        for name, value in bound.arguments.items():
            if name in self._names or self._left_out(value):
                continue
            kind = self._signature.parameters[name].kind
            if kind is inspect.Parameter.VAR_KEYWORD:
                value = {n: v for n, v in value.items() if not self._left_out(v)}
            elif kind is inspect.Parameter.VAR_POSITIONAL:
                value = tuple(v for v in value if not self._left_out(v))
            shape, plain = self._canonical(value, name, DEEPEST)
            values.append(plain)
            types_.append(shape)
        return (self._name, tuple(values), tuple(types_))

    def _declared_out(self, function: Callable[..., Any], name: str, parameter: inspect.Parameter) -> bool:
        declared = parameter.annotation
        if isinstance(declared, str):
            try:
                declared = inspect.get_annotations(function, eval_str=True).get(name, declared)
            except Exception:  # a name that exists for type checkers alone
                return declared.rpartition(".")[2] in {one.rpartition(".")[2] for one in INJECTED}
        return isinstance(declared, type) and (issubclass(declared, self._types) or _injected(declared))

    def _left_out(self, value: object) -> bool:
        kind = type(value)
        return kind not in PLAIN and (isinstance(value, self._types) or _injected(kind))

    def _canonical(self, value: Any, name: str, deep: int) -> tuple[Any, Any]:
        """The type and the value of a part of a key: both hashable, and together equal for equal arguments alone."""
        kind = type(value)
        if kind is float:
            return (kind, value) if value != 0 and value == value else (repr(value), None)  # noqa: PLR0124 - NaN
        if kind in PLAIN:
            return kind, value
        if deep == 0:
            raise self._refused(name, value, "lies too deep, or in itself")
        if isinstance(value, enum.Enum):
            return kind, value.name
        if isinstance(value, _BY_TEXT):
            return kind, repr(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = [(one.name, getattr(value, one.name)) for one in dataclasses.fields(value) if one.compare]
            return kind, tuple((n, *self._canonical(v, name, deep - 1)) for n, v in fields)
        if isinstance(value, tuple | list):
            return kind, tuple(self._canonical(v, name, deep - 1) for v in value)
        if kind in (bytearray, memoryview):
            return kind, bytes(value)
        if isinstance(value, set | frozenset):
            return kind, frozenset(self._canonical(v, name, deep - 1) for v in value)
        if isinstance(value, Mapping):
            pairs = [(self._canonical(k, name, deep - 1), self._canonical(v, name, deep - 1)) for k, v in value.items()]
            return kind, frozenset(pairs)
        if isinstance(value, type) or inspect.isfunction(value) or inspect.ismodule(value):
            return kind, f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', value.__name__)}"
        raise self._refused(name, value, "is of a type that has no place in a key")

    def _refused(self, name: str, value: object, why: str) -> KeyArgumentError:
        return KeyArgumentError(
            f"The argument {name!r} of {self._function}, a {type(value).__qualname__}, {why}",
            hint=f"Leave it out, if the answer does not depend on it (leave_out=({name!r},)), or give a key: "
            "key=lambda ...: its number or name.",
        )


def _injected(kind: type) -> bool:
    return any(f"{one.__module__}.{one.__qualname__}" in INJECTED for one in kind.__mro__)
