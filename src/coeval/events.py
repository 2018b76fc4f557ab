"""What happened, for whoever listens: statistics, logs and metrics stand on this.

Names in use: ``revalidated`` (an entry was valid after a commit elsewhere), ``miss`` (computed and offered to the cache), ``uncached``
(read past the cache), ``passed`` (likewise, because keeping such results was not worth it), ``refused`` (a result that could not be
kept), ``write`` (a write transaction committed), ``verified`` (triggers looked at; ``repaired`` says how many), ``reopened`` (the file
was replaced, or the process forked), ``checkpoint`` (all of the write-ahead log is in the file), ``pinned`` (a reader keeps the log from
shrinking past its limit: ``pid``, ``age`` in seconds, ``statement`` or None, ``pages`` of the log, and whether it was ``ended``),
``optimized`` (statistics of tables were made anew), ``audit_difference`` (a kept result is wrong, which the setting `audit` has found:
``statement``, or the function's name, its ``parameters``, its ``read_set``, which are pairs of name and stamp, or None where the clock
alone proves it, what was ``kept`` and what was ``computed``). Hits by the commit clock are counted, not told: telling would cost more
than the hit.

Ring: shell.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from .errors import ParameterError

log = logging.getLogger("coeval")

Listener = Callable[[str, Mapping[str, Any]], object]


class Events:
    """Counts by name, and the listeners of one database."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.listeners: tuple[Listener, ...] = ()

    def tell(self, name: str, **facts: Any) -> None:
        """``name`` happened. What a listener raises is logged and goes no further."""
        self.counts[name] += 1
        if facts and facts.get("repaired"):
            self.counts["repaired"] += facts["repaired"]
        if self.listeners:
            self.notify(name, facts)

    def notify(self, name: str, facts: Mapping[str, Any]) -> None:
        """Tell the listeners of what was counted already."""
        for listener in self.listeners:
            try:
                listener(name, MappingProxyType(facts))
            except Exception:
                log.exception("A listener failed on %s", name)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Call ``listener(name, facts)`` on every event from now on, in the thread where it happens; returns what ends that.

        What it raises goes to the log, and no further. Raises ParameterError for what cannot be called.
        """
        if not callable(listener):
            raise ParameterError(
                f"A listener is a function, not {listener!r}", hint="db.listen(lambda name, facts: ...)"
            )

        def heard(name: str, facts: Mapping[str, Any]) -> object:  # of its own, so that one of two alike can be ended
            return listener(name, facts)

        def stop() -> None:
            self.listeners = tuple(one for one in self.listeners if one is not heard)

        self.listeners = (*self.listeners, heard)

        return stop


@dataclass(frozen=True)
class Statistics:
    """Counts since the database was opened in this process; ``entries``, ``bytes``, ``queue`` and the sizes are of now."""

    hits: int  #: answered from memory while nobody had committed
    revalidated: int  #: answered from memory after comparing stamps
    misses: int  #: computed, and offered to the cache
    uncached: int  #: read past the cache: not cacheable, in a transaction, or no cache
    refused: int  #: results that the cache did not keep
    passed: int  #: read past the cache because keeping such results has not been worth it; `explain` says of which
    writes: int  #: write transactions committed
    entries: int
    bytes: int  #: estimated
    evictions: int
    verifications: int  #: times the triggers were looked at
    repairs: int  #: triggers and stamps that had to be made or mended
    reopened: int
    checkpoints: int = 0  #: that moved all of the write-ahead log into the file
    audited: int = 0  #: hits that were computed again and compared, as the setting `audit` asks
    differences: int = 0  #: of them, found to be wrong
    audits_skipped: int = (
        0  #: hits of which an audit could say nothing: no longer valid, in no order, or a call that has other sources
    )
    audits_dropped: int = 0  #: hits whose audit found no room, or the database closed
    file_size: int = 0  #: bytes of the database file now; those of its log are `wal_size`
    page_size: int | None = (
        None  #: None, as `pages` and `free_pages`, where every reader is in use, or the database is closed
    )
    pages: int | None = None
    free_pages: int | None = None  #: of them, without contents: what `vacuum` would give back
    wal_size: int = 0
    wal_pages: int = 0  #: in use; the log's file stays as long as it once was
    queue: int = 0  #: callers of this process that wait for the turn now
    turns: int = 0  #: to write, since the file was last opened, as what follows; a batch is one
    waited: float = 0.0  #: seconds that callers waited for their turns, together
    held: float = 0.0  #: seconds that turns lasted, together
    longest_wait: float = 0.0
    longest_hold: float = 0.0
    batches: int = 0  #: of more than one write
    members: int = 0  #: writes in them
    replays: int = 0  #: of them, made again because a neighbour had failed

    @property
    def hit_rate(self) -> float:
        """Hits of both kinds among all cacheable reads; 0.0 where there were none."""
        answered = self.hits + self.revalidated
        reads = answered + self.misses + self.passed
        return answered / reads if reads else 0.0

    @property
    def statements(self) -> int:
        """User statements that SQLite ran: misses, reads past the cache, and write transactions, each counted once."""
        return self.misses + self.uncached + self.passed + self.writes
