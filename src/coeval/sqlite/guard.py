"""One SQLite in the process: who else has, or asks for, a file that Coeval holds open; and where that file lies.

Upholds law 8. POSIX locks belong to the process and not to the descriptor: when a second SQLite library (or a plain
``open``) closes *any* descriptor on the database, every lock that Coeval's SQLite holds on it is gone, and two writers
can meet. So `watch` refuses ``sqlite3.connect`` to a watched file by an audit hook, before it opens anything; and
`refuse_descriptors` looks, when Coeval opens a file, for descriptors that were there first. Connections that raise no
audit event (``ATTACH`` by the standard library, other builds of SQLite) are found only by the second.

`refuse_network` keeps files off the file systems where locks or shared memory do not reach.

What always holds: nothing here opens, reads or maps a database file, its -wal or its -shm. Files are compared by
device and inode through ``os.stat`` and ``os.fstat`` alone.

Ring: shell.
"""

from __future__ import annotations

import os
import re
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from coeval.errors import NetworkFileSystemError, SecondLibraryError

if TYPE_CHECKING:
    from collections.abc import Container

__all__ = [
    "Identity",
    "descriptors",
    "filesystem",
    "identity_of",
    "mounted",
    "refuse_descriptors",
    "refuse_inherited",
    "refuse_network",
    "remove_orphans",
    "unwatch",
    "watch",
    "watchers",
]


class Identity(NamedTuple):
    """What a file is, whatever its name: symbolic and hard links to it have the same."""

    device: int
    inode: int


# ── Connections that others ask for ──────────────────────────────────────────────────────────────────────────────────


@dataclass(slots=True)
class _Watched:
    path: str
    times: int


class _State:
    """The watched files; and the descriptors that a forked child has from its parent, which are nobody's mistake."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.watched: dict[Identity, _Watched] = {}
        self.inherited: dict[str, set[int]] = {}


_state = _State()


def watch(path: str) -> Identity:
    """From now on refuse ``sqlite3.connect`` to this file in this process, by any name. The file must exist.

    Call it before `refuse_descriptors`, so that nobody slips in between. Calls are counted: the file is watched until
    `unwatch` was called as often.
    """
    status = os.stat(path)
    identity = Identity(status.st_dev, status.st_ino)
    with _state.lock:
        _install()
        if identity in _state.watched:
            known = _state.watched[identity].path
            if known != os.path.realpath(path) and os.path.exists(known) and os.path.samefile(known, path):
                raise SecondLibraryError(
                    f"{path} and {known} are two names of one file, which is open in this process by the other; SQLite "
                    "would keep two write-ahead logs for it",
                    hint="Open it by one name everywhere.",
                )
            _state.watched[identity].times += 1
        else:
            _state.watched[identity] = _Watched(os.path.realpath(path), 1)
    return identity


def identity_of(path: str) -> Identity | None:
    """What the file is; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return Identity(status.st_dev, status.st_ino)


def remove_orphans(path: str, log: Identity | None) -> bool:
    """After another file came to ``path``: remove the WAL and its index that the old file left beside it.

    SQLite finds them by name and would apply the old file's log to the new one. ``log`` is what the old file's -wal was. A lock on
    the log itself makes sure that of several processes that notice at once only one removes it, and none a newer one. Reading a
    -wal open and closing it again is harmless: SQLite keeps no locks on it.
    """
    name = f"{path}-wal"
    if log is None or identity_of(name) != log:
        return False
    import fcntl

    try:
        descriptor = os.open(name, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if identity_of(name) != log:
            return False
        for orphan in (f"{path}-shm", name):
            with suppress(FileNotFoundError):
                os.unlink(orphan)
        return True
    finally:
        os.close(descriptor)


def watchers(identity: Identity) -> int:
    """How many `watch` calls are in force for a file."""
    entry = _state.watched.get(identity)
    return 0 if entry is None else entry.times


def unwatch(identity: Identity) -> None:
    """Take one `watch` back. Does nothing for a file that is not watched, as in a forked child."""
    with _state.lock:
        entry = _state.watched.get(identity)
        if entry is not None:
            entry.times -= 1
            if entry.times == 0:
                del _state.watched[identity]


@cache
def _install() -> None:
    """Add the hook, once. Nothing can remove it, so it holds what it needs while modules are torn down."""
    watched, identify, refusal, ignoring = _state.watched, _identify, _refusal, suppress

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event != "sqlite3.connect" or not watched:
            return
        error = None
        with ignoring(Exception):  # what cannot be looked at is not a file of ours, and connect() says what it is
            if any(identity in watched for identity in identify(arguments[0])):
                error = refusal(arguments[0])
        if error is not None:
            raise error

    sys.addaudithook(hook)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forked)


