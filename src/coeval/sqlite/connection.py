"""One connection: opened, tuned, watched, and asked for stamps and rows.

What must hold here: every statement is finished before a call returns, because an unfinished one would keep its old snapshot for
those that follow (law 1); and one thread uses a connection at a time, which its owner sees to. Errors of SQLite leave as ours.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping
from functools import lru_cache
from itertools import chain, islice
from time import perf_counter, sleep
from typing import Any

import apsw

from ..coherence.buckets import FUNCTIONS
from ..coherence.names import fold
from ..coherence.scopes import Scope
from ..coherence.stamps import Seen, Stamp
from ..config import Settings
from ..errors import ConfigError, ConversionError, Error, SnapshotEndedError
from ..rows import Row, row_type
from ..values import convert_rows, converters
from . import pragmas
from .commit_clock import CommitClock
from .failures import shorten, translate
from .functions import Function, Functions
from .statement import Statement, Watcher, compile_one
from .tracking import after_insert
from .triggers import FORMAT, schema_version

Parameters = tuple[Any, ...] | Mapping[str, Any]
#: The row type of a result, and the conversion of its rows where a declared type asks for one.
Shape = tuple[type[Row], Callable[[Any], Iterator[tuple[Any, ...]]] | None]

#: Statements whose shape one connection remembers at the most, and characters of the longest of them (law 10).
MOST_SHAPED, LONGEST_SHAPED = 512, 16384

#: Seconds for which rows are taken between two pauses, and how long a pause is, where an event loop may be waiting.
HOGGED, PAUSE = 0.0005, 0.00001


_TEMPORARY_TRIGGERS = "SELECT sql FROM temp.sqlite_schema WHERE type = 'trigger'"
_REPLACED = "SELECT lower(name) FROM pragma_function_list WHERE NOT builtin AND lower(name) IN ({})".format(
    ", ".join(f"'{name}'" for name in sorted(FUNCTIONS))
)


class Hooked(apsw.Connection):
    """The connection that on_connect gets.

    It notes collations, because SQLite does not tell that one of its own was replaced, and FTS5's functions, which it lists nowhere.
    """

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.collations: set[str] = set()
        self.searching: set[str] = set()

    def create_collation(self, name: str, callback: Callable[[str, str], int] | None) -> None:
        """As APSW's."""
        self.collations.add(fold(name))
        super().create_collation(name, callback)

    createcollation = create_collation

    def register_fts5_function(self, name: str, function: Callable[..., Any]) -> None:
        """As APSW's."""
        self.searching.add(fold(name))
        super().register_fts5_function(name, function)


def _check_hooked(connection: apsw.Connection) -> None:
    """Raise where on_connect left what would break our promises, rather than find out later."""
    left = None
    if not connection.config(apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, -1):
        left = "switched triggers off, which the stamps rest on"
    elif connection.in_transaction or connection.txn_state("main") != apsw.SQLITE_TXN_NONE:
        left = "left a transaction or a statement open"
    elif connection.execute("PRAGMA query_only").get:
        left = "set query_only, which keeps the writer from writing"
    elif connection.row_trace is not None or connection.exec_trace is not None:
        left = "set a row or execution trace, which Coeval needs for itself"
    elif replaced := connection.execute(_REPLACED).get:
        left = f"replaced the function {replaced}, which the triggers that make the stamps call"
    elif any(after_insert(str(sql)) for (sql,) in connection.execute(_TEMPORARY_TRIGGERS).fetchall()):
        left = "made a temporary trigger AFTER INSERT, which may skip those that make the stamps"
    if left:
        raise ConfigError(f"on_connect {left}", hint="Leave that out of on_connect.")


class Deadline:
    """A progress handler that stops a statement which runs for too long."""

    __slots__ = ("late", "until")

    def __init__(self) -> None:
        self.until = 0.0  #: time.perf_counter() at which it stops what runs
        self.late = False  #: it did

    def __call__(self) -> bool:
        if perf_counter() < self.until:
            return False
        self.late = True
        return True


def giving_way(source: Iterator[Any]) -> Iterator[Any]:
    """``source``, with a pause after each HOGGED seconds, so that a thread that waits for the interpreter gets it.

    APSW lets the interpreter go for each row and takes it back within a microsecond. Whoever waits is woken each time, comes too late,
    and begins to wait anew, so that Python's switch interval never ends: for a whole result of thousands of rows.
    """
    begun = perf_counter()
    while some := tuple(islice(source, 16)):
        yield from some
        if perf_counter() - begun > HOGGED:
            sleep(PAUSE)
            begun = perf_counter()


