"""Writes that wait for their turn in a known order, behind one who holds it: what a batch is made of."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import Any

import coeval

from interrupting import interrupted_at

PATIENCE = 20.0

#: What a call came to: what it returned, or what it raised.
Outcome = Any


def gate_of(db: coeval.Database) -> Any:
    """The gate of an open database."""
    return db._engine.store().writer.gate


def attendants() -> set[threading.Thread]:
    """The threads of gates that are there now."""
    return {thread for thread in threading.enumerate() if thread.name == "coeval-gate"}


def eventually(condition: Callable[[], object]) -> None:
    """Wait until ``condition`` holds, which another thread brings about."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came to pass"
        time.sleep(0.0002)


@contextmanager
def held(db: coeval.Database, name: str = "the holder") -> Iterator[threading.Event]:
    """Another thread is in a transaction, until the event is set or the block ends."""
    entered, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with db.transaction():
            entered.set()
            assert leave.wait(PATIENCE * 2)

    thread = threading.Thread(target=hold, name=name)
    thread.start()
    try:
        assert entered.wait(PATIENCE)
        yield leave
    finally:
        leave.set()
        thread.join(PATIENCE)
        assert not thread.is_alive()


class Caller(threading.Thread):
    """A thread that makes one call. `outcome` is what it returned or raised, once it has ended."""

    def __init__(self, call: Callable[[], Any], name: str | None = None) -> None:
        super().__init__(name=name, daemon=True)
        self._call = call
        self.outcome: Outcome = None
        self.start()

    def run(self) -> None:
        """Make the call."""
        try:
            self.outcome = self._call()
        except BaseException as error:
            self.outcome = error

    def ended(self) -> Outcome:
        """Wait for its end."""
        self.join(PATIENCE)
        assert not self.is_alive(), "nobody told it"
        return self.outcome


def together(db: coeval.Database, calls: Sequence[Callable[[], Any]]) -> list[Outcome]:
    """Make each call in a thread of its own, all of them waiting in this order behind a transaction; what came of them."""
    with held(db) as leave:
        callers = queue_up(db, calls)
        leave.set()
        return [caller.ended() for caller in callers]


def _queued(gate: Any, before: int, last: threading.Thread) -> bool:
    return bool(gate.queue > before) or not last.is_alive()


def queue_up(db: coeval.Database, calls: Sequence[Callable[[], Any]]) -> list[Caller]:
    """Start each call when the one before stands in the queue."""
    gate = gate_of(db)
    callers = []
    for call in calls:
        before = gate.queue
        callers.append(Caller(call))
        eventually(partial(_queued, gate, before, callers[-1]))
    return callers


def submitted(db: coeval.Database, writes: Sequence[tuple[str, Any, bool]]) -> list[Future[Any]]:
    """Writes as those who must not wait make them, in this order behind a held turn; the turn is free when this returns.

    Each is a statement, its parameters, and whether those are of many runs. The statements have to be known.
    """
    store = db._engine.store()
    gate = store.writer.gate
    gate.enter("the holder", PATIENCE)
    try:
        futures = []
        for sql, parameters, many in writes:
            statement = store.statements.sharable(sql)
            assert statement is not None, sql
            futures.append(store.batches.submit(statement, parameters, many))
    finally:
        gate.leave()
    return futures


def outcome(future: Future[Any]) -> Outcome:
    """What a future came to."""
    error = future.exception(PATIENCE)
    return future.result() if error is None else error


def learn(db: coeval.Database, *statements: str) -> None:
    """Have the statements analysed, as their first run does."""
    for sql in statements:
        db._engine.store().statements.analyse(sql)


def interrupted_write_at(number: int, work: Callable[[], object]) -> bool:
    """As `interrupted_at`. The beginning of `__exit__` is left out: no block in Python survives an interrupt there."""
    return interrupted_at(number, work, but={("call", "__exit__")})
