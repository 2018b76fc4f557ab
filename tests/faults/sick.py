"""A child whose disk fails, now and then, while its threads write and read: a VFS answers with errors.

Arguments: ``path``, ``where``: pairs of a file and an operation that fail; ``rate``: one of how many; ``full``: fail for want of room;
``threads``, ``writes`` (of each, while the disk is sick). Some writes break a constraint besides. Says what was refused, and what is wrong
with the rows after each of: the last write, a close, and new writes on a disk that is well.
"""

from __future__ import annotations

import logging
import random
import threading
import traceback
from collections import Counter, defaultdict
from typing import Any

import apsw

from faults import ledger, shim
from faults.programs import arguments, say

CODES = {"read": apsw.SQLITE_IOERR_READ, "write": apsw.SQLITE_IOERR_WRITE, "sync": apsw.SQLITE_IOERR_FSYNC}


class Sickness:
    """Answers with errors while it lasts."""

    def __init__(self, where: list[list[str]], rate: int, full: bool) -> None:
        self._where = {tuple(place) for place in where}
        self._rate, self._full = rate, full
        self._chance = random.Random(rate)
        self.lasts = False
        self.count = 0

    def look(self, kind: str, what: str, *_: Any) -> None:
        if self.lasts and (kind, what) in self._where and self._chance.randrange(self._rate) == 0:
            self.count += 1
            error: apsw.Error = apsw.FullError("injected") if self._full else apsw.IOError("injected")
            error.extendedresult = apsw.SQLITE_FULL if self._full else CODES[what]  # type: ignore[attr-defined]
            raise error


def main(path: str, where: list[list[str]], rate: int, threads: int, writes: int, full: bool = False) -> None:
    """Write on a sick disk, then on a well one."""
    logging.disable()  # a checkpoint that fails is logged, on the stream of our answers
    sickness = Sickness(where, rate, full)
    kept = shim.watch(sickness.look)
    import coeval
    from coeval import errors

    db = coeval.open(path, timeout=60.0, cache_size=65536)
    db.script(f"{ledger.SCHEMA}; CREATE TABLE one (id INTEGER PRIMARY KEY); INSERT INTO one VALUES (1)")
    acknowledged: dict[str, set[int]] = defaultdict(set)
    refused: Counter[str] = Counter()
    failures: list[str] = []
    barrier = threading.Barrier(threads)

    def work(number: int, first: int) -> None:
        who = str(number)
        barrier.wait()
        for n in range(first, first + writes):
            try:
                if n % 7 == 6:
                    db.execute("INSERT INTO one SELECT 1")
                    failures.append("a constraint was broken")
                ledger.write(db, who, n, "x" * (100_000 if n % 5 == 0 else 100))
                acknowledged[who].add(n)
                if n % 3 == 0:
                    assert db.query("SELECT n FROM rows WHERE who = ? AND n = ?", who, n), "it was acknowledged"
            except errors.ConstraintError:
                pass
            except errors.StoreError as error:
                refused[type(error).__name__] += 1
            except BaseException as error:
                failures.append("".join(traceback.format_exception(error)))
                return

    def run(first: int) -> None:
        workers = [threading.Thread(target=work, args=(number, first), daemon=True) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    wrong: list[list[str]] = []
    sickness.lasts = True
    run(0)
    sickness.lasts = False
    wrong.append(ledger.problems(db.query(ledger.GROUPS), acknowledged, last_unsure=False))
    db.close()
    db = coeval.open(path, timeout=60.0)
    wrong.append(ledger.problems(db.query(ledger.GROUPS), acknowledged, last_unsure=False))
    sick, refused_then = sickness.count, dict(refused)
    run(writes)
    wrong.append(ledger.problems(db.query(ledger.GROUPS), acknowledged, last_unsure=False))
    integrity = db.scalar("PRAGMA integrity_check")
    db.close()
    say(
        {
            "wrong": wrong,
            "errors": sick,
            "refused": refused_then,
            "refused later": refused.total() - sum(refused_then.values()),
            "failures": failures[:3],
            "integrity": integrity,
        }
    )
    del kept


if __name__ == "__main__":
    main(**arguments())