class Connection:
    """A connection to the store's file, for one thread at a time."""

    def __init__(
        self,
        path: str,
        settings: Settings,
        functions: Functions,
        *,
        flags: int,
        opened: Callable[[], None] = lambda: None,
    ) -> None:
        """Opens ``path`` with SQLite's open ``flags`` and applies every setting; raises apsw.Error.

        ``opened`` is called in between, before anything is read, and may raise to have it closed again.
        """
        kind = apsw.Connection if settings.on_connect is None else Hooked
        self.raw = kind(path, flags=flags, statementcachesize=256)
        try:
            opened()
            for setting in pragmas.EVERY:
                setting(self.raw, settings)
            if settings.on_connect is not None:
                settings.on_connect(self.raw)
                _check_hooked(self.raw)
            self._functions = functions
            self._given: tuple[Function, ...] = ()
            self.catch_up()
        except BaseException:
            self.raw.close()
            raise
        self.path = path
        self.watcher = Watcher()
        self.raw.authorizer = self.watcher
        self._stamped = settings.coherence == "stamps"
        self._convert = settings.convert
        self._cursor = self.raw.cursor()
        self._control = self.raw.cursor().execute
        self.deadline = Deadline()  #: in force where a loop's thread uses it
        self._shapes: dict[str, Shape] = {}  # by statement, as last compiled
        self._version = -1  # of the schema, when last looked at
        self.uses = 0  #: statements that read rows, so far
        self.statement = ""  #: the last of them
        self.gentle = False  #: an event loop runs beside: its rows are taken with pauses
        self.held: list[float] = []  #: since when a snapshot is held on it: see `Readers.hold`
        self.ended: tuple[float, str] | None = None  #: age and statement of its snapshot when that was ended

    def close(self) -> None:
        """Close it; an unfinished statement is ended."""
        self.raw.close(True)

    def end(self) -> bool:
        """Close it, which is `ended`, whoever uses it: a statement is interrupted, and raises SnapshotEndedError. False: call again."""
        try:
            self.raw.interrupt()
            self.raw.close(True)
        except apsw.ConnectionClosedError:
            return True
        except apsw.ThreadingViolationError:  # inside a statement, and about to leave it
            return False
        return True

    def failure(self, error: apsw.Error, sql: str = "") -> Error:
        """Our error for ``error``, to be raised ``from`` it."""
        if self.ended is None or not isinstance(error, _ENDINGS):
            return translate(error, self.path, sql)
        return self.ending()

    def ending(self) -> SnapshotEndedError:
        """What is raised to whoever uses it, once it is `ended`."""
        age, statement = self.ended or (0.0, "")
        return SnapshotEndedError(
            f"The snapshot of {shorten(statement, 80) or 'this reader'} was ended after {age:.1f} s: the WAL of {self.path} had "
            "grown past its limit, and could not shrink while it was open",
            hint="Read to the end sooner, or in parts, or raise `wal_limit`.",
        )

    # -- stamps ---------------------------------------------------------------------------------------------------

    def seen(self, scopes: tuple[Scope, ...] | None, clock: CommitClock) -> Seen:
        """Stamps of ``scopes`` in the present snapshot, or in a new one. Read this before any row (law 2).

        The mark stands for the snapshot, because the clock read the same before it opened and after its first read.
        """
        before = clock.read()
        try:
            schema, stamps = self._stamps(scopes or ()) if self._stamped else (schema_version(self.raw), ())
        except apsw.Error as error:
            raise self.failure(error) from error
        return Seen(schema, stamps, before if before is not None and clock.raw() == before else None)

    def _stamps(self, scopes: tuple[Scope, ...]) -> tuple[Stamp, tuple[Stamp, ...]]:
        sql = _stamps_sql(len(scopes))
        try:
            row: tuple[Any, ...] | None = self._cursor.execute(sql, scopes).get
            if self.watcher.recompiled:
                row = self._look_at_schema(sql, scopes)
        except (apsw.SQLError, apsw.SchemaChangeError):  # our tables are gone
            self.watcher.recompiled = True
            row = None
            schema_version(self.raw)  # something has to be read, for this to be the moment of the snapshot
        if row is None:
            return None, (None,) * len(scopes)
        return (row[1] if row[0] == self._version else None), row[2:]

    def _look_at_schema(self, sql: str, scopes: tuple[Scope, ...]) -> tuple[Any, ...] | None:
        """The stamps' statement was compiled anew: read the schema's version in one snapshot with the stamps."""
        alone = not self.raw.in_transaction
        try:
            if alone:
                self._cursor.execute("BEGIN")
            row: tuple[Any, ...] | None = self._cursor.execute(sql, scopes).get
            self._version = schema_version(self.raw)
            self.watcher.recompiled = False
        finally:
            if alone and self.raw.in_transaction:
                self._cursor.execute("COMMIT")
        return row

    # -- rows -----------------------------------------------------------------------------------------------------

    def rows(self, sql: str, parameters: Parameters, limit: int | None = None) -> tuple[Row, ...]:
        """Run one statement and take its rows, at the most ``limit`` of them; the statement is finished on return."""
        cursor, watcher = self._cursor, self.watcher
        self.uses += 1
        self.statement = sql
        try:
            if self._functions.given is not self._given:
                self.catch_up()
            watcher.heard = False
            source: Any = cursor.execute(sql, parameters)
            known = self._shapes.get(sql)
            if known is None or watcher.heard:  # it was compiled just now, perhaps for another schema
                first = next(cursor, None)
                if first is None:
                    self._shapes.pop(sql, None)
                    return ()
                known, source = self._shaped(sql, cursor), chain((first,), cursor)
            kind, convert = known
            if self.gentle and limit is None:
                source = giving_way(source)
            if convert is not None:
                source = convert(source)
            if limit is None:
                return tuple(map(kind, source))
            rows = tuple(islice(map(kind, source), limit))
            if len(rows) == limit:  # else it has been run to its end
                self._fresh_cursor()
            return rows
        except BaseException as error:
            if self.ended is None:
                self._fresh_cursor()
            if isinstance(error, apsw.Error):
                raise self.failure(error, sql) from error
            if isinstance(error, UnicodeDecodeError):
                raise _not_text(error, sql) from error
            raise

    def change(self, sql: str, parameters: Parameters) -> None:
        """Run one statement that gives no rows."""
        try:
            if self._functions.given is not self._given:
                self.catch_up()
            self._cursor.execute(sql, parameters)
        except BaseException as error:
            self._fresh_cursor()
            if isinstance(error, apsw.Error):
                raise self.failure(error, sql) from error
            raise

    def _shaped(self, sql: str, cursor: apsw.Cursor) -> Shape:
        """The shape of the rows that ``cursor`` is giving, remembered for the next time."""
        known = shape(cursor.get_description(), self._convert)
        if len(sql) <= LONGEST_SHAPED:
            if len(self._shapes) >= MOST_SHAPED:
                self._shapes.clear()
            self._shapes[sql] = known
        return known

    def _fresh_cursor(self) -> None:
        """End the statement under way."""
        old, self._cursor = self._cursor, self.raw.cursor()  # in this order, whatever interrupts
        old.close(True)

    def stream(self, sql: str, parameters: Parameters) -> Generator[Row, None, None]:
        """Rows one by one on a cursor of their own, closed when the iterator is; until then the snapshot stays open."""
        self.uses += 1
        self.statement = sql
        cursor: apsw.Cursor | None = None
        try:
            cursor = self.raw.cursor()
            self.catch_up()
            cursor.execute(sql, parameters)
            try:
                description = cursor.get_description()
            except apsw.ExecutionCompleteError:
                return
            kind, convert = shape(description, self._convert)
            yield from map(kind, convert(cursor) if convert else cursor)
        except apsw.Error as error:
            raise self.failure(error, sql) from error
        except UnicodeDecodeError as error:
            raise _not_text(error, sql) from error
        finally:
            if cursor is not None and self.ended is None:  # else it ends with the connection
                cursor.close(True)

    def compile(self, sql: str) -> Statement:
        """What ``sql`` is, in the present snapshot; it is not run."""
        try:
            self.catch_up()
            # Compiling trusts the schema as this connection last read it; running anything makes SQLite look whether it changed.
            self._cursor.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
            return compile_one(self.raw, self.watcher, sql)
        except apsw.Error as error:
            raise self.failure(error, sql) from error

    @property
    def reading(self) -> bool:
        """True while a snapshot is open on it, by BEGIN or by an unfinished statement, and for good once that was ended."""
        raw = self.raw  # BEGIN alone has no snapshot yet, and will have one with the next read
        return self.ended is not None or raw.in_transaction or raw.txn_state("main") != apsw.SQLITE_TXN_NONE

    def catch_up(self) -> None:
        """Know the functions that the user has given since the last time."""
        given = self._functions.given
        if given is self._given:
            return
        for function in given[len(self._given) :]:
            function.register(self.raw)
        self._given = given

    def run(self, sql: str) -> None:
        """Run one of our own statements, such as BEGIN."""
        try:
            self._control(sql)
        except apsw.Error as error:
            raise self.failure(error, sql) from error


