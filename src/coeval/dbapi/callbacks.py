"""What SQL and SQLite may call: functions, aggregates, window functions, collations, authorizer, progress and trace.

An exception of the user's code becomes OperationalError, as in sqlite3; `enable_callback_tracebacks` has it shown.

Ring: shell.
"""

from __future__ import annotations

import sys
import traceback
import weakref
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import apsw

from . import errors
from .adapters import contiguous
from .base import Base
from .deprecated import by_position

_showing = False


def enable_callback_tracebacks(enable: bool, /) -> None:
    """Whether exceptions in callbacks are given to ``sys.unraisablehook``."""
    global _showing  # noqa: PLW0603 - a switch of the module, as in sqlite3
    _showing = bool(enable)


def _show(error: BaseException, callback: Any) -> None:
    if not _showing:
        return
    if sys.unraisablehook is not sys.__unraisablehook__:
        told = SimpleNamespace(
            exc_type=type(error), exc_value=error, exc_traceback=error.__traceback__, err_msg=None, object=callback
        )
        sys.unraisablehook(told)
        return
    print(f"Exception ignored in: {callback!r}", file=sys.stderr)  # noqa: T201 - the interpreter's own words
    traceback.print_exception(error)


def _failed(error: Exception, callback: Any, what: str) -> BaseException:
    """The error for a function of the user that raised ``error``."""
    _show(error, callback)
    if isinstance(error, MemoryError):
        return MemoryError()
    if isinstance(error, OverflowError):
        return errors.of_code(apsw.SQLITE_TOOBIG, "string or blob too big")
    return errors.of_code(apsw.SQLITE_ERROR, what)


def _returned(value: Any) -> Any:
    """A result as SQLite can have it; raises what it cannot."""
    if value is None or isinstance(value, str | bytes | float):
        if isinstance(value, str):
            value.encode()
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise OverflowError("Python int too large to convert to SQLite INTEGER")
        return value
    return contiguous(value)


def _function(call: Callable[..., Any]) -> Callable[..., Any]:
    def called(*arguments: Any) -> Any:
        try:
            return _returned(call(*arguments))
        except Exception as error:
            raise _failed(error, call, "user-defined function raised exception") from None

    return called


class _Aggregate:
    """One run of a user's aggregate, for APSW."""

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._user: Any = None
        self._broken = False

    def step(self, *arguments: Any) -> None:
        self._call("step", *arguments)

    def inverse(self, *arguments: Any) -> None:
        self._call("inverse", *arguments)

    def value(self) -> Any:
        return self._call("value")

    def final(self) -> Any:
        """Without a row there is no aggregate, and the result is NULL."""
        return None if self._broken or self._user is None else self._call("finalize")

    def _call(self, name: str, *arguments: Any) -> Any:
        if self._user is None:
            try:
                self._user = self._make()
            except Exception as error:
                self._broken = True
                raise _failed(error, self._make, "user-defined aggregate's '__init__' method raised error") from None
        method = None
        try:
            method = getattr(self._user, name)
            result = method(*arguments)
            return _returned(result) if name in {"value", "finalize"} else None
        except Exception as error:
            self._broken = True
            missing = method is None and isinstance(error, AttributeError)
            said = f"user-defined aggregate's '{name}' method {'not defined' if missing else 'raised error'}"
            raise _failed(error, self._make, said) from None


