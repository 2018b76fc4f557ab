"""A child whose threads write, and note what was acknowledged, until it is told to stop or falls into a trap.

Arguments: ``path``, ``ledger``, ``name``, ``threads``, ``settings``; ``point`` and ``passage`` of a trap; ``large``: bytes that each
write adds to a row that is written again and again, so that checkpoints come soon. Says "open"; any line stops it, then it says
how many writes each thread did.
"""

from __future__ import annotations

import signal
import threading
from typing import Any

from faults import traps
from faults.ledger import Ledger, write
from faults.programs import arguments, hear, say


def main(
    path: str,
    ledger: str,
    name: str,
    threads: int = 3,
    settings: dict[str, Any] | None = None,
    point: str = "",
    passage: int = 0,
    large: int = 0,
) -> None:
    """Run until told to stop."""
    if point:
        signal.alarm(60)  # a trap that is never reached
    trap = traps.arm(point, passage) if point else None
    import coeval

    db = coeval.open(path, **{"timeout": 60.0, **(settings or {})})
    noted = Ledger(ledger)
    done = threading.Event()
    counts = [0] * threads
    failures: list[str] = []

    def work(number: int) -> None:
        who = f"{name}.{number}"
        try:
            while not done.is_set():
                write(db, who, counts[number])
                noted.acknowledge(who, counts[number])
                counts[number] += 1
                if large and number == 0:
                    db.execute("UPDATE large SET filler = randomblob(?)", large)
        except BaseException as error:
            failures.append(repr(error))

    say("open")
    if trap is not None:
        trap.set = True
    workers = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(threads)]
    for worker in workers:
        worker.start()
    hear()
    done.set()
    for worker in workers:
        worker.join()
    db.close()
    say({"writes": counts, "failures": failures})


if __name__ == "__main__":
    main(**arguments())
