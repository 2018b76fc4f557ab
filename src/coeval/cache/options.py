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


def checked(
    *,
    ttl: Any = None,
    tags: str | Iterable[str] = (),
    stale_while_revalidate: Any = 0,
    key: Callable[..., Any] | None = None,
    vary: Vary | Iterable[Vary] = (),
    negative: Any = True,
    version: str = "",
    leave_out: Collection[str | type] = (),
) -> Named:
    """The parameters of the decorator; raises ConfigError for what they cannot be."""
    if ttl is not None and not (isinstance(ttl, int | float) and ttl > 0):
        raise ConfigError(f"ttl is a number of seconds above 0, not {ttl!r}", hint="Leave it out for no limit.")
    if not (isinstance(stale_while_revalidate, int | float) and 0 <= stale_while_revalidate < inf):
        raise ConfigError(
            f"stale_while_revalidate is a number of seconds, not {stale_while_revalidate!r}",
            hint="0, the default, serves nothing old.",
        )
    errors = negative if isinstance(negative, tuple) else () if isinstance(negative, bool) else (negative,)
    if not all(inspect.isclass(one) and issubclass(one, Exception) for one in errors):
        raise ConfigError(f"negative is True, or the exceptions to keep, not {negative!r}", hint="negative=LookupError")
    varies = (vary,) if callable(vary) or isinstance(vary, ContextVar) else tuple(vary)
    if key is not None and not callable(key):
        raise ConfigError(f"key is a function of the arguments, not {key!r}", hint="key=lambda user: user.id")
    options = Options(
        inf if ttl is None else float(ttl),
        tag_names(tags),
        float(stale_while_revalidate),
        negative is not False,
        errors,
    )
    return Named(options, key, varies, version, tuple(leave_out))


def tag_names(tags: str | Iterable[str]) -> tuple[str, ...]:
    """Tags as given, one or several; raises ParameterError for what is no text."""
    names = (tags,) if isinstance(tags, str) else tuple(tags)
    for one in names:
        if type(one) is not str or not one:
            raise ParameterError(f"A tag is a text, not {one!r}", hint='tags=["orders"]')
    return names
