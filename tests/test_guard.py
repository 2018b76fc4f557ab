"""The guard: other libraries and descriptors on a file of ours, and the file systems it may lie on (law 8)."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest

from coeval.errors import NetworkFileSystemError, SecondLibraryError
from coeval.sqlite import guard

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator
from typing import Any

LINUX = sys.platform == "linux"
LISTED = bool(guard._open_descriptors())


def database(path: pathlib.Path) -> pathlib.Path:
    """A small database, made and left again before anything watches it."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t(x)")
        connection.commit()
    return path


@pytest.fixture
def file(tmp_path: pathlib.Path) -> pathlib.Path:
    return database(tmp_path / "a b%.db")


@pytest.fixture
def watched(file: pathlib.Path) -> Iterator[pathlib.Path]:
    identity = guard.watch(str(file))
    yield file
    guard.unwatch(identity)


def connects(name: Any, uri: bool = False) -> bool:
    """Whether the standard library's connect opens this name and reads the database's table."""
    with contextlib.closing(sqlite3.connect(name, uri=uri)) as connection:
        return connection.execute("SELECT count(*) FROM t").fetchone() == (0,)


def run(program: str, *arguments: object) -> str:
    """What a fresh Python prints that runs this program with coeval's guard imported."""
    script = "import os, sqlite3, sys\nfrom coeval.sqlite import guard\n" + textwrap.dedent(program)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


# ── sqlite3.connect ──────────────────────────────────────────────────────────────────────────────────────────────────


def names(file: pathlib.Path) -> dict[str, object]:
    """Every way to name a file that is the same file; those that begin with "URI" are URIs."""
    (file.parent / "folder").mkdir()
    (file.parent / "symbolic").symlink_to(file)
    (file.parent / "twice").symlink_to("symbolic")
    (file.parent / "hard").hardlink_to(file)
    (file.parent / "linked").symlink_to("folder")
    return {
        "text": str(file),
        "bytes": os.fsencode(file),
        "path": file,
        "relative": os.path.relpath(file),
        "roundabout": f"{file.parent}/folder/../{file.name}",
        "symbolic link": str(file.parent / "symbolic"),
        "link to a link": file.parent / "twice",
        "hard link": file.parent / "hard",
        "URI": f"file:{file.parent}/a%20b%25.db",
        "URI, unescaped": f"file:{file.parent}/a b%.db",
        "URI, read only": f"file:{file.parent}/%61%20b%25.db?mode=ro&cache=private#end",
        "URI, host": f"file://localhost{file.parent}/a%20b%25.db",
        "URI, no host": f"file://{file.parent}/a%20b%25.db?immutable=1",
        "URI, relative": f"file:{os.path.relpath(file.parent)}/a%20b%25.db",
        "URI, cut by NUL": f"file:{file.parent}/a%20b%25.db%00rest",
        "URI, end before query": f"file:{file.parent}/a%20b%25.db#?mode=memory",
        "URI, bytes": os.fsencode(f"file:{file.parent}/a%20b%25.db?x=%00"),
    }


def test_a_watched_file_is_refused_by_every_name(file: pathlib.Path) -> None:
    """sqlite3.connect raises for each name of a watched file, and for none of them before and after."""
    ways = names(file)
    opened = dict.fromkeys(ways, True)
    assert opened == {way: connects(name, way.startswith("URI")) for way, name in ways.items()}
    identity = guard.watch(str(file))
    try:
        for way, name in ways.items():
            with pytest.raises(SecondLibraryError) as refused:
                connects(name, way.startswith("URI"))
            assert repr(name) in refused.value.message
            assert "db.query" in refused.value.hint
            assert "another process" in refused.value.hint
    finally:
        guard.unwatch(identity)
    assert opened == {way: connects(name, way.startswith("URI")) for way, name in ways.items()}


def test_a_watched_file_has_every_name_too(file: pathlib.Path) -> None:
    """A file watched by a link to it is refused by its own name."""
    link = file.parent / "link"
    link.symlink_to(file)
    identity = guard.watch(str(link))
    try:
        assert (file.stat().st_dev, file.stat().st_ino) == identity
        with pytest.raises(SecondLibraryError):
            connects(file)
    finally:
        guard.unwatch(identity)


