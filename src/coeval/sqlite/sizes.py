"""How large a store is, and how busy its writers are, at this moment; nothing is scanned and nobody waited for.

Ring: shell.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import apsw

from ..errors import Error
from .readers import Retired

if TYPE_CHECKING:
    from .store import Store


@dataclass(frozen=True)
class Sizes:
    """Of the file and its write-ahead log."""

    file_size: int = 0
    page_size: int | None = None
    pages: int | None = None
    free_pages: int | None = None
    wal_size: int = 0
    wal_pages: int = 0


def sizes(path: str, store: Store | None) -> Sizes:
    """Of the file at ``path``, which ``store`` has open. What only a connection tells is None where all are in use, or none is open."""
    file, wal_size = size_of(path), size_of(f"{path}-wal")
    if store is None:
        return Sizes(file, wal_size=wal_size)
    page_size = pages = free = None
    wal_pages = 0
    with suppress(Retired, ValueError, Error, apsw.Error):  # it is being closed, or the disk fails
        wal_pages = store.checkpoints.wal().pages
        connection = store.readers.try_take()
        if connection is not None:
            try:
                page_size, pages, free = (
                    connection.raw.execute(f"PRAGMA {name}").get
                    for name in ("page_size", "page_count", "freelist_count")
                )
            finally:
                store.readers.give_back_doubtful(connection)
    return Sizes(file, page_size, pages, free, wal_size, wal_pages)


@dataclass(frozen=True)
class Load:
    """Of its writers; counts and seconds since it was opened."""

    queue: int = 0
    turns: int = 0
    waited: float = 0.0
    held: float = 0.0
    longest_wait: float = 0.0
    longest_hold: float = 0.0
    batches: int = 0
    members: int = 0
    replays: int = 0


def load_of(store: Store | None) -> Load:
    """How busy ``store`` is; nothing where none is open."""
    if store is None:
        return Load()
    gate, batches = store.writer.gate, store.batches.counts
    turns = gate.counts
    return Load(
        gate.queue,
        *(turns.turns, turns.waited, turns.held, turns.longest_wait, turns.longest_hold),
        *(batches.batches, batches.members, batches.replays),
    )


def size_of(path: str) -> int:
    """Bytes of a file, which is not opened (law 8); 0 where there is none."""
    try:
        return os.stat(path).st_size
    except OSError:
        return 0