def _forked() -> None:
    """In a forked child Coeval holds nothing open: watch nothing, and remember what of the parent's could not be closed before."""
    _state.lock = threading.RLock()
    for entry in _state.watched.values():
        _state.inherited.setdefault(entry.path, set()).update(descriptors(entry.path))
    _state.watched.clear()


def _refusal(database: object) -> SecondLibraryError:
    return SecondLibraryError(
        f"sqlite3.connect({database!r}) was refused: Coeval has this file open in the same process, and a second "
        "SQLite library would drop its locks",
        hint="Use db.query and db.execute, or connect from another process, or close the Coeval database first.",
    )


def _identify(database: object) -> list[Identity]:
    """The files that the argument of ``sqlite3.connect`` may mean: the name as it stands, and as a file: URI."""
    if not isinstance(database, str | bytes | os.PathLike):
        return []
    name = os.fsencode(database)
    found = []
    for candidate in (name, _uri_path(name)):
        if candidate and candidate != b":memory:":
            try:
                status = os.stat(candidate)
            except (OSError, ValueError):
                continue
            found.append(Identity(status.st_dev, status.st_ino))
    return found


def _uri_path(name: bytes) -> bytes | None:
    """The path in a file: URI as SQLite reads it; None where there is no URI, or one for a database in memory.

    The hook does not learn whether the URI will be used as one, and some builds always do: it is taken for one.
    """
    from urllib.parse import unquote_to_bytes  # only a few programs write URIs, and every one waits for imports

    if not name.startswith(b"file:"):
        return None
    location, _, query = name[5:].partition(b"#")[0].partition(b"?")
    if any(unquote_to_bytes(part) == b"mode=memory" for part in query.split(b"&")):
        return None
    if location.startswith(b"//"):
        location = b"/" + location[2:].partition(b"/")[2]
    return unquote_to_bytes(location).partition(b"\0")[0]


# ── Descriptors that were there first ────────────────────────────────────────────────────────────────────────────────

_LISTS = ("/proc/self/fd", "/dev/fd")
"""Where Linux and macOS list a process's own descriptors."""


def descriptors(path: str) -> list[int]:
    """This process's descriptors on the file, or on the -wal or -shm beside it; [] where the OS does not tell."""
    files = set()
    real = os.path.realpath(path)
    for name in (real, real + "-wal", real + "-shm"):
        try:
            status = os.stat(name)
        except (OSError, ValueError):
            continue
        files.add((status.st_dev, status.st_ino))
    if not files:
        return []
    found = []
    for number in _open_descriptors():
        try:
            status = os.fstat(number)
        except OSError:  # closed meanwhile, or the one that listed the folder
            continue
        if (status.st_dev, status.st_ino) in files:
            found.append(number)
    return sorted(found)


def _open_descriptors() -> list[int]:
    for folder in _LISTS:
        try:
            return [int(name) for name in os.listdir(folder) if name.isdigit()]
        except OSError:
            continue
    return []


def refuse_inherited(path: str) -> None:
    """Raise in a forked child, where connections of the parent could not be closed before the fork.

    SQLite keeps the counts of their locks in memory that the child inherits, so it would take no real locks of its own, and
    lose commits.
    """
    inherited = _state.inherited.get(os.path.realpath(path))
    if not inherited:
        return
    inherited.intersection_update(descriptors(path))  # numbers of those that were closed since may come again
    if inherited:
        raise SecondLibraryError(
            f"this process was forked while {path} was in use, and its locks would not be real here",
            hint="End transactions, snapshots and iterators before the fork, or open the file after it, in a process that "
            "was not forked from one that has it open.",
        )


