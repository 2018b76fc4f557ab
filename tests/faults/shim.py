"""SQLite's way to the files of this process, with somebody who looks on.

`watch` makes a VFS the default one of this process: it passes everything on to SQLite's own, and tells of each write, sync
and truncation before and after it is done. Made before the first `coeval.open`; the commit clock works through it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw

#: ``look(kind, what, path, content, offset)`` of a ``db``, ``wal`` or ``journal``. ``what`` is ``read``; ``write``, ``sync`` or
#: ``truncate`` before it is done, ``wrote``, ``synced`` or ``truncated`` after; or ``deleted``. What it raises is SQLite's answer.
Look = Callable[[str, str, str, bytes, int], object]


def kind_of(path: str) -> str:
    """Which of a database's files this is."""
    return "wal" if path.endswith("-wal") else "journal" if path.endswith("-journal") else "db"


class _File(apsw.VFSFile):
    def __init__(self, name: Any, flags: list[int], look: Look) -> None:
        super().__init__("unix", name, flags)
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self._kind = kind_of(self._path)
        self._look = look

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - SQLite's name
        self._look(self._kind, "read", self._path, b"", offset)
        return super().xRead(amount, offset)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        content = bytes(data)
        self._look(self._kind, "write", self._path, content, offset)
        super().xWrite(data, offset)
        self._look(self._kind, "wrote", self._path, content, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._look(self._kind, "sync", self._path, b"", 0)
        super().xSync(flags)
        self._look(self._kind, "synced", self._path, b"", 0)

    def xTruncate(self, size: int) -> None:  # noqa: N802
        self._look(self._kind, "truncate", self._path, b"", size)
        super().xTruncate(size)
        self._look(self._kind, "truncated", self._path, b"", size)


class _Files(apsw.VFS):
    def __init__(self, look: Look) -> None:
        super().__init__("watched", "unix", makedefault=True)
        self._look = look

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802
        return _File(name, flags, self._look)

    def xDelete(self, name: str, syncdir: bool) -> None:  # noqa: N802
        super().xDelete(name, syncdir)
        self._look(kind_of(name), "deleted", name, b"", 0)


def watch(look: Look) -> object:
    """Tell ``look`` of everything that SQLite does to files from now on, in this process; keep what this returns."""
    return _Files(look)


def watch_statements(look: Callable[[str, str, int], object]) -> None:
    """Call ``look("start" or "end", sql, connection)`` for every statement of every connection made from now on, Coeval's own too."""

    def hook(connection: apsw.Connection) -> None:
        number = id(connection)

        def heard(event: dict[str, Any]) -> None:
            look("start" if event["code"] == apsw.SQLITE_TRACE_STMT else "end", event["sql"], number)

        connection.trace_v2(apsw.SQLITE_TRACE_STMT | apsw.SQLITE_TRACE_PROFILE, heard)

    apsw.connection_hooks.append(hook)
