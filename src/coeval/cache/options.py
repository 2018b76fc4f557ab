"""What `Database.cached` may be told, checked.

Ring: flow.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable
from contextvars import ContextVar
from dataclasses import dataclass
from math import inf
from typing import Any, NamedTuple

from ..errors import ConfigError, ParameterError

Negative = bool | type[Exception] | tuple[type[Exception], ...]
Vary = Callable[[], Any] | ContextVar[Any]


@dataclass(frozen=True, slots=True)
class Options:
    """What the decorator was told; see `Database.cached`."""

    ttl: float = inf
    tags: tuple[str, ...] = ()
    stale: float = 0.0
    nothing: bool = True  #: None is kept
    errors: tuple[type[Exception], ...] = ()


class Named(NamedTuple):
    """What the decorator was told, checked."""

    options: Options
    key: Callable[..., Any] | None
    vary: tuple[Vary, ...]
    version: str
    leave_out: tuple[str | type, ...]


def named_of(options: dict[str, Any]) -> Named:
    """What the decorator was told, checked. Raises ConfigError, ParameterError."""
    known = inspect.signature(checked).parameters.keys()
    for one in options.keys() - known:
        raise ConfigError(f"@cached has no option {one}", hint=f"It has {', '.join(known)}.")
    return checked(**options)


def checked(
    *,
    ttl: Any = None,
    tags: str | Iterable[str] = (),
    stale_while_revalidate: Any = 0,
    key: Callable[..., Any] | None = None,
    vary: Any = (),
    negative: Any = True,
    version: str = "",
    leave_out: Any = (),
) -> Named:
    """The parameters of the decorator; raises ConfigError for what they cannot be."""
    if ttl is not None and not (_is_number(ttl) and ttl > 0):
        raise ConfigError(f"ttl is a number of seconds above 0, not {ttl!r}", hint="Leave it out for no limit.")
    if not (_is_number(stale_while_revalidate) and 0 <= stale_while_revalidate < inf):
        raise ConfigError(
            f"stale_while_revalidate is a number of seconds, not {stale_while_revalidate!r}",
            hint="0, the default, serves nothing old.",
        )
    errors = negative if isinstance(negative, tuple) else () if isinstance(negative, bool) else (negative,)
    if not all(inspect.isclass(one) and issubclass(one, Exception) for one in errors):
        raise ConfigError(f"negative is True, or the exceptions to keep, not {negative!r}", hint="negative=LookupError")
    varies = tuple(vary) if isinstance(vary, Iterable) and not callable(vary) else (vary,)
    if not all(map(_varies, varies)):
        raise ConfigError(
            f"vary is context variables, or functions without arguments, not {vary!r}", hint="vary=[language]"
        )
    if not isinstance(version, str):
        raise ConfigError(f"version is a text, not {version!r}", hint=f'version="{version}"')
    left_out = (leave_out,) if isinstance(leave_out, str | type) else leave_out
    if not isinstance(left_out, Collection) or not all(isinstance(one, str | type) for one in left_out):
        raise ConfigError(
            f"leave_out is names of parameters, or types of them, not {leave_out!r}", hint='leave_out=["self"]'
        )
    if key is not None and not callable(key):
        raise ConfigError(f"key is a function of the arguments, not {key!r}", hint="key=lambda user: user.id")
    options = Options(
        inf if ttl is None else float(ttl),
        tag_names(tags),
        float(stale_while_revalidate),
        negative is not False,
        errors,
    )
    return Named(options, key, varies, version, tuple(left_out))


def tag_names(tags: Any) -> tuple[str, ...]:
    """Tags as given, one or several; raises ParameterError for what is no text."""
    names = tuple(tags) if isinstance(tags, Iterable) and not isinstance(tags, str) else (tags,)
    for one in names:
        if type(one) is not str or not one:
            raise ParameterError(
                f"A tag is a text, not {one!r}", hint='Write tags=["orders"], and db.invalidate("orders", "customers").'
            )
    return names


def some_tags(tags: tuple[str, ...]) -> tuple[str, ...]:
    """Tags to be ended, one at least. Raises ParameterError."""
    if not tags:
        raise ParameterError(
            "invalidate() was called without a tag, which ends nothing", hint='db.invalidate("orders")'
        )
    return tag_names(tags)


def gives_coroutine(function: Any) -> bool:
    """Whether a call of ``function`` gives a coroutine: one of `async def`, or an object whose `__call__` is."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(type(function), "__call__", None)  # noqa: B004 - the method itself is asked for
    )


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _varies(one: object) -> bool:
    return callable(one) or isinstance(one, ContextVar)
