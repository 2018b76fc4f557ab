"""`db.blob`: one value as a file, whose writes stamp (law 1; hole 10)."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import threading
import tracemalloc
from contextlib import suppress

import pytest

import coeval
from coeval.errors import ClosedError, LockTimeoutError, NoRowError, ParameterError, ReentryError, SQLError
from coherence.neighbour import Neighbour

HEX = "SELECT hex(b) FROM t WHERE id = 1"


class Mine(Exception):
    """What the caller's block raises."""


@pytest.fixture
def db(path):
    """Row 1 of t has a blob of ten zero bytes."""
    with coeval.open(path, durability="normal", timeout=2) as db:
        db.script("CREATE TABLE t(id INTEGER PRIMARY KEY, b, n); CREATE TABLE u(x); CREATE INDEX by_n ON t(n)")
        db.execute("INSERT INTO t VALUES (1, zeroblob(10), 1)")
        yield db


def write(db, data, offset=0):
    """Write ``data`` into row 1."""
    with db.blob("t", "b", 1, writable=True) as blob:
        blob.seek(offset)
        blob.write(data)


# -- as a file ------------------------------------------------------------------------------------------------------------


def test_it_is_a_raw_binary_file(db):
    """Reading, writing and moving, as io says."""
    with db.blob("t", "b", 1, writable=True) as blob:
        assert (10, 0, True, True, True, False) == (
            len(blob),
            blob.tell(),
            blob.readable(),
            blob.writable(),
            blob.seekable(),
            blob.closed,
        )
        assert 5 == blob.write(b"abcde")
        assert 2 == blob.write(memoryview(bytearray(b"fg")))
        assert 7 == blob.tell()
        assert 2 == blob.seek(2)
        assert b"cde" == blob.read(3)
        assert 6 == blob.seek(1, io.SEEK_CUR)
        assert b"g\0\0\0" == blob.read()
        assert (b"", b"", 0) == (blob.read(), blob.read(5), blob.readinto(bytearray(3)))
        assert 7 == blob.seek(-3, io.SEEK_END)
        buffer = bytearray(b"xxxxx")
        assert 3 == blob.readinto(buffer)
        assert b"\0\0\0xx" == buffer
        assert 0 == blob.write(b"")
        assert 10 == blob.seek(10)
        blob.seek(0)
        assert b"abcdefg\0\0\0" == blob.readall()
        blob.seek(0)
        assert b"" == blob.read(0)
        assert b"ab" == io.BufferedReader(blob).peek(2)[:2]
    assert blob.closed
    assert "61626364656667000000" == db.scalar(HEX)


def test_copies_by_shutil_and_buffers(db, tmp_path):
    """In and out, through files of Python."""
    source, target = tmp_path / "in", tmp_path / "out"
    source.write_bytes(os.urandom(300_000))
    db.execute("UPDATE t SET b = zeroblob(?)", 300_000)
    with source.open("rb") as file, db.blob("t", "b", 1, writable=True) as blob:
        shutil.copyfileobj(file, blob)
    with target.open("wb") as file, db.blob("t", "b", 1) as blob:
        shutil.copyfileobj(io.BufferedReader(blob), file)
    assert source.read_bytes() == target.read_bytes() == db.scalar("SELECT b FROM t")


def test_a_text_is_its_bytes(db):
    """In UTF-8; as a text it stays one."""
    db.execute("UPDATE t SET b = 'grün'")
    with db.blob("t", "b", 1, writable=True) as blob:
        assert "grün".encode() == blob.read()
        blob.seek(0)
        blob.write(b"G")
    assert "Grün" == db.scalar("SELECT b FROM t")


@pytest.mark.parametrize(("offset", "data"), [(0, b"12345678901"), (6, b"12345"), (10, b"1")])
def test_the_size_is_fixed(db, offset, data):
    """Nothing of a write that goes beyond the end is written."""
    with db.blob("t", "b", 1, writable=True) as blob:
        blob.seek(offset)
        with pytest.raises(ParameterError, match="beyond the end"):
            blob.write(data)
        with pytest.raises(io.UnsupportedOperation):
            blob.truncate(5)
    assert "00" * 10 == db.scalar(HEX)


@pytest.mark.parametrize(("offset", "whence"), [(-1, 0), (11, 0), (1, 2), (-11, 2), (-1, 1)])
def test_there_is_nothing_outside(db, offset, whence):
    """Seeking stays within, and the position where it was."""
    with db.blob("t", "b", 1) as blob:
        with pytest.raises(ParameterError, match="outside"):
            blob.seek(offset, whence)
        assert 0 == blob.tell()


def test_one_open_for_reading_is_not_written(db):
    """It says how to open it."""
    with db.blob("t", "b", 1) as blob:
        assert not blob.writable()
        with pytest.raises(io.UnsupportedOperation, match="writable=True"):
            blob.write(b"x")


