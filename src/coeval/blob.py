"""One value read and written in pieces, as a file (law 1; hole 10).

SQLite fires no trigger for such writes, so the table's stamp is replaced here, in the same transaction and before the first of them.

Ring: shell.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Self, TypeVar

import apsw

from .errors import ClosedError, NoRowError, ParameterError, SQLError
from .snapshot import Snapshot
from .sqlite.failures import translate
from .sqlite.target import find, restamp
from .transaction import Transaction
from .unit import joined
from .witnessing import refuse_proof, refuse_writes

if TYPE_CHECKING:
    from types import TracebackType

    from _typeshed import ReadableBuffer, WriteableBuffer

    from .database import Database
    from .sqlite.connection import Connection

T = TypeVar("T")

_CURES = (
    ("of type null", "Make room first: UPDATE … SET column = zeroblob(size)."),
    ("of type", "Only blobs and texts are read in pieces; use `query`."),
    ("for writing", "Drop the index or key that rests on it, or write the value by `execute`."),
    ("without rowid", "Use `query` and `execute` there."),
    ("generated columns", "Use `query` and `execute` there."),
    ("view", "Name the table that it shows."),
    ("virtual", "Use `query` and `execute` there."),
)


class Blob(io.RawIOBase):
    """A blob, or the bytes of a text, as a raw binary file of fixed size, for ``with``. `Database.blob` makes it.

    ``len(blob)`` is its size in bytes. While one is open for writing SQLite lets nothing else write in its transaction: ``close()`` it
    before. `io.BufferedReader` and `io.BufferedWriter` go over it for many small reads or writes.
    """

    def __init__(self, face: Database, table: str, column: str, rowid: int, writable: bool) -> None:
        """Use `Database.blob`."""
        super().__init__()
        if type(rowid) is not int or not -(2**63) <= rowid < 2**63:
            raise ParameterError(
                f"a rowid is an integer of 64 bits, and this is {rowid!r}", hint="Give the row's rowid."
            )
        if {type(table), type(column)} != {str}:
            raise ParameterError("table and column are names", hint='Write db.blob("table", "column", rowid).')
        self._face = face
        self._place = (table, column, rowid)
        self._writable = writable
        self._what = f"blob {table}.{column} of row {rowid}"
        self._path = face.path
        self._stack = ExitStack()
        self._raw: apsw.Blob | None = None
        self._usable: Callable[[], object] = lambda: None  #: raises where the unit around it has ended
        self._ended = False
        self._process = os.getpid()

    def __enter__(self) -> Self:
        """Opens it: to read, in a snapshot of this moment; to write, in a transaction, which waits for its turn.

        Raises SQLError where the column cannot be opened so, NoRowError, LockTimeoutError naming the holder, PoolTimeoutError.
        """
        if self._raw is not None or self._ended:
            raise ClosedError(f"The {self._what} was entered before", hint="Make another one by `db.blob`.")
        with ExitStack() as stack:
            connection = self._to_write(stack) if self._writable else self._to_read(stack)
            self._connection = connection
            self._raw = self._opened(connection)
            stack.push(self._close_raw)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Writing: commits, durably, or rolls back where the block raised; inside a transaction that decides. Frees everything."""
        self._ended = True
        self._stack.__exit__(kind, error, trace)

    # -- the file's own calls -------------------------------------------------------------------------------------------

    def read(self, size: int | None = -1, /) -> bytes:
        """The next ``size`` bytes, fewer at the end; all that is left without one."""
        raw = self._open()
        return self._tried(lambda: raw.read(-1 if size is None else size))

    def readall(self) -> bytes:
        """All that is left."""
        return self.read()

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill ``buffer`` as far as the blob goes; how many bytes that is."""
        raw = self._open()
        view = memoryview(buffer).cast("B")
        size = min(len(view), raw.length() - raw.tell())
        if size:
            self._tried(lambda: raw.readinto(view[:size]))
        return size

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of ``data`` from here on; its length. Raises ParameterError, and writes nothing, where that goes beyond the end."""
        raw = self._open()
        if not self._writable:
            raise io.UnsupportedOperation(f"The {self._what} is open for reading: db.blob(..., writable=True)")
        refuse_writes(f"write() on the {self._what}")
        view = memoryview(data).cast("B")
        if raw.tell() + len(view) > raw.length():
            raise ParameterError(
                f"{len(view):,} bytes at {raw.tell():,} go beyond the end of the {self._what}, which has {raw.length():,}",
                hint="The size is fixed. Make room first: UPDATE … SET column = zeroblob(size).",
            )
        if len(view):
            self._tried(lambda: raw.write(view))
        return len(view)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to ``offset`` from the beginning, from here (1) or from the end (2); where that is. Raises ParameterError outside of it."""
        raw = self._open()
        try:
            raw.seek(offset, whence)
        except ValueError as error:
            raise ParameterError(
                f"offset {offset} (from {whence}) lies outside the {self._what}, which has {raw.length():,} bytes",
                hint="Seek between 0 and len(blob).",
            ) from error
        return raw.tell()

    def tell(self) -> int:
        """The present position."""
        return self._open().tell()

    def truncate(self, size: int | None = None, /) -> int:  # noqa: ARG002 - a file's signature
        """Refused: the size is fixed."""
        raise io.UnsupportedOperation("The size of a blob is fixed: UPDATE … SET column = zeroblob(size)")

    def readable(self) -> bool:
        """True."""
        return True

    def writable(self) -> bool:
        """Whether it was opened for writing."""
        return self._writable

    def seekable(self) -> bool:
        """True."""
        return True

    def __len__(self) -> int:
        return self._open().length()

    def __bool__(self) -> bool:
        return True

    def close(self) -> None:
        """Let go of the value; the transaction or snapshot ends with the block. Twice does no harm."""
        if not self.closed:
            super().close()
            self._close_raw(None, None, None)

    def __del__(self) -> None:
        """Nothing, where a file would be closed: a collector's thread must not end a transaction."""

    def __repr__(self) -> str:
        return f"<coeval.Blob {self._what}{' closed' if self.closed else ''}>"

    # -- inside ---------------------------------------------------------------------------------------------------------

    def _to_write(self, stack: ExitStack) -> Connection:
        """The connection of a transaction, with the stamp replaced."""
        transaction = stack.enter_context(self._face.transaction())
        connection = self._used_in(transaction, stack)
        try:
            number = find(connection.raw, self._place[0]).number
            if number is not None:
                restamp(connection.raw, number)
        except apsw.Error as error:
            raise translate(error, self._path, self._what) from error
        return connection

    def _to_read(self, stack: ExitStack) -> Connection:
        unit = joined(self._face._engine)
        if isinstance(unit, Snapshot | Transaction):
            return self._used_in(unit, stack)
        return stack.enter_context(_moment(self._face))

    def _used_in(self, unit: Transaction | Snapshot, stack: ExitStack) -> Connection:
        """The connection of ``unit``; the blob is closed with it, should it end first."""

        def watch() -> Generator[None, None, None]:
            try:
                yield
            finally:
                self._let_go()

        stream = unit._streaming(watch())
        next(stream)
        stack.callback(stream.close)
        if isinstance(unit, Snapshot):
            self._usable = unit._open
            return unit._open().connection
        self._usable = unit._ready
        return unit._ready()

    def _opened(self, connection: Connection) -> apsw.Blob:
        table, column, rowid = self._place
        connection.statement = self._what
        try:
            return connection.raw.blob_open("main", table, column, rowid, self._writable)
        except apsw.SQLError as error:
            said = str(error)
            if "no such rowid" in said:
                raise NoRowError(f"{table} has no row {rowid}", hint="Insert it first, with zeroblob(size).") from error
            cure = next((cure for part, cure in _CURES if part in said), "Correct the name.")
            raise SQLError(f"{said} ({self._what})", hint=cure) from error
        except apsw.Error as error:
            raise translate(error, self._path, self._what) from error

    def _open(self) -> apsw.Blob:
        if self._raw is None or self.closed:
            raise ClosedError(
                f"The {self._what} is not open", hint="Use it inside its block: `with db.blob(...) as blob:`."
            )
        self._usable()
        if self._connection.ended is not None:
            raise self._connection.ending()
        refuse_proof("a value in pieces (blob)")
        return self._raw

    def _tried(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except apsw.AbortError as error:
            raise ClosedError(
                f"The {self._what} was changed or deleted by a statement while it was open", hint="Open it again."
            ) from error
        except (apsw.Error, ValueError) as error:
            if self._connection.ended is not None:
                raise self._connection.ending() from error
            if isinstance(error, ValueError):
                raise
            raise translate(error, self._path, self._what) from error

    def _close_raw(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:  # noqa: ARG002
        """Close it; what SQLite has to say about that counts where nothing else went wrong."""
        raw = self._raw
        if error is None and raw is not None and os.getpid() == self._process:
            self._tried(raw.close)
        self._let_go()

    def _let_go(self) -> None:
        raw, self._raw = self._raw, None
        if raw is not None and os.getpid() == self._process:  # a forked child leaves alone what is the parent's
            raw.close(True)


@contextmanager
def _moment(face: Database) -> Iterator[Connection]:
    """A reader in a snapshot of its own."""
    store, connection = face._using().using(lambda store: (store, store.readers.hold()))
    process = os.getpid()
    try:
        connection.run("BEGIN")
        yield connection
    finally:
        if os.getpid() == process:
            try:
                if connection.ended is None and connection.raw.in_transaction:
                    connection.run("COMMIT")
            finally:
                store.readers.let_go(connection)
