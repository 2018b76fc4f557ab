"""A child whose power goes, again and again, in its imagination: what the disk would hold then is laid aside.

Arguments: ``path``, ``aside`` (a folder), ``durability``, ``threads``, ``writes`` (of each), ``losses``, ``seed``, ``plain``: write with
APSW alone, with that ``synchronous``. Says how many losses it laid aside, each a folder with the files and what was acknowledged, and what
it counted: writes, commits, syncs.

The model of a disk: what was written before the last sync of its file is there; of what was written since, each run of 512 bytes may be
there or not, and sizes follow. Names survive, and what was deleted is gone at once.
"""

from __future__ import annotations

import json
import os
import random
import threading
from collections import Counter
from typing import Any

from faults import ledger, shim
from faults.programs import arguments, say

SECTOR = 512


class Disk:
    """What is surely on the disk, and what is on its way there, by file."""

    def __init__(self, seed: int) -> None:
        self.lock = threading.RLock()
        self.chance = random.Random(seed)
        self.synced: dict[str, bytearray] = {}
        self.coming: dict[str, list[tuple[int, bytes | None]]] = {}
        self.counts: Counter[tuple[str, str]] = Counter()

    def look(self, kind: str, what: str, path: str, content: bytes, offset: int) -> None:
        """Follow what SQLite does."""
        with self.lock:
            self.counts[kind, what] += 1
            # Each page in the log has a header of 24 bytes; in the last of a transaction, the 5th to 8th are not zero.
            self.counts["wal", "commit"] += (kind, what, len(content)) == ("wal", "wrote", 24) and any(content[4:8])
            if what == "deleted":
                self.synced.pop(path, None)
                self.coming.pop(path, None)
                return
            held, coming = self.synced.setdefault(path, bytearray()), self.coming.setdefault(path, [])
            if what == "write":  # from here on any part of it may be there
                coming.append((offset, content))
            elif what == "truncate":
                coming.append((offset, None))
            elif what == "synced":
                for place, part in coming:
                    lay(held, place, part)
                coming.clear()

    def after_a_loss(self) -> dict[str, bytes]:
        """What the files hold when the power comes back."""
        with self.lock:
            return {path: bytes(self._settled(path)) for path in self.synced}

    def _settled(self, path: str) -> bytearray:
        held, chance = bytearray(self.synced[path]), self.chance
        share = chance.choice((0.0, 0.5, 1.0))
        for place, part in self.coming[path]:
            if part is None:
                if chance.random() < share:
                    lay(held, place, None)
                continue
            at = 0
            while at < len(part):
                end = min(len(part), at + SECTOR - (place + at) % SECTOR)
                if chance.random() < share:
                    lay(held, place + at, part[at:end])
                at = end
        return held


def lay(held: bytearray, place: int, part: bytes | None) -> None:
    """Write ``part`` at ``place``, or cut there."""
    if part is None:
        del held[place:]
        return
    if len(held) < place:
        held.extend(bytes(place - len(held)))
    held[place : place + len(part)] = part


class Losses:
    """Losses of power at moments that only the number of the operation decides."""

    def __init__(self, disk: Disk, aside: str, wanted: int, every: int, seed: int) -> None:
        self._disk, self._aside, self._wanted, self._every = disk, aside, wanted, every
        self._chance = random.Random(seed)
        self._next = 0
        self.acknowledged: dict[str, list[int]] = {}  # appended to by the writers
        self.count = 0
        self.on = False

    def look(self, kind: str, what: str, path: str, content: bytes, offset: int) -> None:
        """One more operation; the power may go now."""
        with self._disk.lock:
            self._disk.look(kind, what, path, content, offset)
            self._next -= self.on
            if self._next < 0 and self.count < self._wanted:
                self._next = self._chance.randrange(2 * self._every)
                # First what was acknowledged: other threads go on meanwhile.
                acknowledged = {who: len(done) for who, done in self.acknowledged.items()}
                self._lay_aside(acknowledged, self._disk.after_a_loss())
                self.count += 1

    def _lay_aside(self, acknowledged: dict[str, int], files: dict[str, bytes]) -> None:
        folder = os.path.join(self._aside, str(self.count))
        os.mkdir(folder)
        for path, content in files.items():
            with open(os.path.join(folder, os.path.basename(path)), "wb") as file:
                file.write(content)
        with open(os.path.join(folder, "acknowledged"), "w", encoding="utf-8") as file:
            json.dump(acknowledged, file)


def opened(path: str, durability: Any, plain: str) -> Any:
    """A database, or a plain connection, with the table."""
    if plain:
        import apsw

        connection = apsw.Connection(path)
        connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL").fetchall()
        connection.execute(ledger.SCHEMA)
        connection.close()  # so that the table is in the file itself
        connection = apsw.Connection(path)
        connection.execute(f"PRAGMA synchronous = {plain}")
        return connection

    import coeval

    with coeval.open(path) as db:  # closed, so that the table is in the file itself
        db.script(ledger.SCHEMA)
    return coeval.open(path, durability=durability, timeout=60)


def main(
    path: str,
    aside: str,
    durability: Any = "full",
    threads: int = 4,
    writes: int = 100,
    losses: int = 0,
    every: int = 50,
    seed: int = 0,
    plain: str = "",
    filler: int = 1000,
) -> None:
    """Write it all, and say what came of it."""
    disk = Disk(seed)
    power = Losses(disk, aside, losses, every, seed)
    kept = shim.watch(power.look)
    db = opened(path, durability, plain)
    start = threading.Barrier(threads + 1)
    failures: list[str] = []

    def work(who: str) -> None:
        done = power.acknowledged[who] = []
        start.wait()
        try:
            for n in range(writes):
                if plain:
                    db.execute("INSERT INTO rows VALUES (?, ?, 0, 1, zeroblob(?))", (who, n, filler))
                else:
                    ledger.write(db, who, n * (4 if losses == 0 else 1), "x" * filler)
                done.append(n)
        except BaseException as error:
            failures.append(repr(error))

    workers = [threading.Thread(target=work, args=(str(number),)) for number in range(threads)]
    for worker in workers:
        worker.start()
    disk.counts.clear()
    power.on = True
    start.wait()
    for worker in workers:
        worker.join()
    counted = {" ".join(place): number for place, number in disk.counts.items()}
    db.close()
    say({"losses": power.count, "failures": failures, "counted": counted})
    del kept


if __name__ == "__main__":
    main(**arguments())
