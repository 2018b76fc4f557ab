"""Open databases whose hits are all audited, lies planted in their cache, and waiting for what the auditor says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import coeval
from coeval.cache.key import statement_key
from waiting import wait_until


class Audits(NamedTuple):
    """What became of the hits."""

    audited: int
    differences: int
    skipped: int
    dropped: int


def audits(db: coeval.Database) -> Audits:
    """What became of them, when the auditor has nothing more to do."""
    auditor = auditor_of(db)
    wait_until(lambda: not (auditor._working or auditor._backlog or auditor._lines), "the auditor is done")
    return counts(db)


def counts(db: coeval.Database) -> Audits:
    """What became of them so far."""
    stats = db.stats()
    return Audits(stats.audited, stats.differences, stats.audits_skipped, stats.audits_dropped)


def hits(db: coeval.Database) -> int:
    """Of both kinds, and calls."""
    stats = db.stats()
    return stats.hits + stats.revalidated


def auditor_of(db: coeval.Database) -> Any:
    """The auditor of an open database that has one."""
    auditor = db._engine.auditor
    assert auditor is not None
    return auditor


def entry_of(db: coeval.Database, sql: str, *params: Any, limit: int | None = None) -> Any:
    """The entry of a statement that is kept."""
    entry = db._engine.tier.find(statement_key(sql, params, limit))
    assert entry is not None
    return entry


@contextmanager
def waiting(db: coeval.Database) -> Iterator[None]:
    """The audits of hits that are made in the block wait for its end."""
    auditor = auditor_of(db)
    auditor.before_fork()
    try:
        yield
    finally:
        auditor.after_fork_in_parent()


def heard(db: coeval.Database) -> list[dict[str, Any]]:
    """The facts of every difference that is told from now on."""
    told: list[dict[str, Any]] = []
    db.listen(lambda name, facts: told.append(dict(facts)) if name == "audit_difference" else None)
    return told
