"""Read through every kind of cache while everybody writes, and judge every answer. What `make torture` calls.

Usage: python -m torture [--seconds 60] [--every 3] [--seed N] [--folder DIR] [--only ROLE,ROLE] [--no-naive]

Ends with 1 where an answer was untrue, a process ended by itself, or a naive cache got away with it.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from torture.report import show
from torture.roles import ATTACKED
from torture.run import Run, uncaught
from torture.world import NAIVE


def main() -> int:
    """Both parts, and the table."""
    parser = argparse.ArgumentParser(prog="make torture", description="Is any answer of any cache ever untrue?")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long (60)")
    parser.add_argument("--every", type=float, default=3.0, help="seconds between two kill -9, about; 0: none (3)")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="of what is left to chance")
    parser.add_argument("--folder", type=Path, help="where the files are made, and stay")
    parser.add_argument("--only", default="", help="these processes alone, by comma")
    parser.add_argument("--no-naive", action="store_true", help="leave the naive caches out")
    asked = parser.parse_args()
    roles = tuple(filter(None, asked.only.split(","))) or ATTACKED
    with tempfile.TemporaryDirectory(prefix="coeval-torture-", ignore_cleanup_errors=True) as made:
        folder = asked.folder or Path(made)
        folder.mkdir(parents=True, exist_ok=True)
        run = Run(folder, asked.seed)
        naive = (
            None
            if asked.no_naive
            else run.attack(NAIVE, min(5.0, asked.seconds), enough=lambda kinds: not uncaught(kinds))
        )
        found = run.attack(roles, asked.seconds, asked.every)
        return show(found, naive, asked.seed)


if __name__ == "__main__":
    sys.exit(main())