def refuse_descriptors(path: str, ignore: Container[int] = ()) -> None:
    """Raise when this process already has the file open, other than by `ignore`."""
    foreign = [number for number in descriptors(path) if number not in ignore]
    if foreign:
        numbers = ", ".join(map(str, foreign))
        several = len(foreign) > 1
        raise SecondLibraryError(
            f"this process already has {path} open (file descriptor{'s' if several else ''} {numbers}), and closing "
            f"{'one of them' if several else 'it'} would drop Coeval's locks",
            hint="Close that connection or file before coeval.open, or use it in another process. It is a sqlite3 "
            "connection, another build of SQLite, or a plain open() of the file, its -wal or its -shm.",
        )


# ── Where the file lies ──────────────────────────────────────────────────────────────────────────────────────────────

MOUNTINFO = "/proc/self/mountinfo"

_BETWEEN_MACHINES = {
    *("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "ncpfs", "afs", "coda", "ceph", "lustre", "gpfs"),
    *("glusterfs", "beegfs", "pvfs2", "orangefs", "panfs", "acfs", "gfs", "gfs2", "ocfs2"),
}
_WITH_THE_HOST = {"9p", "virtiofs", "vboxsf", "vmhgfs", "prl_fs", "drvfs", "fakeowner", "grpcfuse", "osxfs"}
"""Folders that a virtual machine or a container shares with the machine it runs on; fakeowner is Docker Desktop's."""

NETWORK = frozenset(_BETWEEN_MACHINES | _WITH_THE_HOST | {"fuse"})
"""Types of file system where locks or shared memory may not work; with every ``fuse.*``. (``fuseblk`` is a disk.)"""


def refuse_network(path: str, allowed: bool) -> None:
    """Raise when the file lies, or would lie, on a network file system, unless the user has allowed it."""
    if allowed:
        return
    kind = filesystem(path)
    if kind is not None and (kind in NETWORK or kind.startswith("fuse.")):
        raise NetworkFileSystemError(
            f"{path} lies on a file system of type {kind}, where file locks and shared memory cannot be relied on: "
            "two writers could damage it",
            hint="Put the file on a local disk (with Docker: a named volume, not a bind mount), or, if you know that "
            "locks work there, open it with allow_network_filesystem=True.",
        )


def filesystem(path: str) -> str | None:
    """The type of the file system that holds the file, or will; None where no mounts are listed (not Linux)."""
    try:
        with open(MOUNTINFO, encoding="utf-8", errors="surrogateescape") as file:
            table = file.read()
    except OSError:
        return None
    return mounted(os.path.realpath(path), table)


class _Mount(NamedTuple):
    number: str
    parent: str
    point: str
    kind: str


def mounted(path: str, mountinfo: str) -> str | None:
    """The type of the file system that holds an absolute path, by the text of a mountinfo file.

    Walks as the kernel does, from a mount to those made on it: so a mount hides what was mounted beneath it before.
    """
    mounts = [mount for line in mountinfo.split("\n") if (mount := _parsed(line)) and _within(path, mount.point)]
    numbers = {mount.number for mount in mounts}
    children: dict[str, list[_Mount]] = {}
    for mount in mounts:
        top = mount.parent not in numbers or mount.parent == mount.number
        children.setdefault("" if top else mount.parent, []).append(mount)
    kind, here = None, ""
    while below := children.pop(here, None):
        first = min(len(mount.point) for mount in below)
        reached = [mount for mount in below if len(mount.point) == first][-1]
        kind, here = reached.kind, reached.number
    return kind


def _parsed(line: str) -> _Mount | None:
    """One line: number, parent, device, root, mount point, options, any more of them, a dash, type, source, options."""
    before, dash, after = line.partition(" - ")
    words = before.split(" ")
    if not dash or len(words) < 6:
        return None
    point = re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal[1], 8)), words[4])
    return _Mount(words[0], words[1], point, after.partition(" ")[0])


def _within(path: str, folder: str) -> bool:
    return folder in ("/", path) or path.startswith(folder + "/")
