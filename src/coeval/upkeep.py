"""Looking after the file: is it sound, how large is it, and what makes it smaller or another.

Ring: shell.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import apsw

from .errors import ConfigError, DamagedError, NotADatabaseError, ReentryError, SQLError
from .events import Statistics
from .sqlite import triggers
from .sqlite.checkpoint_policy import Step
from .sqlite.failures import translate
from .transaction import Transaction
from .unit import joined
from .witnessing import refuse_proof, refuse_writes

if TYPE_CHECKING:
    from .engine import Engine
    from .lost_work import Loss
    from .sqlite.store import Store

#: Findings of each kind that `Upkeep.check` gives at the most (law 10).
MOST_FINDINGS = 100


class BrokenKey(NamedTuple):
    """A row that refers to one that is not there."""

    table: str
    rowid: int | None  #: None in a table without rowids
    parent: str  #: the table that lacks the row


@dataclass(frozen=True)
class Check:
    """What `check` found, at the most a hundred of each kind."""

    problems: tuple[str, ...]  #: of the file's structure, in SQLite's words
    foreign_keys: tuple[BrokenKey, ...]  #: rows that break one

    @property
    def ok(self) -> bool:
        """True where nothing was found."""
        return not self.problems and not self.foreign_keys


@dataclass(frozen=True)
class Checkpoint:
    """What `checkpoint` did."""

    pages: int  #: in the write-ahead log before
    moved: int  #: of them, in the file now
    complete: bool  #: all of them; where it was to be truncated, it was


class Upkeep:
    """The calls that look after the file."""

    _engine: Engine

    def _using(self) -> Engine:
        raise NotImplementedError  # pragma: no cover

    def stats(self) -> Statistics:
        """Counts since the file was opened in this process, and its sizes now. Cheap: nothing is scanned and nobody waited for."""
        refuse_proof("statistics (stats)")
        return self._engine.statistics()

    def losses(self, limit: int = 20) -> tuple[Loss, ...]:
        """The statements that lost most work to writes, by table, and the columns that would have saved it; dearest first.

        Work is lost where a kept result is asked for and found invalid because the table was written since. Counted since the file
        was opened in this process, or since the table was tracked unasked, for some hundred statements. With ``auto_track=True`` columns
        that would have saved much are tracked by themselves. Raises ParameterError, ClosedError, PoolTimeoutError, StoreError.
        """
        from .lost_work import losses

        return losses(self._using(), limit)

    def check(self, *, quick: bool = False) -> Check:
        """Look whether the file is sound and every foreign key leads to a row, as of one moment; what is wrong.

        It reads the whole file, on a reader, while others go on; ``quick`` leaves out whether indexes match their tables. Like any
        snapshot it is ended past `wal_limit`, by SnapshotEndedError. Raises PoolTimeoutError, StorageError, ClosedError; damage is
        a finding and not an error.
        """
        refuse_proof("the state of the file (check)")
        return self._using().using(lambda store: _check(store, "quick_check" if quick else "integrity_check"))

    def checkpoint(self, *, truncate: bool = False) -> Checkpoint:
        """Move the write-ahead log into the file now, as far as readers let it; ``truncate``: and shorten it to nothing.

        Coeval does this by itself, in the background: call it before the file is copied by other means, or measured. Takes the
        turn, so that no write of ours meets it, and never waits for a reader longer than some milliseconds: ``complete`` says
        whether all was moved. What is moved is durable on return. Raises LockTimeoutError where the turn does not come in time,
        ReentryError inside a transaction or snapshot, NotWritableError, DiskFullError, StorageError, and ConfigError for
        ``truncate`` where ``checkpoint="litestream"`` leaves that to Litestream.
        """
        if truncate and self._engine.settings.checkpoint == "litestream":
            raise ConfigError(
                "The write-ahead log is Litestream's to truncate, and it would have to copy the whole database again",
                hint='Let Litestream do it, or open the file without checkpoint="litestream".',
            )
        self._refuse_in_unit("checkpoint")
        return self._using().using(lambda store: _checkpoint(store, Step.TRUNCATE if truncate else Step.PASSIVE))

    def track(self, table: str, by: str | Sequence[str]) -> None:
        """Keep stamps for the values of the columns ``by`` of ``table``, so that a write elsewhere in it leaves their results valid.

        A statement every mention of which holds one of these columns to given values (``customer_id = ?``, ``IN (?, ?)``, also through
        joins) depends on the rows with those values alone; `explain` shows it. Each column costs every write of a row some
        microseconds, in whatever program, and 1,024 stamps. What is tracked stands in the file and holds for every process; those
        without ``coeval[track]``, the SQL parser, do not profit, and the log says so.

        On return it is durable, and what was cached is computed again. Columns that are tracked already stay so. Raises SQLError for a
        table or column that is not there; ConfigError where its values cannot be told apart for certain (it has neither INTEGER nor TEXT
        affinity, or a collation; the table has a partial unique index, or a trigger with RAISE(IGNORE), …), and for
        ``coherence="clock"``; ReentryError inside a transaction or snapshot, LockTimeoutError, StoreError.
        """
        from .tracked_columns import track

        self._refuse_in_unit("track")
        track(self._using(), table, by)

    def untrack(self, table: str, by: str | Sequence[str] | None = None) -> None:
        """No longer keep stamps for the columns ``by`` of ``table``, or for any: its results depend on all of it again.

        Needed before such a column is dropped. Durable on return, for every process; columns that are not tracked stay so. Raises as
        `track`.
        """
        from .tracked_columns import untrack

        self._refuse_in_unit("untrack")
        untrack(self._using(), table, by)

    def vacuum(self) -> None:
        """Rebuild the file without its free pages. Takes the turn; readers go on; needs as much room again."""
        self._alone("VACUUM", lambda connection: connection.execute("VACUUM"))

    def restore(self, source: str | os.PathLike[str]) -> None:
        """Replace the contents by those of the SQLite file ``source``, which is not changed.

        On return they are durable and every later read sees them, in this and every other process; nothing cached before is served
        unless it is true of them. Takes the turn. Raises OpenError, NotADatabaseError, DamagedError where ``source`` is unfit, before
        anything is touched.
        """
        from .sqlite.restore import restore

        path = os.fspath(source)
        stamps = self._engine.settings.coherence == "stamps"
        self._alone("restore", lambda connection: restore(connection, path, self._engine.path, stamps=stamps))
        self._engine.forget()

    def restamp(self) -> None:
        """Make everything that was ever cached of this file invalid, here, in every other process and in every shared tier.

        For a file that lives twice: a virtual machine that was cloned, a process image that was restored. There random numbers may
        repeat, and with them stamps. Call it in one of the two, or `coeval restamp FILE`, before anything is written there. On
        return every scope and the schema have new stamps, durably, which owe nothing to this process's memory. Raises ConfigError with
        ``coherence="clock"``, where there are no stamps, ReentryError inside a transaction or snapshot, LockTimeoutError, StoreError.
        """
        if self._engine.settings.coherence != "stamps":
            raise ConfigError(
                f"{self._engine.path} is open without stamps, so there are none to renew",
                hint='Open it without coherence="clock".',
            )
        self._refuse_in_unit("restamp")

        def renew(own: Transaction) -> None:
            connection = own._ready().raw
            triggers.verify(connection)
            triggers.restamp(connection)

        Transaction(self._engine, "restamp").alone(renew)
        self._engine.events.tell("write")

    def _alone(self, what: str, work: Callable[[apsw.Connection], object]) -> None:
        """Run ``work`` with the turn and no transaction, then verify what it did to the schema."""
        self._refuse_in_unit(what)
        refuse_writes(what)
        store, connection = self._using().using(lambda store: (store, store.writer.alone(what)))
        try:
            try:
                work(connection.raw)
            finally:
                store.writer.rollback()
            if store.settings.coherence == "stamps":
                verifying = Transaction(self._engine, "verify the triggers")
                store.verified(verifying.alone(lambda own: store.verify_within(own._ready())))
        except apsw.Error as error:
            raise translate(error, store.path, what) from error
        self._engine.events.tell("write")

    def _refuse_in_unit(self, what: str) -> None:
        if joined(self._engine) is not None:
            raise ReentryError(
                f"{what} inside a transaction or snapshot would wait for it", hint="Call it after the block."
            )


def _check(store: Store, pragma: str) -> Check:
    connection = store.readers.hold()
    problems: list[str] = []
    keys: list[BrokenKey] = []
    try:
        connection.run("BEGIN")
        found = connection.rows(f"PRAGMA {pragma}({MOST_FINDINGS})", ())
        problems += (line for (line,) in found if line != "ok")
        keys += (BrokenKey(*row[:3]) for row in connection.rows("PRAGMA foreign_key_check", (), MOST_FINDINGS))
        connection.run("COMMIT")
    except (DamagedError, NotADatabaseError, SQLError) as error:  # too much to go on, or a foreign key that is none
        problems.append(error.message)
    finally:
        store.readers.let_go(connection)
    return Check(tuple(problems), tuple(keys))


def _checkpoint(store: Store, step: Step) -> Checkpoint:
    connection = store.writer.alone("checkpoint", first=True)
    try:
        before = store.checkpoints.wal()
        try:
            complete = store.checkpoints.make(connection, step)
        except apsw.Error as error:
            raise translate(error, store.path, "checkpoint") from error
        after = store.checkpoints.wal()
    finally:
        store.writer.rollback()
    if complete:
        store.tell("checkpoint")
    return Checkpoint(before.pages, before.pages if complete else min(after.moved, before.pages), complete)
