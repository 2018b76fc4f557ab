"""New stamps for a file that lives twice: where random numbers repeat, and what ends that (hole 20);
and names, tags and files that could be taken for others (holes 13, 26 and 28)."""

from __future__ import annotations

import subprocess
import sys

import pytest

import coeval
from coeval import errors
from coherence.asking import cached, keep, truth

READ = "SELECT v FROM t"
STAMPS = "SELECT id, stamp FROM _coeval_stamps ORDER BY id"
OLD, NEW = ((1,),), ((2,),)


@pytest.fixture
def db(db):
    db.script("CREATE TABLE t (v); INSERT INTO t VALUES (1); CREATE TABLE u (v)")
    return db


def stamps_of(foreign) -> list[tuple[object, ...]]:
    """All of them, and the schema's."""
    return [*foreign.execute(STAMPS), ("schema", foreign.execute("SELECT stamp FROM _coeval_schema")[0][0])]


def write_with_repeated_chance(foreign, repeated) -> None:
    """What a clone does: it writes, and the random numbers that its triggers draw are those of before."""
    foreign.execute("BEGIN IMMEDIATE")
    foreign.execute("UPDATE t SET v = 2")
    for scope, stamp in repeated:
        foreign.execute("UPDATE _coeval_stamps SET stamp = ? WHERE id = ?", stamp, scope)
    foreign.execute("COMMIT")


def test_a_number_that_repeats_is_believed_until_the_file_is_restamped(db, foreign):
    """Hole 20: equal stamps are all that a cache can go by; `restamp` makes every one of them another."""

    @db.cached
    def function():
        return tuple(map(tuple, db.query(READ)))

    assert OLD == keep(db, READ) == function()
    write_with_repeated_chance(foreign, foreign.execute(STAMPS))
    assert OLD == cached(db, READ) == function() != truth(db, READ)  # the hole
    before = stamps_of(foreign)
    db.restamp()
    assert NEW == cached(db, READ) == function() == truth(db, READ)
    after = stamps_of(foreign)
    assert [scope for scope, _ in before] == [scope for scope, _ in after]
    assert not {stamp for _, stamp in before} & {stamp for _, stamp in after}
    assert NEW == keep(db, READ)


def test_numbers_that_repeat_afterwards_are_no_harm(db, foreign, neighbour):
    """Hole 20: the schema's stamp is part of every entry, so that what was kept before never counts again, in any process."""
    repeated = foreign.execute(STAMPS)
    assert [[1]] == neighbour.query(READ) == neighbour.query(READ)
    db.restamp()
    write_with_repeated_chance(foreign, repeated)
    assert [[2]] == neighbour.query(READ)


def test_the_numbers_owe_nothing_to_the_process(tmp_path):
    """Hole 20: two copies of one process draw the same numbers of SQLite's, until one of them restamps, and goes on with others."""
    program = """
import os, sys, apsw
from coeval.sqlite import triggers

def life(restamps, name):
    connection = apsw.Connection(":memory:")
    connection.execute("CREATE TABLE t (v)")
    connection.execute("BEGIN")
    triggers.verify(connection)
    if restamps:
        triggers.restamp(connection)
    rows = connection.execute("SELECT stamp FROM _coeval_stamps UNION SELECT stamp FROM _coeval_schema").fetchall()
    rows += connection.execute("SELECT random()").fetchall()
    with open(name, "w") as file:
        print(sorted(rows), file=file)

apsw.Connection(":memory:").execute("SELECT random()").fetchall()  # the image that is restored has drawn some already
for copy in (1, 2):
    if os.fork() == 0:
        life(sys.argv[1] == "restamps", f"{sys.argv[2]}/{sys.argv[1]}-{copy}")
        os._exit(0)
    os.wait()
"""
    for way, same in (("goes on", True), ("restamps", False)):
        subprocess.run([sys.executable, "-c", program, way, tmp_path], check=True)
        one, other = ((tmp_path / f"{way}-{copy}").read_text() for copy in (1, 2))
        assert same == (one == other)
        if not same:
            assert not set(one.strip("[](,) \n").split("), (")) & set(other.strip("[](,) \n").split("), ("))


