"""The settings of the sides that are not Coeval, so that every program compares with the same.

Two SQLite libraries must never have one file open in one process: closing a descriptor in one drops the locks of the
other. So each of these sides has a file of its own, and what is loaded heavily has a process of its own too.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import apsw

#: What guides to SQLite recommend.
GUIDES = {
    "busy_timeout": 5000,
    "journal_mode": "WAL",
    "synchronous": "NORMAL",
    "cache_size": -64000,
    "temp_store": "MEMORY",
    "mmap_size": 256 * 2**20,
    "foreign_keys": "ON",
}

#: What Coeval's own connections have, except that its checkpoints are made in the background.
OURS = {
    "busy_timeout": 5000,
    "journal_mode": "WAL",
    "synchronous": "NORMAL",
    "cache_size": -8192,
    "temp_store": "FILE",
    "mmap_size": 0,
    "foreign_keys": "ON",
}


def guides(durability: str = "normal") -> dict[str, Any]:
    """The guides' settings; their NORMAL is FULL where ``durability`` is."""
    return {**GUIDES, "synchronous": durability.upper()}


def standard(path: Path | str, durability: str = "normal") -> sqlite3.Connection:
    """A connection of the standard sqlite3 module with the guides' settings; every statement is a transaction of its own."""
    connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
    for name, value in guides(durability).items():
        connection.execute(f"PRAGMA {name} = {value}").fetchall()
    return connection


def raw(path: Path | str, durability: str = "normal") -> apsw.Connection:
    """A connection of APSW itself with the settings that Coeval's connections have."""
    connection = apsw.Connection(str(path))
    for name, value in {**OURS, "synchronous": durability.upper()}.items():
        connection.execute(f"PRAGMA {name} = {value}").fetchall()
    return connection


def queued(path: Path | str, durability: str = "normal") -> Any:
    """peewee's SqliteQueueDatabase, whose one thread writes for all, with the guides' settings; None where peewee is absent."""
    try:
        from playhouse.sqliteq import SqliteQueueDatabase  # type: ignore[import-untyped]
    except ImportError:
        return None
    return SqliteQueueDatabase(str(path), pragmas=guides(durability))
