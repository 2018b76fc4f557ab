"""Which tracked call the caller is in: a context variable, carried into the threads that such a call starts.

Tasks, and `asyncio.to_thread`, copy the context by themselves. `threading.Thread` and `ThreadPoolExecutor` do not, so their ``start`` and
``submit`` are wrapped, once, when the first function is tracked; outside a tracked call they do what they did. OpenTelemetry carries
its context in the same way. Threads of our own never belong to a call.

Ring: shell.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextvars import ContextVar, Token
from functools import cache, partial, wraps
from typing import Any, NamedTuple

from .around import busy, counts
from .coherence.proof import Watch, Witness
from .errors import TrackedWriteError
from .passing import Passing, passing, running

#: The innermost tracked call of this context.
witness: ContextVar[Witness | None] = counts(ContextVar("coeval_witness", default=None))

#: How the names of our own threads begin.
OURS = "coeval-"


def watch_by(found: Witness) -> Token[Witness | None]:
    """From now on what is read here is told to ``found``. Give the token to `witness.reset`."""
    busy.set(True)
    return witness.set(found)


def watched() -> Witness | None:
    """The innermost tracked call around the caller that still runs. A task may outlive the one that started it, and not the one around."""
    found = witness.get()
    while found is not None and found.closed:
        found = found.outer
    return found


def watch_for(engine: object) -> Watch | None:
    """What a read of ``engine`` that is made here has to be told to; None outside of tracked calls."""
    found = watched()
    return None if found is None else Watch(found, engine)


def refuse_proof(what: str) -> None:
    """``what`` is read here, whose changes nobody would notice (law 3): the tracked call around it, if there is one, is not kept."""
    found = watched()
    if found is not None:
        found.refuse(f"it reads {what}, and nobody would notice its changes")


def refuse_writes(what: str) -> None:
    """Raise TrackedWriteError inside a tracked call: its next answer may come from the cache, without the write."""
    if watched() is not None or running(passing.get()) is not None:
        raise TrackedWriteError(
            f"{what} was called inside a function whose result is kept (@db.cached, or the make of db.cache.get_or_set)",
            hint="A cached call does not run again; write outside of it.",
        )


@cache
def carry_into_threads() -> None:
    """Wrap ``Thread.start`` and ``ThreadPoolExecutor.submit``, once."""
    from concurrent.futures import ThreadPoolExecutor

    start: Callable[[threading.Thread], None] = threading.Thread.start
    submit: Callable[..., Any] = ThreadPoolExecutor.submit

    @wraps(start)
    def start_within(self: threading.Thread) -> None:
        around = _around()
        if around is not None and not self.name.startswith(OURS):
            self.run = partial(_within, around, self.run)  # type: ignore[method-assign]
        start(self)

    @wraps(submit)
    def submit_within(self: ThreadPoolExecutor, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        around = _around()
        return submit(self, fn if around is None else partial(_within, around, fn), *args, **kwargs)

    setattr(threading.Thread, "start", start_within)  # noqa: B010 - types of methods cannot be assigned to
    setattr(ThreadPoolExecutor, "submit", submit_within)  # noqa: B010


class _Around(NamedTuple):
    """What a thread is started from."""

    witness: Witness | None
    passing: Passing | None


def _around() -> _Around | None:
    found = _Around(watched(), running(passing.get()))
    return None if found == (None, None) else found


def _within(around: _Around, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    token = None if around.witness is None else watch_by(around.witness)
    other = passing.set(around.passing)
    try:
        return work(*args, **kwargs)
    finally:
        passing.reset(other)
        if token is not None:
            witness.reset(token)
