"""What a database's name means, and the handle that it leads to.

Ring: shell.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes

import apsw

from ..config import resolve
from ..engine import Engine, engine_for
from ..errors import Error, NotWritableError
from . import forking
from .errors import NotSupportedError, OperationalError, made, not_opened, translate
from .handle import FileHandle, Handle

#: SQLite's own limit is higher; each statement keeps memory.
MOST_CACHED = 16_384

_MODES = {
    "ro": apsw.SQLITE_OPEN_READONLY,
    "rw": apsw.SQLITE_OPEN_READWRITE,
    "rwc": apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE,
}


def open_handle(database: Any, *, uri: bool, timeout: float, cached: int) -> Handle:
    """The handle for what ``connect`` was given: a private one for memory, else one of the file's engine.

    Raises OperationalError and DatabaseError where Coeval or SQLite cannot open the file, NotSupportedError for URI options that would
    go past the engine.
    """
    name = os.fsencode(database)
    if b"\0" in name:
        raise ValueError("embedded null byte")
    cached = max(0, min(cached, MOST_CACHED))
    mode = "rwc"
    if uri and name.startswith(b"file:"):
        location, _, query = name[5:].partition(b"#")[0].partition(b"?")
        options = dict(parse_qsl(query.decode("utf-8", "surrogateescape"), keep_blank_values=True))
        mode = options.get("mode", mode)
        if location.startswith(b"//"):
            location = b"/" + location[2:].partition(b"/")[2]
        path = unquote_to_bytes(location)
        if mode == "memory" or path in {b"", b":memory:"}:
            return _private(os.fsdecode(name), apsw.SQLITE_OPEN_URI, timeout, cached)
        _refuse(options)
        name = path
    elif name in {b"", b":memory:"}:
        return _private(os.fsdecode(name), 0, timeout, cached)
    return _on_file(name, mode, timeout, cached)


def _private(name: str, flags: int, timeout: float, cached: int) -> Handle:
    flags |= apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE

    def open() -> apsw.Connection:
        try:
            raw = apsw.Connection(name, flags=flags, statementcachesize=cached)
        except apsw.Error as error:
            raise translate(error) from error
        raw.set_busy_timeout(int(timeout * 1000))
        return raw

    return Handle(open)


def _on_file(name: bytes, mode: str, timeout: float, cached: int) -> Handle:
    try:
        path = name.decode()
    except UnicodeDecodeError:
        raise NotSupportedError(f"unable to open database file: the name {name!r} is not UTF-8") from None
    if mode not in _MODES:
        raise OperationalError(f"no such access mode: {mode}")
    if mode != "rwc" and not os.path.exists(path):
        raise made(OperationalError, f"unable to open database file: {path} does not exist", apsw.SQLITE_CANTOPEN)
    try:
        handle = FileHandle(_engine(path), timeout, _MODES[mode] & ~apsw.SQLITE_OPEN_CREATE, cached)
    except apsw.Error as error:
        raise translate(error) from error
    forking.opened(handle)
    return handle


def _engine(path: str) -> Engine:
    """The file's engine, with the settings that it has, or those of the environment; of a file that can only be read, without stamps."""
    try:
        try:
            return engine_for(path, resolve(":memory:", {}, os.environ)[1])
        except NotWritableError:
            if not os.path.exists(path):
                raise
            return engine_for(path, resolve(":memory:", {"coherence": "clock"}, os.environ)[1])
    except Error as error:
        raise not_opened(error) from error


def _refuse(options: dict[str, str]) -> None:
    for name, value in options.items():
        switched_on = name in {"immutable", "nolock"} and value.lower() not in {"0", "no", "off", "false"}
        if switched_on or name == "vfs":
            raise NotSupportedError(f"The URI option {name}={value} would go past the locks that Coeval's engine keeps")
