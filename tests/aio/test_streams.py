"""Iterators of asyncio's: one snapshot, some rows at a time, closed whatever happens."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import pytest

from coeval import errors
from loops import ENDLESS, filled, loop, until

ALL = "SELECT id FROM t ORDER BY id"


def test_rows_of_one_moment(path: Path):
    """What is committed while it goes on is not in it."""

    async def main() -> None:
        async with await filled(path, rows=3000, readers=1) as db:
            seen = []
            async for (number,) in db.iterate(ALL):
                seen.append(number)
                if number == 1:
                    await db.execute("DELETE FROM t")
            assert seen == list(range(1, 3001))
            assert await db.query(ALL) == ()

    loop(main)


def test_the_reader_comes_back(path: Path):
    """Read to its end, closed, left by an exception, dropped, cancelled in the middle: the only reader is free for the next."""

    async def main() -> None:
        async with await filled(path, rows=3000, readers=1, timeout=10.0) as db:
            async with db.iterate(ALL) as rows:
                assert await anext(rows) == (1,)
            await rows.close()
            with pytest.raises(StopAsyncIteration):
                await anext(rows)
            assert await db.first(ALL) == (1,)
            with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the block is the matter
                async with db.iterate(ALL) as rows:
                    async for _ in rows:
                        raise ZeroDivisionError
            assert await db.first(ALL) == (1,)
            stream = db.iterate(ALL)
            assert await anext(stream) == (1,)
            del stream
            gc.collect()
            assert await db.first(ALL) == (1,)
            stream = db.iterate(ENDLESS, 2)
            task = asyncio.ensure_future(anext(stream))
            await asyncio.sleep(0.02)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(errors.ClosedError):
                await anext(stream)
            await stream.close()
            assert await db.first(ALL) == (1,)
            assert db._engine is not None
            readers = db._engine.store().readers
            await until(lambda: len(readers.idle) == 1)

    loop(main)


def test_errors_come_with_the_first_row(path: Path):
    """Of the statement, of its parameters, and in the middle."""

    async def main() -> None:
        async with await filled(path, readers=1) as db:
            for _ in range(2):
                with pytest.raises(errors.SQLError):
                    await anext(db.iterate("SELECT nothing"))
                with pytest.raises(errors.SQLError):
                    await anext(db.iterate("DELETE FROM t"))
                with pytest.raises(errors.ParameterError):
                    await anext(db.iterate(ALL, 1))
            await db.create_function("fail", lambda value: 1 // (value - 5), 1)
            stream = db.iterate("SELECT fail(id) FROM t")
            with pytest.raises(ZeroDivisionError):
                async for _ in stream:
                    pass
            assert await db.first(ALL) == (1,)

    loop(main)


def test_an_iterator_ends_with_its_unit(path: Path):
    """Going on after it raises; so does going on after the database was closed."""

    async def main() -> None:
        async with await filled(path, rows=3000) as db:
            async with db.snapshot() as snap:
                within = snap.iterate(ALL)
                assert await anext(within) == (1,)
            own = db.iterate(ALL)
            assert await anext(own) == (1,)
        for stream in (within, own):
            with pytest.raises(errors.ClosedError):
                async for _ in stream:
                    pass

    loop(main)
