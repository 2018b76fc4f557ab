"""The file itself, for asyncio: its state, its size, its contents as a whole.

Ring: shell.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import ReentryError
from ..unit import joined
from ..witnessing import refuse_proof, refuse_writes
from .jobs import surely

if TYPE_CHECKING:
    from ..database import Database
    from ..engine import Engine
    from ..events import Statistics
    from ..explanation import Explanation
    from ..lost_work import Loss
    from ..upkeep import Check, Checkpoint

T = TypeVar("T")


class AsyncUpkeep:
    """Calls of `coeval.upkeep.Upkeep` and their like, each in a worker. Cancelled, the caller leaves, and the call goes on to its end."""

    _engine: Engine | None

    async def _opened(self) -> Engine:
        """The engine; raises ClosedError."""
        raise NotImplementedError  # pragma: no cover

    async def _database(self) -> Database:
        """The blocking face; raises ClosedError."""
        raise NotImplementedError  # pragma: no cover

    async def explain(self, sql: str, *params: Any) -> Explanation:
        """What ``sql`` reads, whether its results can be cached and why not, and SQLite's plan for it. It is not run."""
        refuse_proof("the plan of a statement (explain)")
        return await self._chore(lambda db: db.explain(sql, *params))

    async def stats(self) -> Statistics:
        """Counts since the file was opened in this process, and its sizes now, as `Database.stats`."""
        refuse_proof("statistics (stats)")
        return await self._chore(lambda db: db.stats())

    async def losses(self, limit: int = 20) -> tuple[Loss, ...]:
        """The statements that lost most work to writes, and the columns that would have saved it, as `Database.losses`."""
        return await self._chore(lambda db: db.losses(limit))

    async def check(self, *, quick: bool = False) -> Check:
        """Look whether the file is sound and every foreign key leads to a row, as `Database.check`."""
        refuse_proof("the state of the file (check)")
        return await self._chore(lambda db: db.check(quick=quick))

    async def checkpoint(self, *, truncate: bool = False) -> Checkpoint:
        """Move the write-ahead log into the file now, as far as readers let it, as `Database.checkpoint`."""
        self._refuse_within("checkpoint")
        return await self._chore(lambda db: db.checkpoint(truncate=truncate))

    async def track(self, table: str, by: str | Sequence[str]) -> None:
        """Keep stamps for the values of the columns ``by`` of ``table``, as `Database.track`."""
        self._refuse_within("track")
        refuse_writes("track")
        await self._chore(lambda db: db.track(table, by))

    async def untrack(self, table: str, by: str | Sequence[str] | None = None) -> None:
        """No longer keep stamps for the columns ``by`` of ``table``, or for any, as `Database.untrack`."""
        self._refuse_within("untrack")
        refuse_writes("untrack")
        await self._chore(lambda db: db.untrack(table, by))

    async def vacuum(self) -> None:
        """Rebuild the file without its free pages. Takes the turn; readers go on; needs as much room again."""
        self._refuse_within("VACUUM")
        refuse_writes("VACUUM")
        await self._chore(lambda db: db.vacuum())

    async def restore(self, source: str | os.PathLike[str]) -> None:
        """Replace the contents by those of the SQLite file ``source``, as `Database.restore`."""
        self._refuse_within("restore")
        refuse_writes("restore")
        await self._chore(lambda db: db.restore(source))

    async def restamp(self) -> None:
        """Make everything that was ever cached of this file invalid, everywhere, as `Database.restamp`."""
        self._refuse_within("restamp")
        refuse_writes("restamp")
        await self._chore(lambda db: db.restamp())

    async def create_function(
        self, name: str, call: Callable[..., Any], nargs: int = -1, *, deterministic: bool = False
    ) -> None:
        """Give SQL the function ``name`` on every connection. Statements that use it run in workers, and so does ``call``."""
        await self._chore(lambda db: db.create_function(name, call, nargs, deterministic=deterministic))

    async def create_collation(self, name: str, compare: Callable[[str, str], int]) -> None:
        """Give SQL the collation ``name`` on every connection. Statements that may use it run in workers, and are not cached."""
        await self._chore(lambda db: db.create_collation(name, compare))

    async def _chore(self, work: Callable[[Database], T]) -> T:
        db, engine = await self._database(), await self._opened()
        return await surely(engine.workers.chores, lambda: work(db))

    def _refuse_within(self, what: str) -> None:
        if self._engine is not None and joined(self._engine) is not None:
            raise ReentryError(
                f"{what} inside a transaction or snapshot would wait for it", hint="Call it after the block."
            )