class Callbacks(Base):
    """The part of a connection that knows what may be called."""

    @by_position("name", "narg", "func")
    def create_function(
        self, name: str, narg: int, func: Callable[..., Any] | None, *, deterministic: bool = False
    ) -> None:
        """Give SQL the function ``name`` of ``narg`` arguments, -1 for any number; None takes it away."""
        flags = apsw.SQLITE_DETERMINISTIC if deterministic else 0
        call = None if func is None else _function(func)
        self._keep(
            ("function", name.lower(), narg),
            lambda raw: raw.create_scalar_function(name, call, narg, flags=flags),
            errors.OperationalError("Error creating function"),
        )

    @by_position("name", "n_arg", "aggregate_class")
    def create_aggregate(self, name: str, n_arg: int, aggregate_class: Callable[[], Any] | None) -> None:
        """Give SQL an aggregate: ``aggregate_class()`` with ``step`` and ``finalize``; None takes it away."""
        make: Any = None if aggregate_class is None else lambda: _Aggregate(aggregate_class)
        self._keep(
            ("function", name.lower(), n_arg),
            lambda raw: raw.create_aggregate_function(name, make, n_arg),
            errors.OperationalError("Error creating aggregate"),
        )

    def create_window_function(self, name: str, num_params: int, aggregate_class: Callable[[], Any] | None, /) -> None:
        """Give SQL a window function: an aggregate with ``inverse`` and ``value`` too; None takes it away."""
        make: Any = None if aggregate_class is None else lambda: _Aggregate(aggregate_class)
        self._keep(
            ("function", name.lower(), num_params),
            lambda raw: raw.create_window_function(name, make, num_params),
            errors.ProgrammingError("Error creating window function"),
        )

    def create_collation(self, name: str, callback: Callable[[str, str], Any] | None, /) -> None:
        """Give SQL the collation ``name``; None takes it away."""
        if not isinstance(name, str):
            raise TypeError(f"create_collation() argument 1 must be str, not {type(name).__name__}")
        if not callable(callback or str):
            raise TypeError("parameter must be callable")

        def compared(a: str, b: str) -> int:
            assert callback is not None
            try:
                order = int(callback(a, b))
            except Exception as error:
                _show(error, callback)
                return 0
            return (order > 0) - (order < 0)

        self._keep(
            ("collation", name.upper()),
            lambda raw: raw.create_collation(name, None if callback is None else compared),
            errors.ProgrammingError("Error creating collation"),
        )

    @by_position("authorizer_callback")
    def set_authorizer(self, authorizer_callback: Callable[..., int] | None) -> None:
        """Ask ``authorizer_callback(action, argument, argument, database, trigger)`` what may be compiled; None ends that."""

        def asked(*action: Any) -> int:
            assert authorizer_callback is not None
            try:
                answer: Any = authorizer_callback(*action)
            except Exception as error:
                _show(error, authorizer_callback)
                return apsw.SQLITE_DENY
            return answer if isinstance(answer, int) and abs(answer) < 2**31 else apsw.SQLITE_DENY

        self._check()
        with self._lock:
            self._live().authorize(None if authorizer_callback is None else asked)

    @by_position("progress_handler")
    def set_progress_handler(self, progress_handler: Callable[[], Any] | None, n: int) -> None:
        """Call ``progress_handler()`` every ``n`` steps of SQLite's; a true answer ends the statement with OperationalError."""

        def progressed() -> bool:
            assert progress_handler is not None
            try:
                return bool(progress_handler())
            except Exception as error:
                _show(error, progress_handler)
                return True

        self._keep("progress", lambda raw: raw.set_progress_handler(progressed if progress_handler else None, n))

    @by_position("trace_callback")
    def set_trace_callback(self, trace_callback: Callable[[str], Any] | None) -> None:
        """Call ``trace_callback(text)`` with every statement that is run, values in place; None ends that."""

        me = weakref.ref(self)  # else the connection would hold itself

        def traced(told: dict[str, Any]) -> None:
            connection = me()
            if trace_callback is None or connection is None:
                return
            try:
                trace_callback(connection._traced(told))
            except Exception as error:
                _show(error, trace_callback)

        mask = 0 if trace_callback is None else apsw.SQLITE_TRACE_STMT
        self._keep("trace", lambda raw: raw.trace_v2(mask, traced if mask else None))

    # -- inside ---------------------------------------------------------------------------------------------------------

    def _traced(self, told: dict[str, Any]) -> str:
        sql = str(told["sql"])
        if told["trigger"]:
            return f"-- {sql}"
        if self._running is None:
            return sql
        try:
            expanded: str | None = self._running.expanded_sql
        except (apsw.Error, MemoryError):
            expanded = None
        if expanded is None:
            _show(errors.DataError("Expanded SQL string exceeds the maximum string length"), self)
            return sql
        return expanded

    def _keep(self, key: Any, apply: Callable[[apsw.Connection], object], failed: Exception | None = None) -> None:
        self._check()
        with self._lock:
            if key[0] == "function":
                self._live().refuse_function(key[1])
            try:
                self._live().keep(key, apply)
            except apsw.Error as error:
                if failed is not None and isinstance(error, apsw.MisuseError):
                    raise failed from error
                raise self._error(error) from error
