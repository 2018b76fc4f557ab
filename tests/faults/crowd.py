"""A child with many writing threads and a few reading ones, on a clock that all children share.

Arguments: ``path``, ``ledger``, ``name``, ``writers``, ``readers``. Says "ready"; hears the moment of `time.monotonic` at which to end;
says how many writes returned before it, how many reads, and what failed.
"""

from __future__ import annotations

import random
import threading
import time

import coeval
from faults.ledger import Ledger, write
from faults.programs import arguments, hear, say


def main(path: str, ledger: str, name: str, writers: int, readers: int) -> None:
    """Write and read until told."""
    threading.stack_size(256 * 1024)
    db = coeval.open(path, timeout=60.0)
    noted = Ledger(ledger)
    begin = threading.Event()
    end = 0.0
    counts, in_time, reads = [0] * writers, [0] * writers, [0] * readers
    failures: list[str] = []

    def write_on(number: int) -> None:
        who = f"{name}.{number}"
        begin.wait()
        try:
            while time.monotonic() < end:
                write(db, who, counts[number])
                noted.acknowledge(who, counts[number])
                counts[number] += 1
                in_time[number] += time.monotonic() < end
        except BaseException as error:
            failures.append(repr(error))

    def read_on(number: int) -> None:
        chance = random.Random(number)
        begin.wait()
        try:
            while time.monotonic() < end:
                writer = chance.randrange(writers)
                if counts[writer]:
                    last = counts[writer] - 1  # acknowledged, so every read from now on sees all of it
                    highest = db.scalar("SELECT max(n) FROM rows WHERE who = ?", f"{name}.{writer}")
                    if highest < last:
                        failures.append(f"read {highest} after {last} of {writer} was acknowledged")
                    found = db.query("SELECT part, parts FROM rows WHERE who = ? AND n = ?", f"{name}.{writer}", last)
                    if not found or len(found) != found[0]["parts"]:
                        failures.append(f"read {found} of {writer} {last}")
                    reads[number] += 1
                time.sleep(0.005)  # threads that never rest would keep the interpreter, and measure that alone
        except BaseException as error:
            failures.append(repr(error))

    threads = [threading.Thread(target=write_on, args=(number,)) for number in range(writers)]
    threads += [threading.Thread(target=read_on, args=(number,)) for number in range(readers)]
    for thread in threads:
        thread.start()
    say("ready")
    end = hear()
    begin.set()
    for thread in threads:
        thread.join()
    db.close()
    say(
        {
            "writes": sum(counts),
            "in time": sum(in_time),
            "least": min(counts),
            "reads": sum(reads),
            "failures": failures[:5],
        }
    )


if __name__ == "__main__":
    main(**arguments())
