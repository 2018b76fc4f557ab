"""``python -m coeval.cli`` is the command ``coeval``.

Ring: shell.
"""

from __future__ import annotations

from . import main

if __name__ == "__main__":
    main()
