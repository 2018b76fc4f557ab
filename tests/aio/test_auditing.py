"""The auditor beside event loops, and across forks: every kind of hit is taken, and nothing is held up or left behind."""

from __future__ import annotations

import asyncio
import os
import warnings

import pytest

import coeval
from coherence.auditing import Audits, auditor_of, audits, counts, entry_of, heard, hits, waiting
from loops import loop, until

ALL = "SELECT id, v FROM t"


@pytest.fixture
def db(path):
    with coeval.open(path, audit=1.0) as db:
        db.script(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1), (2, 2.5); CREATE TABLE u (x)"
        )
        yield db


async def rest(db):
    """What became of the hits, when the auditor has nothing more to do."""
    auditor = auditor_of(db)
    await until(lambda: not (auditor._working or auditor._backlog or auditor._lines))
    return counts(db)


def test_every_kind_of_hit(db):
    """Statements and coroutine functions, in and out of snapshots, by the clock and by stamps."""
    aio = db.aio

    @aio.cached
    async def kept(x):
        first = await aio.query(ALL)
        await asyncio.sleep(0)
        return [x, first, await asyncio.gather(aio.scalar("SELECT count(*) FROM t"), aio.query(ALL))]

    @aio.cached
    async def outer():
        return [await kept(1), db.query("SELECT x FROM u")]

    async def main():
        for turn in range(5):
            for _ in range(3):
                await aio.query(ALL)
                await aio.first(ALL)
                await aio.one("SELECT v FROM t WHERE id = ?", 1)
                await aio.scalar("SELECT v FROM t WHERE id = ?", 2)
                await kept(1)
                await outer()
                async with aio.snapshot() as snapshot:
                    await snapshot.query(ALL)
                    await kept(1)
                await rest(db)
            await aio.execute("INSERT INTO u VALUES (?)", turn)
            if turn % 2:
                await aio.execute("UPDATE t SET v = ? WHERE id = 1", turn)
        return await rest(db)

    found = loop(main)
    assert 0 == found.differences
    assert found.audited > 50
    assert hits(db) == found.audited + found.skipped + found.dropped


@pytest.mark.parametrize("call", ["query", "first", "one", "snapshot", "revalidated"])
def test_a_lie_is_found(db, call):
    """Whatever call it is made by."""
    aio, told, sql = db.aio, heard(db), "SELECT v FROM t WHERE id = 1"
    limit = {"first": 1, "one": 2}.get(call)

    async def main():
        method = getattr(aio, call if limit else "query")
        await method(sql)
        entry = entry_of(db, sql, limit=limit)
        entry.rows = (type(entry.rows[0])((9,)),)
        if call == "revalidated":
            await aio.execute("INSERT INTO u VALUES (1)")
        if call == "snapshot":
            async with aio.snapshot() as snapshot:
                await snapshot.query(sql)
        else:
            await method(sql)
        return await rest(db)

    assert Audits(1, 1, 0, 0) == loop(main)
    assert [((1,),)] == [facts["computed"] for facts in told]


def test_a_coroutine_is_called_again_on_its_loop(db):
    """In a snapshot, where nothing comes from the cache; what differs is told; what raises or ends itself is skipped."""
    aio, hidden, loops = db.aio, [1], []
    raised: list[BaseException | None] = [None]

    @aio.cached
    async def odd(x):
        loops.append(asyncio.get_running_loop())
        rows = await aio.query(ALL)
        if raised[0] is not None:
            raise raised[0]
        return [x, hidden[0], len(rows)]

    async def main():
        await odd(1), await odd(1)
        assert Audits(1, 0, 0, 0) == await rest(db)
        entry_of(db, ALL).rows = ()  # the audit computes it
        await odd(1)
        assert Audits(2, 0, 0, 0) == await rest(db)
        for skipped, error in enumerate((ZeroDivisionError(), SystemExit(), asyncio.CancelledError()), 1):
            raised[0] = error
            await odd(1)
            assert Audits(2, 0, skipped, 0) == await rest(db)
        raised[0], hidden[0] = None, 2
        await odd(1)
        assert Audits(3, 1, 3, 0) == await rest(db)
        assert {asyncio.get_running_loop()} == set(loops)

    loop(main)


@pytest.mark.parametrize("end", ["loop", "close"])
def test_the_end_while_audits_wait(path, end):
    """They are dropped with the loop, or with the database; nothing is left open."""

    async def main(db):
        begun = asyncio.Event()
        runs = []

        @db.cached
        async def slow():
            runs.append(1)
            rows = await db.query(ALL)
            if len(runs) > 1:
                begun.set()
                await asyncio.Event().wait()
            return rows

        for _ in range(5):
            await slow()
        auditor = db._engine.auditor
        await begun.wait()
        assert 1 == len(auditor._pins)
        if end == "close":
            await db.aclose()
            await until(lambda: not auditor._lines)
            assert 4 == auditor.dropped
        return auditor

    with coeval.open(path, audit=1.0) as db:
        db.script("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1)")
        auditor = loop(lambda: main(db.aio))
    assert 4 == auditor.dropped
    assert (0, 0) == (auditor.audited, auditor.differences)
    until_gone = loop(lambda: until(lambda: not (auditor._lines or auditor._pins)))
    assert until_gone is None


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_while_an_audit_runs(db):
    """Its snapshot is ended, so that the child can open the file; both audit their own hits, and find their own lies."""
    slow = "WITH RECURSIVE c(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM c WHERE x < ?) SELECT max(x) FROM c"
    db.query(slow, 10)
    db.query(ALL)
    entry_of(db, slow, 10).key = (slow, 10**12, int)  # the audit would run for hours
    db.query(slow, 10)
    auditor = auditor_of(db)
    loop(lambda: until(lambda: auditor._pins))
    out, into = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside threads is what this is about
        pid = os.fork()
    if pid == 0:
        said = b"no"
        try:
            before = counts(db)
            db.query(ALL)  # by its stamps
            entry_of(db, ALL).rows = ()
            db.query(ALL)
            after = audits(db)
            said = f"{after.audited - before.audited} {after.skipped - before.skipped} {after.differences}".encode()
        except BaseException as error:
            said = repr(error).encode()
        finally:
            os.write(into, said)
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(into)
    said = os.read(out, 1000)
    os.close(out)
    assert said in (b"2 0 1", b"2 0 2")  # the lie may be there before the first audit looks
    assert Audits(0, 0, 1, 0) == audits(db)
    with waiting(db):
        db.query(ALL)
    assert Audits(1, 0, 1, 0) == audits(db)
