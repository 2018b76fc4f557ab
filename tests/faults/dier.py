"""A child that writes and then waits to be killed. Arguments: ``path``, ``writes``. Says "written"."""

from __future__ import annotations

import coeval
from faults import ledger
from faults.programs import arguments, hear, say


def main(path: str, writes: int) -> None:
    """Write, and wait."""
    db = coeval.open(path)
    for n in range(writes):
        ledger.write(db, "log", n, "y" * 300)
    say("written")
    hear()


if __name__ == "__main__":
    main(**arguments())
