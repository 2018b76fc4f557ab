"""Stamps as a reader saw them in one snapshot.

Ring: policy.
"""

from __future__ import annotations

from typing import NamedTuple

#: A random 64-bit number that triggers replace with every change of its scope. ``None``: there is no such row.
Stamp = int | None

#: The commit clock's value for a state of the file; ``None`` where the clock proves nothing.
Mark = bytes | None


class Seen(NamedTuple):
    """What one snapshot says of a read set.

    ``schema`` is the schema stamp, or ``None`` when the schema has changed since our triggers were last verified:
    then nothing about the stamps is proved (hole 4). ``stamps`` stand in the order of the scopes asked for.
    ``mark`` is the commit clock's value that stands for this snapshot, if one does.
    """

    schema: Stamp
    stamps: tuple[Stamp, ...]
    mark: Mark
