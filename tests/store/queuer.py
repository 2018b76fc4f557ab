"""A process that queues for its turn to write, as it is told line by line; it says what comes of it, in JSON.

Arguments: the database, the time-out. `Queuer` is the test's side of it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

from processes import HERE, PATIENCE, Process


def _put(sql: str, pid: int, key: int, tx: Any) -> None:
    tx.execute(sql, pid, key)


class Queuer(Process):
    """A queuer that the test has started."""

    def __init__(self, path: str | os.PathLike[str], timeout: float = 30.0) -> None:
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)])}
        super().__init__([sys.executable, "-P", "-m", "store.queuer", os.fspath(path), str(timeout)], environ)
        assert "ready" == self.hear()

    def say(self, name: str, *arguments: Any) -> None:
        """Have it do ``name``; what comes of it is to be heard."""
        self.write(json.dumps([name, *arguments]) + "\n")

    def hear(self, timeout: float = PATIENCE) -> Any:
        """The next thing that it says."""
        return json.loads(self.read_until(b"\n", timeout))

    def do(self, name: str, *arguments: Any) -> Any:
        """`say` and `hear`."""
        self.say(name, *arguments)
        return self.hear()

    @property
    def waits(self) -> bool:
        """Whether it sleeps in the queue, as the system sees it."""
        return self.pid in sleepers()


def sleepers() -> list[int]:
    """The processes that sleep until a lock of the kind of the gate's is free, by the system's own list."""
    lines = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return [int(words[5]) for words in lines if words[1] == "->" and words[2] == "FLOCK"]


class _Child:
    def __init__(self, path: str, timeout: float) -> None:
        import coeval

        self.db = coeval.open(path, timeout=timeout, durability="normal")
        self.held: Any = None

    def hold(self) -> int:
        """Take the turn and keep it; when that was."""
        self.held = self.db.transaction()
        self.held.__enter__().execute("INSERT INTO t(who, n) VALUES (?, -1)", os.getpid())
        return time.monotonic_ns()

    def let_go(self) -> str:
        """Commit what `hold` began."""
        self.held.__exit__(None, None, None)
        return "let go"

    def through(self) -> int:
        """One turn, as short as can be; when it came."""
        with self.db.transaction():
            return time.monotonic_ns()

    def write(self, n: int) -> str:
        """One row."""
        try:
            self.db.execute("INSERT INTO t(who, n) VALUES (?, ?)", os.getpid(), n)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return "written"

    def turns(self, threads: int, seconds: float, hold: float) -> list[tuple[int, int]]:
        """Turns of so many threads, one after the other, for so long; when each was asked for and when it came."""
        found: list[tuple[int, int]] = []
        end = time.monotonic() + seconds

        def loop() -> None:
            while time.monotonic() < end:
                asked = time.monotonic_ns()
                with self.db.transaction():
                    found.append((asked, time.monotonic_ns()))
                    until = time.monotonic() + hold
                    while time.monotonic() < until:
                        pass

        workers = [threading.Thread(target=loop) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return found

    def mixed(self, threads: int, each: int) -> int:
        """Rows by single writes, many at once, transactions, scripts and functions, from threads; how many were acknowledged."""
        done = []
        sql, pid = "INSERT INTO t(who, n) VALUES (?, ?)", os.getpid()

        def work(thread: int) -> None:
            for n in range(each):
                key = (thread * each + n) * 10
                match n % 5:
                    case 0 | 1:
                        self.db.execute(sql, pid, key)
                        done.append(1)
                    case 2:
                        self.db.executemany(sql, [(pid, key), (pid, key + 1)])
                        done.append(2)
                    case 3:
                        with self.db.transaction() as tx:
                            tx.execute(sql, pid, key)
                            tx.execute(sql, pid, key + 1)
                        done.append(2)
                    case _:
                        self.db.write(partial(_put, sql, pid, key))
                        done.append(1)
                with self.db.transaction() as tx:
                    tx.execute("UPDATE counter SET n = ?", tx.scalar("SELECT n FROM counter") + 1)

        workers = [threading.Thread(target=work, args=(n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        return sum(done)

    def spawn(self) -> int:
        """Start a program that inherits every descriptor it can; its number."""
        popen = subprocess.Popen(["sleep", "100"], close_fds=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        return popen.pid


def _main(path: str, timeout: str) -> None:
    child = _Child(path, float(timeout))
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        print(json.dumps(getattr(child, name)(*arguments)), flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
