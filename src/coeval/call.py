"""A call of a cached function, as its flow needs it.

Ring: shell.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, TypeVar

from .cache.entry import Entry
from .cache.key import Key
from .coherence.proof import Witness
from .coherence.stamps import Mark, Seen
from .sqlite.place import running_loop
from .transaction import IN_TRANSACTION
from .unit import current
from .witnessing import watched, witness

if TYPE_CHECKING:
    from .cache.admission import Account
    from .cached import Tracked
    from .engine import Engine
    from .snapshot import Snapshot

log = logging.getLogger("coeval")

C = TypeVar("C", bound="Call")


class Call:
    """What blocking and asyncio ones have in common."""

    def __init__(
        self, tracked: Tracked, engine: Engine, key: Key, args: Any, kwargs: Any, snapshot: Snapshot | None
    ) -> None:
        self.key = key
        self.outer: Witness | None = watched()
        if self.outer is not None:  # so that one that starts the next one, and so on, makes no long chain
            self.outer.shorten()
        self.options = tracked.options
        self.scopes = tracked.scopes if engine.stampable else tracked.tags
        self.counts = tracked.counts
        self.name = tracked.name
        self.flights = engine.flights
        self.tier = tracked.tier(engine)
        self.firm = tracked.firm
        self.engine = engine
        self.alone = snapshot is not None
        self.loop = running_loop()
        self._tracked = tracked
        self._args = args
        self._kwargs = kwargs
        self._snapshot = snapshot

    @contextmanager
    def joining(self) -> Iterator[Witness]:
        """The witness of a call in a transaction, which proves nothing, also to the call of another database around it."""
        mine = Witness(self.engine, self.outer)
        try:
            yield mine
        finally:
            mine.close()
            if self.outer is not None:
                self.outer.refuse(IN_TRANSACTION)

    def passes(self) -> Account | None:
        """Its account, where it is not worth keeping (`cache.admission`)."""
        if not self._tracked.may_pass:
            return None
        account: Account | None = self.tier.admission.passing.get(self.name)
        return account if account is not None and account.passes_alone(hash(self.key)) else None

    def changed(self) -> bool:
        """Whether its arguments, or what `vary` gives here, no longer make its key."""
        return self._tracked.differs(self.key, self._args, self._kwargs)

    def unkept(self, why: str) -> None:
        """Say so."""
        log.warning("%s is not cached: %s", self._tracked.name, why)

    def failed(self, error: Exception) -> None:
        """Say so."""
        log.warning("%s could not be computed again beside its callers", self._tracked.name, exc_info=error)

    def now(self) -> Mark:
        """The commit clock."""
        return self.engine.using(lambda store: store.mark())

    def time(self) -> float:
        """time.monotonic()."""
        return time.monotonic()

    def beside(self, kind: type[C]) -> tuple[Context, C]:
        """The same call, to be made beside the caller, and the caller's context without its units and tracked calls."""
        context = copy_context()
        context.run(current.set, None)
        context.run(witness.set, None)
        return context, context.run(kind, self._tracked, self.engine, self.key, self._args, self._kwargs, None)

    def lost(self, entry: Entry, seen: Seen) -> None:
        """Count the work that it took."""
        self.engine.losses.lost(entry, seen)