@pytest.mark.parametrize(
    ("place", "writable", "kind", "words"),
    [
        (("t", "b", 2), False, NoRowError, "no row 2"),
        (("t", "b", 2), True, NoRowError, "no row 2"),
        (("t", "zz", 1), False, SQLError, "no such column"),
        (("zz", "b", 1), False, SQLError, "no such table"),
        (("zz", "b", 1), True, SQLError, "no such table"),
        (("w", "b", 1), False, SQLError, "without rowid"),
        (("w", "b", 1), True, SQLError, "without rowid"),
        (("v", "b", 1), True, SQLError, "view"),
        (("v", "b", 1), False, SQLError, "view"),
        (("f", "body", 1), True, SQLError, "virtual"),
        (("f_data", "block", 1), True, SQLError, "part of a virtual table"),
        (("_coeval_stamps", "stamp", 1), True, SQLError, "stamps"),
        (("t", "n", 1), True, SQLError, "indexed"),
        (("t", "n", 1), False, SQLError, "type integer"),
        (("t", "b", "1"), False, ParameterError, "rowid"),
        (("t", "b", 2**63), False, ParameterError, "rowid"),
        (("t", None, 1), False, ParameterError, "names"),
    ],
)
def test_what_cannot_be_opened_says_why(db, place, writable, kind, words):
    """With a hint, and the turn and the reader are free again."""
    db.script(
        "CREATE TABLE w(id TEXT PRIMARY KEY, b) WITHOUT ROWID; CREATE VIEW v AS SELECT * FROM t;"
        "CREATE VIRTUAL TABLE f USING fts5(body); INSERT INTO f VALUES ('x')"
    )
    for _ in range(40):
        with pytest.raises(kind, match=words) as caught, db.blob(*place, writable=writable):
            pass
        assert caught.value.hint
    db.execute("INSERT INTO u VALUES (1)")


def test_only_inside_its_block(db):
    """Before and after it says so; once is enough."""
    blob = db.blob("t", "b", 1)
    for call in (blob.read, blob.tell, lambda: blob.seek(0), lambda: len(blob)):
        with pytest.raises(ClosedError):
            call()
    with blob:
        kept = blob
    for call in (kept.read, kept.tell, lambda: len(kept)):
        with pytest.raises(ClosedError):
            call()
    with pytest.raises(ClosedError), blob:
        pass


def test_closed_early(db):
    """By whoever wraps it: what was written stays, and the block goes on."""
    with db.blob("t", "b", 1, writable=True) as blob:
        blob.write(b"abc")
        blob.close()
        assert blob.closed
        with pytest.raises(ClosedError):
            blob.read()
        db.execute("INSERT INTO u VALUES (1)")
    assert "616263" == db.scalar(HEX)[:6]


def test_a_row_that_changes_under_it(db):
    """While it is open for writing nobody else writes in its transaction; one that reads there says that its row was changed."""
    with db.blob("t", "b", 1, writable=True) as blob:
        blob.write(b"a")
        with pytest.raises(ReentryError, match="in progress"):
            db.execute("UPDATE t SET n = 2")
        blob.write(b"b")
    with db.transaction(), db.blob("t", "b", 1) as blob:
        assert b"a" == blob.read(1)
        db.execute("UPDATE t SET n = 2")
        with pytest.raises(ClosedError, match="changed or deleted"):
            blob.read(1)
    assert "6162" == db.scalar(HEX)[:4]


# -- moments, stamps and turns ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("within", [False, True], ids=["alone", "in a transaction"])
def test_cached_reads_see_a_write_at_once(db, path, within):
    """In this process and in another one."""
    other = Neighbour(path)
    try:
        for number in range(3):
            before = other.query(HEX)[0][0]
            assert before == other.query(HEX)[0][0] == db.scalar(HEX) == db.scalar(HEX)
            if within:
                with db.transaction():
                    write(db, bytes([number + 1]), number)
            else:
                write(db, bytes([number + 1]), number)
            after = "".join(f"{n:02X}" for n in range(1, number + 2)).ljust(20, "0")
            assert after == db.scalar(HEX)
            assert after == other.query(HEX)[0][0]
    finally:
        other.kill()


def test_by_the_clock_on_a_file_with_stamps(db, path):
    """A process that goes by the clock stamps for those who do not; here both are one process after the other."""
    other = Neighbour(path)
    try:
        assert [["00" * 10]] == other.query(HEX)
        db.close()
        with coeval.open(path, coherence="clock") as clocked:
            write(clocked, b"\x01")
        assert [["01" + "00" * 9]] == other.query(HEX)
    finally:
        other.kill()


