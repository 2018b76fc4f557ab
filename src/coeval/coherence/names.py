"""When two names are one to SQLite: it folds the letters A to Z and no others. And how a name is written so that it is one.

Ring: policy.
"""

from __future__ import annotations

_FOLD = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def fold(name: str) -> str:
    """``name`` for comparing. Not ``str.lower()``, which would take "Ä" and "ä", two tables to SQLite, for one."""
    return name.translate(_FOLD)


def quoted(name: str) -> str:
    """``name`` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'