def test_other_files_are_none_of_its_business(watched: pathlib.Path, tmp_path: pathlib.Path) -> None:
    """Files beside a watched one, new files, private databases and copies open as ever."""
    assert connects(database(tmp_path / "other.db"))
    assert connects(database(tmp_path / "new.db"))
    for private in (":memory:", "", b":memory:", "file::memory:?cache=shared", "file:?mode=memory"):
        sqlite3.connect(private, uri=True).close()
    sqlite3.connect(f"file:{tmp_path}/a%20b%25.db?mode=memory", uri=True).close()


def test_a_file_in_place_of_a_watched_one_is_another_file(watched: pathlib.Path) -> None:
    """What counts is the file and not its name: renamed away it stays refused, and its successor is free."""
    moved = watched.rename(watched.with_name("moved.db"))
    assert connects(database(watched))
    with pytest.raises(SecondLibraryError):
        connects(moved)


def test_a_file_is_watched_as_long_as_anyone_watches(file: pathlib.Path) -> None:
    """Watching twice takes unwatching twice, and once too often does nothing."""
    first, second = guard.watch(str(file)), guard.watch(str(file))
    assert first == second
    guard.unwatch(first)
    with pytest.raises(SecondLibraryError):
        connects(file)
    guard.unwatch(first)
    guard.unwatch(first)
    assert connects(file)


class Unreadable:
    def __fspath__(self) -> str:
        raise RuntimeError("no path today")


class Odd:
    def __init__(self, path: str) -> None:
        self.path = path

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        raise RuntimeError("no repr today")


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("/no/such/folder/a.db", sqlite3.OperationalError),
        ("a\0b", ValueError),
        ("x" * 5000, sqlite3.OperationalError),
        (3, TypeError),
        (None, TypeError),
        (Unreadable(), RuntimeError),
        ("file:%ZZ?mode=ro", sqlite3.OperationalError),
    ],
)
def test_what_cannot_be_looked_at_fails_by_itself(watched: pathlib.Path, name: object, error: type[Exception]) -> None:
    """A name that is no file gets sqlite3's own error, and none of ours."""
    with pytest.raises(error) as raised:
        connects(name, uri=True)
    assert not isinstance(raised.value, SecondLibraryError)


def test_a_path_without_a_repr_passes_rather_than_breaks(watched: pathlib.Path) -> None:
    """The hook raises its own error or nothing: here it cannot even be written, and sqlite3 goes on."""
    assert connects(Odd(str(watched)))


def test_other_events_pass(watched: pathlib.Path) -> None:
    """The hook answers no event but sqlite3.connect, whatever its arguments; and that one without arguments passes."""
    sys.audit("open", str(watched), "r", 0)
    sys.audit("sqlite3.connect/handle", str(watched))
    sys.audit("sqlite3.connect")
    with pytest.raises(SecondLibraryError):
        sys.audit("sqlite3.connect", str(watched))


def test_one_hook_however_often_files_are_watched(file: pathlib.Path) -> None:
    """The hook is added once: it can never be taken away."""
    program = """
        added = []
        sys.addaudithook(lambda event, arguments: added.append(event) if event == "sys.addaudithook" else None)
        for _ in range(5):
            guard.unwatch(guard.watch(sys.argv[1]))
        print(len(added))
    """
    assert run(program, file) == "1"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_starts_with_nothing_watched(file: pathlib.Path) -> None:
    """A child watches nothing: it may use sqlite3, and not Coeval where a descriptor of the parent's was left open at the fork."""
    program = """
        path = sys.argv[1]
        inherited = os.open(path, os.O_RDONLY)          # as Coeval's own descriptors are, where they are in use at a fork
        identity = guard.watch(path)

        def connect():
            try:
                sqlite3.connect(path).close()
                return "open"
            except guard.SecondLibraryError:
                return "refused"

        def refuse():
            try:
                guard.refuse_inherited(path)
                guard.refuse_descriptors(path)
                return "alone"
            except guard.SecondLibraryError as error:
                return "forked" if "was forked" in str(error) else "busy"

        child = os.fork()
        if child == 0:
            answers = [connect(), refuse()]
            os.close(inherited)
            answers.append(refuse())
            guard.unwatch(identity)
            guard.watch(path)
            answers.append(connect())
            print("child:", *answers, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
        print("parent:", connect(), refuse())
    """
    child, parent = run(program, file).splitlines()
    assert f"child: open {'forked' if LISTED else 'alone'} alone refused" == child
    assert f"parent: refused {'busy' if LISTED else 'alone'}" == parent


