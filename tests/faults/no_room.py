"""A child whose disk becomes full, or whose files may not grow, while its threads write and read; then there is room again.

Arguments: ``folder``, ``how`` ("disk": a tmpfs is mounted on it, in a name space of its own; "limit": RLIMIT_FSIZE), ``writers``.
Says what was refused, with which errors, and what is wrong with the rows in the end.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
import time
import traceback
from collections import Counter, defaultdict
from typing import Any

import coeval
from coeval import errors
from faults import ledger
from faults.programs import arguments, say

SIZE = 12 * 2**20
BALLAST = SIZE // 3


class Disk:
    """A file system that is soon full, and can be given room."""

    def __init__(self, folder: str) -> None:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder], check=True)
        self._ballast = os.path.join(folder, "ballast")
        with open(self._ballast, "wb") as file:
            file.write(bytes(BALLAST))

    def fill(self) -> None:
        """The writers do that."""

    def make_room(self) -> None:
        os.unlink(self._ballast)


class Limit:
    """A limit on the size of this process's files."""

    def __init__(self, folder: str) -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        self._log = os.path.join(folder, "app.db-wal")

    def fill(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max(os.stat(self._log).st_size // 2, 4096), resource.RLIM_INFINITY))

    def make_room(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def main(folder: str, how: str, writers: int) -> None:
    """Through all of it."""
    room = (Disk if how == "disk" else Limit)(folder)
    path = os.path.join(folder, "app.db")
    db = coeval.open(path, timeout=60.0)
    db.script(f"{ledger.SCHEMA}; CREATE INDEX i ON rows (who, n)")
    for n in range(100):
        ledger.write(db, "first", n, "x" * 500)
    acknowledged: dict[str, set[int]] = defaultdict(set, {"first": set(range(100))})
    refused: Counter[str] = Counter()
    failures: list[str] = []
    told, written, reads = [0] * writers, [0] * writers, [0]
    begun = threading.Barrier(writers)  # nobody fills the disk before everybody has written
    resumed, done = threading.Event(), threading.Event()

    def write_on(number: int) -> None:
        who = str(number)
        n = 0
        while True:
            last = resumed.is_set()  # nobody fills it again before everybody has
            try:
                ledger.write(db, who, n, "x" * 2000)
            except errors.StoreError as error:
                refused[type(error).__name__] += 1
                told[number] += 1
                if not error.hint:
                    failures.append(f"no cure: {error}")
                time.sleep(0.005)
            except BaseException as error:
                failures.append(f"write: {''.join(traceback.format_exception(error))}")
                return
            else:
                acknowledged[who].add(n)
                written[number] += 1
                if last:
                    return
                if n == 0:
                    begun.wait()
            n += 1

    def read_on() -> None:
        while not done.is_set():
            try:
                assert ((100,),) == db.query("SELECT count(DISTINCT n) FROM rows WHERE who = 'first'")
                with db.snapshot() as snap:
                    assert snap.scalar("SELECT count(*) FROM rows") == snap.scalar("SELECT sum(1) FROM rows")
                reads[0] += 1
            except BaseException as error:
                failures.append(f"read: {''.join(traceback.format_exception(error))}")
                return

    threads = [threading.Thread(target=write_on, args=(number,), daemon=True) for number in range(writers)]
    threads += [threading.Thread(target=read_on, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    each(written, [0] * writers, failures)
    room.fill()
    each(told, [0] * writers, failures)
    each(reads, [reads[0] + 20], failures)
    for who in ("first", *map(str, range(writers))):
        before = len(acknowledged[who])
        assert before <= db.scalar("SELECT count(DISTINCT n) FROM rows WHERE who = ?", who) <= before + 100
    room.make_room()
    before_that = written.copy()
    resumed.set()
    each(written, before_that, failures)
    done.set()
    for thread in threads:
        thread.join()
    answer: dict[str, Any] = {"refused": refused, "failures": failures}
    answer["problems"] = ledger.problems(db.query(ledger.GROUPS), acknowledged, last_unsure=False)
    db.close()
    with coeval.open(path) as again:
        answer["problems"] += ledger.problems(again.query(ledger.GROUPS), acknowledged, last_unsure=False)
        answer["integrity"] = again.scalar("PRAGMA integrity_check")
    say(answer)


def each(counts: list[int], above: list[int], failures: list[str]) -> None:
    """Wait until every count is above the other; the test's time-out ends this where that never comes."""
    while not all(one > other for one, other in zip(counts, above, strict=True)):
        if failures:
            say({"failures": failures[:5]})
            os._exit(1)
        time.sleep(0.01)


if __name__ == "__main__":
    main(**arguments())
