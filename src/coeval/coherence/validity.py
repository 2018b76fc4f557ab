"""The decision whether an entry may be returned to a reader (laws 1, 2 and 3).

An entry is valid for a snapshot when it was made from the same schema stamp and the same stamps of every scope
in its read set. Stamps are random and never repeat, so equal stamps mean that nothing was written in between, whoever
wrote. An absent stamp matches nothing, not even another absent one. An entry without a read set is valid by the clock alone.

Ring: policy.
"""

from __future__ import annotations

from ..cache.entry import Entry
from .stamps import Mark, Seen


def valid_by_clock(entry: Entry, now: Mark) -> bool:
    """True when ``entry`` was proved under the commit clock's present value: not one commit since."""
    return now is not None and entry.mark == now


def valid_by_stamps(entry: Entry, seen: Seen) -> bool:
    """True when ``entry`` equals what a read in the snapshot of ``seen`` would give, proved by its stamps."""
    return (
        entry.scopes is not None
        and seen.schema is not None
        and entry.schema == seen.schema
        and entry.stamps == seen.stamps
        and None not in seen.stamps
    )


def worth_keeping(seen: Seen, scopes: tuple[int, ...] | None) -> bool:
    """True when a result made in the snapshot of ``seen`` can ever be proved valid again."""
    if scopes is None:
        return seen.mark is not None
    return seen.schema is not None and None not in seen.stamps
