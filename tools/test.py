"""Run the tests on the wheel, on every interpreter of this machine. What `make test` and `make soak` call.

Usage: python tools/test.py [--soak] [PYTEST ARGUMENTS...]

`src` is never on the path: tests/conftest.py stops a run that would import from there. With --soak the counts are the
full ones (COEVAL_SOAK=1), on the default interpreter alone, and a test may take an hour.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from environment import ROOT, clean_environ, prepare
from servers import fetch

EXTRAS = "all,bench,test"
# Two more than processors: many tests wait, for other processes or for time to pass.
WORKERS = str(max(2, (os.cpu_count() or 1) + 2))
SOAK = ["-o", "timeout=3600", "-o", "faulthandler_timeout=3700"]


def main(arguments: list[str]) -> int:
    """Run them all, and say at the end which interpreter passed."""
    soak = arguments[:1] == ["--soak"]
    chosen = arguments[1:] if soak else arguments
    fetch("sqlite3")
    lines: list[str] = []
    failed = False
    found = interpreters(first_only=soak)
    preparing = ThreadPoolExecutor(1)  # one environment after another, while the tests run in those that are ready
    ready = [preparing.submit(prepare, ROOT / f".venv-{version}", EXTRAS, python) for version, python in found]
    for (version, python), environment in zip(found, ready, strict=True):
        start = time.monotonic()
        print(f"== Python {version} ({python})", flush=True)
        inside = environment.result()
        environ = clean_environ() | {"COEVAL_WHEEL": "1", "COEVAL_SOAK": "1" if soak else "0"}
        command = [
            str(inside),
            "-P",
            "-m",
            "pytest",
            "-q",
            "-n",
            WORKERS,
            "--dist",
            "worksteal",
            *(SOAK if soak else []),
        ]
        code = subprocess.run(
            [*command, *chosen], check=False, cwd=ROOT, env=environ, stdin=subprocess.DEVNULL
        ).returncode
        failed |= code != 0
        outcome = "passed" if code == 0 else f"FAILED (pytest ended with {code})"
        lines.append(f"Python {version}: {outcome} after {time.monotonic() - start:.0f} s")
    print("\n".join(lines), flush=True)
    return int(failed)


def interpreters(*, first_only: bool) -> list[tuple[str, str]]:
    """Return version and path of each interpreter that can be used, the default one first."""
    listing = subprocess.run(["sh", str(ROOT / "tools" / "pythons")], check=False, stdout=subprocess.PIPE, text=True)
    if listing.returncode:
        sys.exit(listing.returncode)
    found = [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in listing.stdout.splitlines()]
    return found[:1] if first_only else found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
