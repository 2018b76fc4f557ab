"""An entry: a result with the proof of its age.

Ring: policy.
"""

from __future__ import annotations

from typing import Any

from ..coherence.scopes import Scope
from ..coherence.stamps import Mark, Seen, Stamp
from .key import Key


class Entry:
    """Rows, their read set, and the stamps seen in the snapshot that produced them.

    What is proved is fixed at birth, but for ``mark``: it may be replaced by any commit clock value under which the entry
    was proved, by two threads in either order, because each claim is true by itself. ``hits`` may lose an update.
    """

    __slots__ = (
        "hits", "key", "mark", "newer", "older", "passed", "rows", "schema", "scopes", "size", "stamps",
    )  # fmt: skip

    def __init__(
        self,
        key: Key,
        rows: tuple[Any, ...],
        *,
        scopes: tuple[Scope, ...] | None,
        schema: Stamp,
        stamps: tuple[Stamp, ...],
        mark: Mark,
        size: int,
    ) -> None:
        self.key = key
        self.rows = rows
        self.scopes = scopes  #: the read set; None: valid by the clock alone
        self.schema = schema
        self.stamps = stamps
        self.mark = mark
        self.size = size  #: bytes, estimated
        self.hits = 0  #: by the clock
        # the tier's order of arrival, and the hits when its hand last passed
        self.older: Entry | None = None
        self.newer: Entry | None = None
        self.passed = 0

    def seen(self) -> Seen:
        """What a snapshot says in which this entry is valid; its mark is true by itself."""
        return Seen(self.schema, self.stamps, self.mark)