def test_the_interpreter_ends_in_peace(file: pathlib.Path) -> None:
    """A connect during shutdown, when modules are gone, ends in our error or in none."""
    program = """
        class Last:
            def __init__(self):
                self.connect, self.path, self.refused = sqlite3.connect, sys.argv[1], guard.SecondLibraryError
            def __del__(self):
                try:
                    self.connect(self.path).close()
                except self.refused:
                    pass
        guard.watch(sys.argv[1])
        sys.last = Last()
        guard.last = Last()
        print("ended")
    """
    assert run(program, file) == "ended"


# ── Descriptors ──────────────────────────────────────────────────────────────────────────────────────────────────────

listed = pytest.mark.skipif(not LISTED, reason="this system does not list descriptors")

HOLD = """
    path = sys.argv[1]
    held = {name: os.open(path + name, os.O_RDONLY) for name in sys.argv[2:]}
    stranger = os.open(path + ".other", os.O_RDONLY | os.O_CREAT)
    print(guard.descriptors(path) == sorted(held.values()))
    print(guard.descriptors(path + ".link") == sorted(held.values()))
    try:
        guard.refuse_descriptors(path, set(list(held.values())[1:]))
        print("alone")
    except guard.SecondLibraryError as refused:
        numbers = refused.message.partition("(file descriptor ")[2].partition(")")[0]
        print(numbers == str(held[""]), path in refused.message, "Close" in refused.hint)
    guard.refuse_descriptors(path, held.values())
    for descriptor in held.values():
        os.close(descriptor)
    print(guard.descriptors(path))
    guard.refuse_descriptors(path)
"""


@listed
def test_descriptors_on_the_file_and_beside_it(file: pathlib.Path) -> None:
    """Descriptors on the file, its -wal and its -shm are found, by any name, and named, or ignored on demand."""
    for name in ("-wal", "-shm"):
        file.with_name(file.name + name).touch()
    file.with_name(file.name + ".link").symlink_to(file)
    expected = ["True", "True", "True True True", "[]"]
    assert expected == run(HOLD, file, "", "-wal", "-shm").splitlines()


@listed
def test_a_connection_that_was_there_first(file: pathlib.Path) -> None:
    """A sqlite3 connection made before the file was watched is found by its descriptors, an attached one as well."""
    program = """
        def several():
            try:
                guard.refuse_descriptors(sys.argv[1])
                return "alone"
            except guard.SecondLibraryError as refused:
                return "descriptors" if "descriptors" in refused.message else "descriptor"
        connection = sqlite3.connect(sys.argv[1])
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("SELECT * FROM t").fetchall()
        print(several())
        connection.close()
        print(several())
        connection = sqlite3.connect(":memory:")
        connection.execute("ATTACH ? AS other", (sys.argv[1],))
        connection.execute("SELECT * FROM other.t").fetchall()
        print(several())
        connection.close()
    """
    assert run(program, file).splitlines() == ["descriptors", "alone", "descriptors"]


@listed
def test_looking_opens_nothing(file: pathlib.Path) -> None:
    """A lock that this process holds on the file is still held after everything in the guard has looked at it."""
    program = """
        import fcntl, subprocess
        path = sys.argv[1]
        descriptor = os.open(path, os.O_RDWR)
        fcntl.lockf(descriptor, fcntl.LOCK_EX)
        identity = guard.watch(path)
        try:
            sqlite3.connect(path)
        except guard.SecondLibraryError:
            pass
        guard.descriptors(path)
        guard.filesystem(path)
        guard.refuse_network(path, False) if len(sys.argv) == 2 else None
        guard.unwatch(identity)
        other = "import fcntl, sys; fcntl.lockf(open(sys.argv[1], 'r+'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        print(b"BlockingIOError" in subprocess.run([sys.executable, "-c", other, path], capture_output=True).stderr)
    """
    assert run(program, file) == "True"


def test_a_file_that_does_not_exist_has_no_descriptors(tmp_path: pathlib.Path) -> None:
    """Nothing is open on a file that is not there, nor on a name that cannot be one."""
    assert guard.descriptors(str(tmp_path / "absent.db")) == []
    guard.refuse_descriptors(str(tmp_path / "absent.db"))