#: What a statement meets on a connection that was ended.
_ENDINGS = (apsw.InterruptError, apsw.ConnectionClosedError, apsw.CursorClosedError, apsw.ThreadingViolationError)


def _not_text(error: UnicodeDecodeError, sql: str) -> ConversionError:
    return ConversionError(
        f"A text in the result of {shorten(sql)} is not UTF-8: {error.reason} at byte {error.start} of {error.object[:40]!r}",
        hint="Read the column as it is stored, by CAST(column AS BLOB), or mend the text.",
    )


@lru_cache(maxsize=256)
def _stamps_sql(count: int) -> str:
    """One look-up by primary key for each; an absent stamp is NULL. A schema row of another format is as good as absent."""
    stamps = "".join(f", (SELECT stamp FROM main._coeval_stamps WHERE id = ?{i})" for i in range(1, count + 1))
    return f"SELECT version, stamp{stamps} FROM main._coeval_schema WHERE id = 1 AND format = {FORMAT}"


@lru_cache(maxsize=4096)
def shape(description: tuple[tuple[str, str | None], ...], convert: bool) -> Shape:
    """The shape for a result's columns."""
    names = tuple(name for name, _ in description)
    by_column = converters(tuple(declared for _, declared in description)) if convert else None
    if by_column is None:
        return row_type(names), None
    return row_type(names), lambda rows: iter(convert_rows(rows, by_column, names))
