"""An entry: a result with the proof of its age.

Ring: policy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..coherence.scopes import Scope
from ..coherence.stamps import Mark, Seen, Stamp
from .key import Key

if TYPE_CHECKING:
    from .admission import Account


class Entry:
    """Rows, their read set, and the stamps seen in the snapshot that produced them.

    What is proved is fixed at birth, but for ``mark``: it may be replaced by any commit clock value under which the entry
    was proved, by two threads in either order, because each claim is true by itself. ``hits`` may lose an update.
    """

    __slots__ = (
        "account", "cost", "credited", "hits", "key", "mark", "newer", "older", "passed", "rows", "schema", "scopes", "size",
        "spared", "stamps", "worth",
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
        cost: float = 0.0,
        account: Account | None = None,
    ) -> None:
        self.key = key
        self.rows = rows
        self.scopes = scopes  #: the read set; None: valid by the clock alone
        self.schema = schema
        self.stamps = stamps
        self.mark = mark
        self.size = size  #: bytes, estimated
        self.cost = cost  #: seconds that it takes to make
        self.hits = 0  #: by the clock
        self.account = account  #: what its hits are credited to while it is kept, and how many were
        self.credited = 0
        # the tier's order of arrival, the hits when its hand last passed, and how often that spared it since for its worth
        self.older: Entry | None = None
        self.newer: Entry | None = None
        self.passed = 0
        self.spared = 0
        self.worth = 0

    def seen(self) -> Seen:
        """What a snapshot says in which this entry is valid; its mark is true by itself."""
        return Seen(self.schema, self.stamps, self.mark)
