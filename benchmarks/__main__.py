"""Run the benchmarks one after another: all of this folder, or those named.

Usage: python benchmarks [NAME.py...]
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
# What benchmarks share.
HELPERS = {"servers.py"}


def main(names: list[str]) -> int:
    """Return how many of them said that a limit was passed."""
    scripts = [FOLDER / name for name in names] or sorted(
        path for path in FOLDER.glob("*.py") if not path.name.startswith("_") and path.name not in HELPERS
    )
    failed = []
    for script in scripts:
        print(f"== benchmarks/{script.name}", flush=True)
        if subprocess.run([sys.executable, "-P", str(script)], check=False).returncode:
            failed.append(script.name)
    print(f"Limits passed, or failures, in: {', '.join(failed)}" if failed else "Every benchmark kept its limits.")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
