"""The changes of a transaction, recorded for another copy of the data.

Ring: shell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from ..changesets import Recording
from ..transaction import Transaction

if TYPE_CHECKING:
    from types import TracebackType

    from .lanes import Inline, Lane


class AsyncRecording:
    """`coeval.changesets.Recording` for ``async with``: the changes made while its block runs, by this transaction."""

    def __init__(self, lane: Lane | Inline, tables: tuple[str, ...]) -> None:
        """Use `AsyncTransaction.record`."""
        assert isinstance(lane.unit, Transaction)
        self._lane = lane
        self._recording = Recording(lane.unit, tables)

    @property
    def changeset(self) -> bytes:
        """The changes, once the block has ended; b'' where there were none. They are durable only when the transaction has committed."""
        return self._recording.changeset

    async def __aenter__(self) -> Self:
        await self._lane.write(lambda: None, self._recording.__enter__)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._lane.end(lambda: self._recording.__exit__(kind, error, None), error)