def test_reading_is_of_one_moment(db):
    """Writes that come meanwhile are seen by others and not by it, and calls beside it see them."""
    write(db, b"a")
    with db.blob("t", "b", 1) as blob:
        write(db, b"b")
        assert b"a" == blob.read(1)
        assert "62" == db.scalar(HEX)[:2]
        db.execute("DELETE FROM t")
        assert bytes(9) == blob.read()


def test_inside_a_snapshot_it_is_of_that_moment(db):
    """And ends with it."""
    write(db, b"a")
    with db.snapshot() as snap:
        assert "61" == snap.scalar(HEX)[:2]
        write(db, b"b")
        with db.blob("t", "b", 1) as blob:
            assert b"a" == blob.read(1)
        kept = db.blob("t", "b", 1).__enter__()
    with pytest.raises(ClosedError):
        kept.read()
    kept.__exit__(None, None, None)
    with db.blob("t", "b", 1) as blob:
        assert b"b" == blob.read(1)


def test_a_block_that_raises_leaves_nothing(db):
    """The blob's own transaction is rolled back; in one around it, that part alone."""
    with suppress(Mine), db.blob("t", "b", 1, writable=True) as blob:
        blob.write(b"abc")
        blob.close()
        db.execute("INSERT INTO u VALUES (1)")
        raise Mine
    assert ("00" * 10, 0) == (db.scalar(HEX), db.scalar("SELECT count(*) FROM u"))
    with db.transaction():
        db.execute("INSERT INTO u VALUES (1)")
        with suppress(Mine), db.blob("t", "b", 1, writable=True) as blob:
            blob.write(b"abc")
            raise Mine
        with db.blob("t", "b", 1, writable=True) as blob:
            blob.write(b"de")
    assert ("6465" + "00" * 8, 1) == (db.scalar(HEX), db.scalar("SELECT count(*) FROM u"))


def test_a_transaction_ends_the_blobs_in_it(db):
    """One that is left open does not keep it from committing."""
    with db.transaction():
        blob = db.blob("t", "b", 1, writable=True)
        blob.__enter__()
        blob.write(b"a")
        reading = db.blob("t", "b", 1).__enter__()
        assert b"a" == reading.read(1)
    assert "61" == db.scalar(HEX)[:2]
    for one in (blob, reading):
        with pytest.raises(ClosedError):
            one.read()


def test_inside_write(db):
    """`db.write` takes its turn with the blob."""
    db.write(lambda tx: (tx.scalar(HEX), write(db, b"a")))
    assert "61" == db.scalar(HEX)[:2]


def test_writing_holds_the_turn(db):
    """Another thread waits for it, and an error names it; afterwards it is free."""
    failed = []

    def late():
        try:
            db.execute("INSERT INTO u VALUES (1)")
        except LockTimeoutError as error:
            failed.append(error)

    with db.blob("t", "b", 1, writable=True) as blob:
        blob.write(b"a")
        other = threading.Thread(target=late)
        other.start()
        other.join()
    assert 1 == len(failed)
    late()
    assert 1 == len(failed)


def test_readers_come_back(path):
    """However the block ends, and when nobody ever leaves it."""
    with coeval.open(path, readers=1, timeout=0.5) as db:
        db.script("CREATE TABLE t(b)")
        db.execute("INSERT INTO t VALUES (zeroblob(5))")
        for _ in range(3):
            with suppress(Mine), db.blob("t", "b", 1) as blob:
                blob.read(1)
                raise Mine
        with db.blob("t", "b", 1) as blob:
            assert 5 == len(blob)
        db.blob("t", "b", 1)
        assert 1 == db.scalar("SELECT count(*) FROM t")


def test_a_child_that_is_forked_inside(db):
    """It is the parent's, and goes on there."""
    with db.blob("t", "b", 1, writable=True) as blob:
        blob.write(b"a")
        child = os.fork()
        if child == 0:
            try:
                blob.__exit__(None, None, None)
            finally:
                os._exit(0)
        assert 0 == os.waitpid(child, 0)[1]
        blob.write(b"b")
    assert "6162" == db.scalar(HEX)[:4]


def test_memory_holds_one_piece(db, scaled):
    """A value of tens of megabytes, of hundreds in a soak, is written and read in pieces."""
    pieces, piece = scaled(200, 32), os.urandom(1 << 20)
    size = pieces * len(piece)
    wanted = hashlib.sha256()
    db.execute("UPDATE t SET b = zeroblob(?)", size)
    tracemalloc.start()
    try:
        with db.blob("t", "b", 1, writable=True) as blob:
            for number in range(pieces):
                piece = number.to_bytes(8, "big") + piece[8:]
                wanted.update(piece)
                blob.write(piece)
        found = hashlib.sha256()
        with db.blob("t", "b", 1) as blob:
            while piece := blob.read(1 << 20):
                found.update(piece)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert wanted.digest() == found.digest()
