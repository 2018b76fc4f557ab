"""One value read and written in pieces, for ``async with``.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Self, TypeVar

from ..blob import Blob
from ..errors import ClosedError

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed import ReadableBuffer, WriteableBuffer

    from .lanes import Inline, Lane

T = TypeVar("T")


class AsyncBlob:
    """`coeval.blob.Blob` with coroutines: a raw binary file of fixed size. `AsyncDatabase.blob` makes it; ``len(blob)`` is its size.

    Reading is of one moment. Writing is a transaction, to which the calls of its task belong until the block ends.
    """

    def __init__(
        self,
        enter: Callable[[AsyncExitStack], Awaitable[Lane | Inline]],
        make: Callable[[], Awaitable[Blob]],
        writable: bool,
    ) -> None:
        """Use `AsyncDatabase.blob`."""
        self._enter = enter
        self._make = make
        self._writable = writable
        self._lane: Lane | Inline | None = None
        self._stack = AsyncExitStack()
        self._blob: Blob | None = None
        self._size = 0

    async def __aenter__(self) -> Self:
        """Opens it. Raises as `Blob.__enter__`."""
        async with AsyncExitStack() as stack:
            lane = await self._enter(stack)
            blob = await self._make()
            await lane.join(blob.__enter__)
            self._lane, self._blob = lane, blob
            self._size = await lane.join(blob.__len__)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Writing: commits, durably, or rolls back where the block raised; inside a transaction that decides. Frees everything."""
        blob, lane = self._blob, self._lane
        try:
            if blob is not None and lane is not None and not isinstance(error, GeneratorExit):
                await lane.join(lambda: blob.__exit__(kind, error, None))
        finally:
            await self._stack.__aexit__(kind, error, trace)

    async def read(self, size: int | None = -1, /) -> bytes:
        """The next ``size`` bytes, fewer at the end; all that is left without one."""
        return await self._call(lambda blob: blob.read(size))

    async def readall(self) -> bytes:
        """All that is left."""
        return await self._call(lambda blob: blob.readall())

    async def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill ``buffer`` as far as the blob goes; how many bytes that is."""
        return await self._call(lambda blob: blob.readinto(buffer))

    async def write(self, data: ReadableBuffer, /) -> int:
        """Write all of ``data`` from here on; its length."""
        return await self._call(lambda blob: blob.write(data))

    async def seek(self, offset: int, whence: int = 0, /) -> int:
        """Go to ``offset`` from the beginning, from here (1) or from the end (2); where that is."""
        return await self._call(lambda blob: blob.seek(offset, whence))

    async def tell(self) -> int:
        """The present position."""
        return await self._call(lambda blob: blob.tell())

    def writable(self) -> bool:
        """Whether it is for writing."""
        return self._writable

    def __len__(self) -> int:
        return self._size

    def __bool__(self) -> bool:
        return True

    async def _call(self, work: Callable[[Blob], T]) -> T:
        blob, lane = self._blob, self._lane
        if blob is None or lane is None:
            raise ClosedError(
                "The blob is not open", hint="Use it inside its block: `async with db.blob(...) as blob:`."
            )
        return await lane.join(lambda: work(blob))
