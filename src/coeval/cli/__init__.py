"""The command ``coeval``: one file a command.

``group.py`` holds what all of them share: the version, and how errors are shown.

Exit codes: 0, done; 1, an error of `coeval.errors`, or a demonstration that found something wrong; 2, the command was
not understood, or the extra ``cli`` is not installed.

Ring: shell.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

__all__ = ["main"]

_NEEDED = ("click", "rich")


def main() -> None:
    """Run the command line and exit. Without the extra ``cli``, say how to install it and exit with 2."""
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        print(f"error: the command coeval needs {' and '.join(missing)}", file=sys.stderr)
        print('  pip install "coeval[cli]"', file=sys.stderr)
        sys.exit(2)
    from .group import coeval

    coeval(prog_name="coeval")
