"""Coeval: SQLite keeps the data, a cache keeps the hot results, and a cached result is exactly as old as its data.

    import coeval

    db = coeval.open("app.db")
    rows = db.query("SELECT id, name FROM users WHERE region = ?", "US")   # cached, never stale
    db.execute("UPDATE users SET region = ? WHERE id = ?", "EU", 7)        # durable when it returns

The map, in the reader's order:

    database.py      the blocking face: open, query, execute, transaction, snapshot, cached
    reads.py, writes.py, direct.py, transaction.py, attempt.py, snapshot.py, unit.py, streams.py   what the calls do, and which unit a
                     call belongs to
    rows.py, into.py, values.py    what comes out, and what goes in
    loading.py, chunks.py, blob.py, changesets.py   in bulk, in pieces, and as changes
    engine.py        one open file in one process: shared, forked, replaced
    coherence/       policy: scopes, stamps, read sets, the decision of validity
    cached.py, call.py, plain.py, witnessing.py, passing.py   functions and plain values whose answers are kept, and what they read
    tracked_columns.py, lost_work.py, auditor.py   scopes finer than a table, what writes cost, and hits computed again
    cache/           keys, entries, and the paths of a read and of a call
    tiers/           places that keep entries
    sqlite/          the store: commit clock, triggers, connections, gate, guard
    upkeep.py        check, checkpoint, statistics, vacuum, restore
    aio/             the asyncio face; pace.py says what may run on the loop, workers.py has the threads
    dbapi/           PEP 249, shaped like the standard sqlite3 module
    blocking.py      runs the flows for blocking callers
    config.py, errors.py, events.py   settings, failures, what happened
    cli/, demo/      the command, and its demonstration on real data

ARCHITECTURE.md holds the laws and the words that the code cites.

Ring: shell.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .blob import Blob
from .database import Database, open
from .errors import Error
from .events import Statistics
from .rows import Result, Row
from .snapshot import Snapshot
from .streams import RowStream
from .transaction import Transaction
from .uninstalling import uninstall
from .upkeep import Check, Checkpoint

if TYPE_CHECKING:
    from .aio import AsyncDatabase, aopen
    from .cached import CachedFunction, CacheInfo
    from .explanation import Explanation
    from .loading import Loaded
    from .lost_work import Loss
    from .plain import PlainValues

__version__ = "0.1.0"

__all__ = [
    "AsyncDatabase",
    "Blob",
    "CacheInfo",
    "CachedFunction",
    "Check",
    "Checkpoint",
    "Database",
    "Error",
    "Explanation",
    "Loaded",
    "Loss",
    "PlainValues",
    "Result",
    "Row",
    "RowStream",
    "Snapshot",
    "Statistics",
    "Transaction",
    "aopen",
    "open",
    "uninstall",
]


#: The modules of what brings more along than a program may need: asyncio, for one.
_HOMES = {
    "AsyncDatabase": "aio",
    "CacheInfo": "cached",
    "CachedFunction": "cached",
    "Explanation": "explanation",
    "Loaded": "loading",
    "Loss": "lost_work",
    "PlainValues": "plain",
    "aopen": "aio",
}


def __getattr__(name: str) -> object:
    """One of `_HOMES`, when it is first asked for."""
    if name in _HOMES:
        return getattr(import_module(f".{_HOMES[name]}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
