"""The two faces have the same names and the same parameters."""

from __future__ import annotations

import inspect

import pytest

from coeval import Database, Snapshot, Transaction
from coeval.aio import AsyncBlob, AsyncDatabase, AsyncRowStream, AsyncSnapshot, AsyncTransaction
from coeval.aio.plain import AsyncPlainValues
from coeval.blob import Blob
from coeval.plain import PlainValues
from coeval.streams import RowStream

PAIRS = [
    (Database, AsyncDatabase),
    (Transaction, AsyncTransaction),
    (Snapshot, AsyncSnapshot),
    (RowStream, AsyncRowStream),
    (PlainValues, AsyncPlainValues),
]

#: Only on one side: the door to the other face; what asyncio calls closing; a transaction of one call, which is internal.
ALONE = {"aio", "aclose", "alone"}

#: These wait for nothing.
PLAIN = {"iterate", "transaction", "snapshot", "blob", "record", "cached"}


def names(kind: type) -> set[str]:
    """The public names of a class."""
    return {name for name in dir(kind) if not name.startswith("_")} - ALONE


def parameters(kind: type, name: str) -> list[tuple[str, object, object]]:
    """Name, kind and default of each parameter."""
    signature = inspect.signature(getattr(kind, name))
    return [(p.name, p.kind, p.default) for p in signature.parameters.values()]


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_names_are_the_same(blocking: type, asynchronous: type):
    """What one face can, the other can."""
    assert names(blocking) == names(asynchronous)


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_parameters_are_the_same(blocking: type, asynchronous: type):
    """Each call takes the same parameters with the same defaults."""
    for name in sorted(names(blocking)):
        if callable(getattr(blocking, name)):
            assert (name, parameters(blocking, name)) == (name, parameters(asynchronous, name))


@pytest.mark.parametrize(("blocking", "asynchronous"), PAIRS)
def test_what_waits_is_a_coroutine(blocking: type, asynchronous: type):
    """Every call that may wait is awaited; those that make something for ``async with`` or ``async for`` are not."""
    for name in sorted(names(asynchronous)):
        call = getattr(asynchronous, name)
        if callable(call):
            assert inspect.iscoroutinefunction(call) == (name not in PLAIN), name


def test_a_blob_has_the_calls_that_matter():
    """A blob's own calls, without those that io.RawIOBase brings along."""
    for name in names(AsyncBlob):
        assert callable(getattr(Blob, name))
    assert {"read", "readall", "readinto", "write", "seek", "tell", "writable"} <= names(AsyncBlob)