def test_what_restamp_refuses(db, open_db, tmp_path):
    """Inside a transaction or snapshot it would wait for it; without stamps there is nothing to renew."""
    with db.transaction(), pytest.raises(errors.ReentryError, match="restamp"):
        db.restamp()
    with db.snapshot(), pytest.raises(errors.ReentryError, match="restamp"):
        db.restamp()
    with (
        coeval.open(tmp_path / "clock.db", coherence="clock") as plain,
        pytest.raises(errors.ConfigError, match="without stamps"),
    ):
        plain.restamp()


def test_restamp_mends_what_it_finds_broken(db, foreign):
    """Where another program has taken a table of ours away it is made again, and what is kept from then on is guarded."""
    foreign.execute("DROP TABLE _coeval_stamps")
    foreign.disconnect()  # it would go on with the schema that it remembers
    db.restamp()
    for value in (5, 6):
        assert keep(db, READ)
        foreign.execute("UPDATE t SET v = ?", value)
        assert ((value,),) == cached(db, READ)


async def _restamp(db: coeval.Database) -> None:
    await db.aio.restamp()


def test_the_asyncio_face(db, foreign):
    """It does the same."""
    import asyncio

    keep(db, READ)
    before = stamps_of(foreign)
    write_with_repeated_chance(foreign, foreign.execute(STAMPS))
    asyncio.run(_restamp(db))
    assert not {stamp for _, stamp in before} & {stamp for _, stamp in stamps_of(foreign)}
    assert NEW == cached(db, READ)


def test_a_tag_whose_stamp_is_gone_vouches_for_nothing(db, foreign):
    """Hole 13: absent matches nothing, not even absent; made again, it is another."""
    runs = []

    @db.cached(tags=["a"])
    def tagged():
        runs.append(1)
        return len(runs)

    assert [1, 1] == [tagged(), tagged()]
    foreign.execute("DELETE FROM _coeval_stamps WHERE id <= 4096")
    assert [2, 2] == [tagged(), tagged()]
    db.invalidate("a")
    assert [3, 3] == [tagged(), tagged()]


def test_a_table_that_is_called_almost_as_ours(db, foreign):
    """Hole 28: it has stamps as any other, its results are cached as any other's, and neither restamp nor uninstall touches it."""
    db.script(
        "CREATE TABLE _coeval_notes (v); CREATE TABLE xcoevalxstamps (id, stamp); INSERT INTO xcoevalxstamps VALUES (1, 5)"
    )
    for table in ("_coeval_notes", "xcoevalxstamps"):
        sql = f"SELECT count(*) FROM {table}"
        assert ("stamps", (table,)) == (db.explain(sql).validity, db.explain(sql).reads)
        before = keep(db, sql)
        db.restamp()
        assert before == keep(db, sql)
        foreign.execute(f"INSERT INTO {table} DEFAULT VALUES")
        assert ((before[0][0] + 1,),) == cached(db, sql)
    assert ((1, 5), (None, None)) == truth(db, "SELECT * FROM xcoevalxstamps")
    foreign.disconnect()
    db.close()
    assert {"_coeval_notes", "xcoevalxstamps"}.isdisjoint(coeval.uninstall(db.path))


def test_a_program_that_only_reads_functions_gets_hits_by_the_clock(path, open_db, foreign):
    """Hole 26: after a clean close the WAL-index begins with zeros; a function that searches is kept by the clock all the same."""
    with coeval.open(path) as first:
        first.script("CREATE VIRTUAL TABLE f USING fts5(body); INSERT INTO f VALUES ('word')")
    db = open_db()

    @db.cached
    def search():
        return db.scalar("SELECT count(*) FROM f('word')")

    assert [1, 1, 1] == [search(), search(), search()]
    assert (2, 1) == search.cache_info()[:2]
    foreign.execute("INSERT INTO f VALUES ('another word')")
    assert [2, 2] == [search(), search()]


def test_no_tag_is_a_mistake(db):
    """It would end nothing, and nobody would notice."""
    with pytest.raises(errors.ParameterError, match="without a tag"):
        db.invalidate()
