"""Injected objects: arguments that say how something is answered and not what (a database, a request, a session).

They are known by the names of their classes, so that no framework is imported for that.

Ring: policy.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from types import NoneType, SimpleNamespace, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

#: Classes whose objects, and those of their subclasses, are no part of a key.
_INJECTED = frozenset(
    {
        "coeval.aio.database.AsyncDatabase",
        "coeval.aio.reads.AsyncReads",
        "coeval.database.Database",
        "coeval.reads.Reads",
        "flask.wrappers.Request",
        "sqlalchemy.engine.base.Connection",
        "sqlalchemy.ext.asyncio.engine.AsyncConnection",
        "sqlalchemy.ext.asyncio.session.AsyncSession",
        "sqlalchemy.ext.asyncio.session.async_scoped_session",
        "sqlalchemy.orm.scoping.scoped_session",
        "sqlalchemy.orm.session.Session",
        "starlette.background.BackgroundTasks",
        "starlette.requests.HTTPConnection",
        "starlette.responses.Response",
        "werkzeug.wrappers.request.Request",
    }
)


def injected(kind: Any) -> bool:
    """Whether objects of ``kind`` are injected."""
    return _injected(kind)


@lru_cache(1024)
def _injected(kind: type) -> bool:
    return any(f"{one.__module__}.{one.__qualname__}" in _INJECTED for one in kind.__mro__)


def declared_injected(function: Callable[..., Any], annotation: Any, types: tuple[type, ...]) -> bool:
    """Whether a parameter of ``function`` with this ``annotation`` takes nothing but injected objects, those of ``types``, or None.

    An annotation as text that leads to nothing here, because its name is imported for type checkers alone, declares nothing: another
    class may go by the same name. What is given is looked at then.
    """
    if isinstance(annotation, str):
        names = getattr(inspect.unwrap(function), "__globals__", {})
        try:
            alone = SimpleNamespace(__annotations__={"it": annotation})
            annotation = get_type_hints(alone, names, include_extras=True)["it"]
        except Exception:
            return False
    kinds = [one for one in _alternatives(annotation) if one is not NoneType]
    return bool(kinds) and all(isinstance(one, type) and (issubclass(one, types) or injected(one)) for one in kinds)


def _alternatives(annotation: Any) -> tuple[Any, ...]:
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return tuple(one for part in get_args(annotation) for one in _alternatives(part))
    return (annotation,)