def test_where_the_system_does_not_tell(file: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a list of descriptors nothing is found and nothing refused."""
    monkeypatch.setattr(guard, "_LISTS", ("/no/such/list",))
    with file.open():
        assert guard.descriptors(str(file)) == []
        guard.refuse_descriptors(str(file))


# ── File systems ─────────────────────────────────────────────────────────────────────────────────────────────────────

# Lines as a laptop, a container, Docker Desktop, WSL and a server with old mounts show them.
MOUNTS = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
24 27 0:6 / /dev rw,relatime - devtmpfs devtmpfs rw,size=12334460k,mode=755
26 24 0:24 / /dev/pts rw,relatime - devpts devpts rw,mode=600,ptmxmode=000
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
29 26 0:26 / /dev/pts rw,relatime - ramfs devpts rw,mode=600,ptmxmode=000
40 27 0:50 / /srv/nfs rw,relatime shared:21 master:4 - nfs4 10.0.0.1:/export rw,vers=4.2,addr=10.0.0.1
41 40 8:17 / /srv/nfs/local rw,relatime shared:22 - xfs /dev/sdb1 rw,attr2
42 27 0:51 / /mnt/my\040share\134x rw,nosuid - cifs //host/my\040share rw,vers=3.1.1
43 27 0:52 / /mnt/c rw,noatime - 9p drvfs rw,aname=drvfs;path=C:\134;uid=1000
44 27 0:53 / /home/u/remote rw,nosuid,nodev - fuse.sshfs u@host:/ rw,user_id=1000
45 27 8:33 / /media/usb rw,nosuid - fuseblk /dev/sdc1 rw,user_id=0,blksize=4096
46 27 0:54 / /app rw,relatime - fakeowner /run/host_mark/Users rw,fakeowner
47 27 0:55 / /hidden/below rw - virtiofs share rw
48 27 8:49 / /hidden rw - btrfs /dev/sdd1 rw,space_cache=v2
49 27 0:56 / /net rw,relatime - autofs systemd-1 rw,fd=52,pgrp=1
50 49 0:57 / /net rw,relatime - nfs old:/export rw,vers=3
51 27 0:58 / /data rw - tmpfs tmpfs rw
52 27 0:59 / /odd\012name rw - tmpfs tmpfs rw
53 27 0:60 / /café　x rw - zfs pool/cafe rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/app.db", "ext4"),
        ("/", "ext4"),
        ("/var/lib/app.db", "ext4"),
        ("/dev/x.db", "devtmpfs"),
        ("/dev/pts/x.db", "ramfs"),
        ("/srv/nfs/app.db", "nfs4"),
        ("/srv/nfs", "nfs4"),
        ("/srv/nfs-not/app.db", "ext4"),
        ("/srv/nfs/local/app.db", "xfs"),
        ("/mnt/my share\\x/app.db", "cifs"),
        ("/mnt/my", "ext4"),
        ("/mnt/c/Users/u/app.db", "9p"),
        ("/home/u/remote/a/b.db", "fuse.sshfs"),
        ("/media/usb/app.db", "fuseblk"),
        ("/app/app.db", "fakeowner"),
        ("/hidden/below/app.db", "btrfs"),
        ("/net/app.db", "nfs"),
        ("/data/app.db", "tmpfs"),
        ("/odd\nname/app.db", "tmpfs"),
        ("/café　x/app.db", "zfs"),
    ],
)
def test_the_mount_that_holds_a_path(path: str, kind: str) -> None:
    """The innermost visible mount is found, with escapes read, later mounts over earlier ones, whole names only."""
    assert kind == guard.mounted(path, MOUNTS)


@pytest.mark.parametrize(
    ("table", "kind"),
    [
        ("", None),
        ("rubbish\n\n1 2 3\n27 1 0:1 / /\n27 1 0:1 / - ext4 a rw\n", None),
        ("5 0 0:1 / / rw - ext4 a rw\n5 6 0:1 / /srv rw - xfs a rw\n6 5 0:1 / /srv rw - nfs a rw\n", "xfs"),
        ("27 1 8:1 / / rw - ext4 a rw\n30 27 0:9 / /srv rw - nfs a rw\n31 27 0:9 / /srv rw - xfs a rw\n", "xfs"),
        ("1 1 0:2 / / rw - rootfs rootfs rw\n27 1 8:1 / / rw - ext4 /dev/sda1 rw\n", "ext4"),
        ("27 1 8:1 / / rw - ext4 a rw\n30 27 0:9 / / rw - overlay overlay rw\n", "overlay"),
        ("5 900 0:9 / /srv rw - nfs a rw\n", "nfs"),
        ("5 6 0:9 / /srv rw - nfs a rw\n6 5 0:9 / /srv rw - ext4 a rw\n", None),
    ],
)
def test_unusual_tables_of_mounts(table: str, kind: str | None) -> None:
    """A root beneath the root, an overlay over it, a jail without a root, and rubbish: an answer, or none."""
    assert kind == guard.mounted("/srv/app.db", table)


@pytest.mark.parametrize(
    "kind",
    [
        *("nfs", "nfs4", "cifs", "smb", "smb2", "smb3", "smbfs", "9p", "virtiofs", "fuse", "fuse.sshfs"),
        *("fuse.glusterfs", "fuse.grpcfuse", "afs", "ceph", "lustre", "gpfs", "glusterfs", "vboxsf", "prl_fs"),
        *("ocfs2", "fakeowner"),
    ],
)
def test_a_network_file_system_is_refused(kind: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the type and the file, and the cure; the setting allows it."""
    table = tmp_path / "mountinfo"
    table.write_text(f"27 1 8:1 / / rw - ext4 /dev/sda1 rw\n28 27 0:9 / {tmp_path} rw - {kind} share rw\n")
    monkeypatch.setattr(guard, "MOUNTINFO", str(table))
    (tmp_path / "link").symlink_to(tmp_path / "deep")
    for path in (tmp_path / "app.db", tmp_path / "not" / "yet" / "app.db", tmp_path / "link" / "app.db"):
        assert kind == guard.filesystem(str(path))
        with pytest.raises(NetworkFileSystemError) as refused:
            guard.refuse_network(str(path), allowed=False)
        assert f"{path} lies on a file system of type {kind}," in refused.value.message
        assert "named volume" in refused.value.hint
        assert "allow_network_filesystem=True" in refused.value.hint
        guard.refuse_network(str(path), allowed=True)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "zfs", "overlay", "tmpfs", "fuseblk", "ecryptfs", "f2fs"])
