"""One value, read and written in place.

Upholds law 1 where triggers cannot: an incremental write fires none (hole 10), so each write here replaces its table's stamp, be the
file the connection's own or attached, in the transaction that the write is in.

Ring: shell.
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, SupportsIndex

import apsw

from ..witnessing import refuse_proof, refuse_writes
from . import errors
from .adapters import contiguous

if TYPE_CHECKING:
    from .connection import Connection


class Blob:
    """A value opened by `Connection.blobopen`: file-like, and indexed like a bytearray whose length is fixed."""

    _blob: apsw.Blob | None

    def __new__(cls, *arguments: Any, **named: Any) -> Self:  # noqa: ARG004 - whatever they are
        """Not for users."""
        raise TypeError(f"cannot create '{cls.__module__}.{cls.__qualname__}' instances")

    def _open(self, connection: Connection, place: tuple[str, str, str, int], *, readonly: bool) -> Self:
        self._readonly = readonly
        self._connection = connection
        self._place = place
        self._offset = 0
        self._blob = None
        with connection._lock:
            handle = connection._live()
            if not readonly:
                handle.enter(f"blobopen {place[1]}.{place[2]}")
            try:
                self._blob = handle.raw.blob_open(*place, not readonly)
            except apsw.Error as error:
                raise connection._error(error) from error
            finally:
                handle.settle()
            self._raw = handle.raw
            handle.users.add(self)
        return self

    @property
    def pending(self) -> bool:
        """True while it is open."""
        return self._blob is not None

    def close(self) -> None:
        """Close it; outside a transaction what was written is durable then. Twice does no harm."""
        self._check_thread()
        blob, self._blob = self._blob, None
        if blob is None:
            return
        with self._connection._lock:
            handle = self._connection._handle
            if handle._raw is self._raw:  # else it went with the connection
                try:
                    blob.close()
                except apsw.Error as error:
                    if not self._readonly:  # else it repeats an error that a call has raised
                        raise self._connection._error(error) from error
                finally:
                    handle.settle()

    def read(self, length: int = -1, /) -> bytes:
        """``length`` bytes from here on, or all that are left."""
        self._check()
        left = len(self) - self._offset
        count = left if length < 0 or length > left else length
        data = self._read(self._offset, count)
        self._offset += count
        return data

    def write(self, data: Any, /) -> None:
        """Write here. The value keeps its length: ValueError where it does not fit."""
        self._check()
        view = contiguous(data)
        if len(view) > len(self) - self._offset:
            raise ValueError("data longer than blob length")
        self._write(self._offset, view)
        self._offset += len(view)

    def seek(self, offset: int, origin: int = os.SEEK_SET, /) -> None:
        """Move to ``offset`` from the start, from here or from the end."""
        self._check()
        if not -(2**31) <= offset < 2**31:
            raise OverflowError("Python int too large to convert to C int")
        if origin not in {os.SEEK_SET, os.SEEK_CUR, os.SEEK_END}:
            raise ValueError("'origin' should be os.SEEK_SET, os.SEEK_CUR, or os.SEEK_END")
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._offset, os.SEEK_END: len(self)}[origin]
        if base + offset >= 2**31:
            raise OverflowError("seek offset results in overflow")
        if not 0 <= base + offset <= len(self):
            raise ValueError("offset out of blob range")
        self._offset = base + offset

    def tell(self) -> int:
        """Where it stands."""
        self._check()
        return self._offset

    __iter__ = None  # indexed, and no sequence: as sqlite3's

    def __len__(self) -> int:
        return self._check().length()

    def __getitem__(self, key: SupportsIndex | slice, /) -> Any:
        self._check()
        if isinstance(key, slice):
            start, stop, step = key.indices(len(self))
            data = self._read(start, stop - start) if stop > start else b""
            return data[::step] if step > 0 else self._read(0, len(self))[key]
        return self._read(self._index(key), 1)[0]

    def __setitem__(self, key: SupportsIndex | slice, value: Any, /) -> None:
        self._check()
        if value is None:
            raise TypeError("Blob doesn't support item deletion")
        if isinstance(key, slice):
            places = range(*key.indices(len(self)))
            view = contiguous(value)
            if len(view) != len(places):
                raise IndexError("Blob slice assignment is wrong size")
            if not places:
                return
            if places.step == 1:
                self._write(places.start, view)
                return
            first, last = min(places[0], places[-1]), max(places[0], places[-1])
            data = bytearray(self._read(first, last - first + 1))
            for place, byte in zip(places, view, strict=True):
                data[place - first] = byte
            self._write(first, bytes(data))
            return
        place = self._index(key)
        if not isinstance(value, int):
            raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as an integer")
        if not 0 <= value <= 255:
            raise ValueError("byte must be in range(0, 256)")
        self._write(place, bytes([value]))

    def __delitem__(self, key: SupportsIndex | slice, /) -> None:
        if isinstance(key, slice):
            raise TypeError("Blob doesn't support slice deletion")
        raise TypeError("Blob doesn't support item deletion")

    def __enter__(self) -> Self:
        self._check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        self._check()
        self.close()
        return False

    # -- inside ---------------------------------------------------------------------------------------------------------

    def _check_thread(self) -> None:
        self._connection._check()

    def _check(self) -> apsw.Blob:
        self._check_thread()
        if self._blob is None or self._connection._handle._raw is not self._raw:
            raise errors.ProgrammingError("Cannot operate on a closed blob.")
        return self._blob

    def _index(self, key: SupportsIndex) -> int:
        if not hasattr(type(key), "__index__"):
            raise TypeError("Blob indices must be integers")
        place, length = key.__index__(), len(self)
        if not -(2**63) <= place < 2**63:
            raise IndexError("cannot fit 'int' into an index-sized integer")
        place += length if place < 0 else 0
        if not 0 <= place < length:
            raise IndexError("Blob index out of range")
        return place

    def _read(self, offset: int, count: int) -> bytes:
        blob = self._check()
        refuse_proof("through coeval.dbapi")
        with self._connection._lock:
            try:
                if count == 0:
                    return b""
                blob.seek(offset)
                return blob.read(count)
            except apsw.Error as error:
                raise self._connection._error(error) from error

    def _write(self, offset: int, data: bytes) -> None:
        blob = self._check()
        refuse_writes("a blob's write")
        connection = self._connection
        with connection._lock:
            try:
                blob.seek(offset)
                blob.write(data)
                connection._handle.stamp(*self._place[:2])
            except apsw.Error as error:
                raise connection._error(error) from error
