"""What `import coeval` adds to a bare Python: at most 60 ms, or this ends with 1.

Bare and importing processes take turns, so that a busy machine slows both. The limit is held against the difference of
the minima: noise only ever adds.
"""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

RUNS = 15
LIMIT = 60.0


def main() -> int:
    """Print both and the difference, in milliseconds."""
    programs = {"bare Python": "pass", "import coeval": "import coeval"}
    times: dict[str, list[float]] = {name: [] for name in programs}
    for program in programs.values():
        _milliseconds(program)  # compiles what is not compiled yet
    for _ in range(RUNS):
        for name, program in programs.items():
            times[name].append(_milliseconds(program))
    print(f"{'ms, of ' + str(RUNS) + ' runs each':24} {'min':>8} {'median':>8}")
    for name, taken in times.items():
        print(f"{name:24} {min(taken):8.1f} {median(taken):8.1f}")
    bare, full = times.values()
    added = min(full) - min(bare)
    print(f"{'added':24} {added:8.1f} {median(full) - median(bare):8.1f}   limit {LIMIT:.0f}")
    return int(added > LIMIT)


def _milliseconds(program: str) -> float:
    start = time.perf_counter()
    subprocess.run([sys.executable, "-I", "-c", program], check=True)
    return (time.perf_counter() - start) * 1000


if __name__ == "__main__":
    sys.exit(main())