def test_a_local_file_system_is_not(kind: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk of this machine is fine, whatever its file system, and a link is judged by where it leads."""
    outside = tmp_path / "outside"
    outside.symlink_to("/")
    table = tmp_path / "mountinfo"
    table.write_text(f"27 1 8:1 / / rw - {kind} /dev/sda1 rw\n28 27 0:9 / {tmp_path} rw - nfs share rw\n")
    monkeypatch.setattr(guard, "MOUNTINFO", str(table))
    guard.refuse_network("/app.db", allowed=False)
    guard.refuse_network(str(outside / "app.db"), allowed=False)


def test_where_no_mounts_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system without a list of mounts has no answer, and nothing is refused."""
    monkeypatch.setattr(guard, "MOUNTINFO", "/no/such/list")
    assert guard.filesystem("/app.db") is None
    guard.refuse_network("/app.db", allowed=False)


@pytest.mark.skipif(not LINUX or os.geteuid() != 0, reason="mounting takes root on Linux")
def test_a_real_mount(tmp_path: pathlib.Path) -> None:
    """In a private mount namespace: a FUSE file system is refused, and a tmpfs mounted over it is not."""
    program = """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)

        def mount(kind, folder, flags=0, options=None):
            if libc.mount(b"none", os.fsencode(folder), kind, flags, options):
                print("cannot", os.strerror(ctypes.get_errno()))
                sys.exit()

        folder = sys.argv[1]
        NEW_NAMESPACE, RECURSIVE, PRIVATE = 0x20000, 0x4000, 1 << 18
        if libc.unshare(NEW_NAMESPACE):
            print("cannot", os.strerror(ctypes.get_errno()))
            sys.exit()
        mount(None, "/", RECURSIVE | PRIVATE)
        device = os.open("/dev/fuse", os.O_RDWR) if os.path.exists("/dev/fuse") else None
        if device is None:
            print("cannot /dev/fuse")
            sys.exit()
        mount(b"fuse.example", folder, options=b"fd=%d,rootmode=40000,user_id=0,group_id=0" % device)
        os.close(device)                                # nobody serves it: every access fails at once
        print(guard.filesystem(folder + "/app.db"))
        try:
            guard.refuse_network(folder + "/app.db", False)
        except guard.NetworkFileSystemError:
            print("refused")
        mount(b"tmpfs", folder)
        print(guard.filesystem(folder + "/app.db"))
        guard.refuse_network(folder + "/app.db", False)
    """
    answer = run(program, tmp_path).splitlines()
    if answer[0].startswith("cannot"):
        pytest.skip(f"no private mounts here: {answer[0]}")
    assert answer == ["fuse.example", "refused", "tmpfs"]
