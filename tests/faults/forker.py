"""A child whose threads write and read while it forks, again and again; its children write and read as well.

Arguments: ``path``, ``ledger``, ``how`` ("os" forks in the main thread, "thread" in another, "multiprocessing" by that module),
``forks``, ``threads``, ``held``: one thread keeps a transaction open meanwhile. Says how each child fared, and what failed.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import coeval
from coeval import errors
from faults.ledger import Ledger, write
from faults.programs import arguments, say

READ = "SELECT part, parts FROM rows WHERE who = ? AND n = ?"
AT_ONCE = 3


def read_back(db: coeval.Database, who: str, n: int) -> None:
    """All parts of what was acknowledged just now, and nothing older from a cache."""
    highest = db.scalar("SELECT max(n) FROM rows WHERE who = ?", who)
    assert highest == n, (who, highest, n)
    found = db.query(READ, who, n)
    assert found, (who, n)
    assert len(found) == found[0]["parts"], found


class Child:
    """One forked child: it writes and reads, and says "worked", "refused", or what it met."""

    def __init__(self, db: coeval.Database, noted: Ledger, number: int) -> None:
        self.db, self.noted, self.who = db, noted, f"child-{number}"
        self.answer, self.into = os.pipe()

    def run(self) -> None:
        """In the child; never returns."""
        said = b"worked"
        try:
            signal.alarm(60)
            for n in range(8):
                write(self.db, self.who, n)
                self.noted.acknowledge(self.who, n)
                read_back(self.db, self.who, n)
        except errors.SecondLibraryError as error:
            said = b"refused" if error.hint else b"refused without a cure"
        except BaseException:
            said = traceback.format_exc()[-3000:].encode()
        finally:
            os.write(self.into, said)
            os._exit(0)

    def fork(self) -> None:
        """Start it by `os.fork`."""
        self.pid = os.fork()
        if self.pid == 0:
            self.run()
        os.close(self.into)

    def start(self) -> None:
        """Start it by multiprocessing."""
        process = multiprocessing.get_context("fork").Process(target=self.run)
        process.start()
        self.pid = process.pid or 0
        os.close(self.into)

    def hear(self) -> str:
        """How it fared; waits for its end."""
        said = b""
        while part := os.read(self.answer, 4096):
            said += part
        os.close(self.answer)
        with suppress(ChildProcessError):  # multiprocessing may have waited
            os.waitpid(self.pid, 0)
        return said.decode() or "died"


def main(path: str, ledger: str, how: str, forks: int, threads: int = 4, held: bool = False) -> None:
    """Fork and fork."""
    warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is what this is about
    db = coeval.open(path, timeout=60.0)
    noted = Ledger(ledger)
    done = threading.Event()
    counts = [0] * threads
    failures: list[str] = []

    def work(number: int) -> None:
        who = f"thread-{number}"
        try:
            while not done.is_set():
                n = counts[number]
                write(db, who, n)
                noted.acknowledge(who, n)
                read_back(db, who, n)
                with db.snapshot() as snap:
                    read_back(snap, who, n)  # type: ignore[arg-type]
                assert list(db.iterate(READ, who, n)) == list(db.query(READ, who, n))
                counts[number] += 1
        except BaseException:
            failures.append(traceback.format_exc()[-3000:])

    entered = threading.Event()

    def hold() -> None:
        with db.transaction() as tx:
            tx.execute("INSERT INTO rows VALUES ('holder', 0, 0, 1, '')")
            entered.set()
            done.wait()
        noted.acknowledge("holder", 0)

    def all_children() -> list[str]:
        fared, children = [], []
        for number in range(forks):
            child = Child(db, noted, number)
            child.start() if how == "multiprocessing" else child.fork()
            children.append(child)
            fared += [children.pop(0).hear()] if len(children) == AT_ONCE else []
        return fared + [child.hear() for child in children]

    workers = [threading.Thread(target=work, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    if held:
        workers.append(threading.Thread(target=hold))
        workers[-1].start()
        entered.wait()
    if how == "thread":
        with ThreadPoolExecutor(1) as pool:
            fared = pool.submit(all_children).result()
    else:
        fared = all_children()
    if not held:  # nobody was left behind by a fork
        target = [count + 2 for count in counts]
        while not failures and any(count < wanted for count, wanted in zip(counts, target, strict=True)):
            time.sleep(0.001)
    done.set()
    for worker in workers:
        worker.join()
    db.close()
    answer: dict[str, Any] = {"fared": fared, "failures": failures, "counts": counts}
    say(answer)


if __name__ == "__main__":
    main(**arguments())
