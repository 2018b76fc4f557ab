"""Group commit: writes that wait at the same time are made in one transaction, by whichever of their callers has the turn (laws 6 and 7).

One leads: it makes its own write, then those that wait, each in a savepoint, and commits once for all; only then are all answered. Alone,
a write is a transaction like any other. What must hold here (hole 6):

* A member that fails fails alone. After each one is looked whether COMMIT would fail for its sake (deferred foreign keys), and whether the
  transaction is still there (OR ROLLBACK, RAISE(ROLLBACK)): where it is not, the innocent are made again.
* Where there is no room, each is tried in a transaction of its own. Where the disk fails, all fail, and are told so.
* Nobody's code runs for a neighbour: only statements with their values at hand become members, and none that calls a function of the
  user's (hole 7). Nothing interrupts a batch.
* Every member that was taken is answered or put back, whatever happens to the leader.

Ring: shell.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import apsw

from ..errors import ConstraintError, DamagedError, DiskFullError, LockTimeoutError, SQLError, StorageError, StoreError
from ..rows import Result
from .failures import shorten
from .place import LEAD, Member, tell
from .steps import step

if TYPE_CHECKING:
    from .connection import Connection
    from .statement import Statement
    from .writer import Writer

#: A batch takes no more members than this, rows of them together, and none after so many seconds (bounded overtaking).
MEMBERS, ROWS, SECONDS = 512, 10_000, 0.01

#: How often the end of a batch is done again when an interrupt hits it.
TRIES = 8

Outcome = Result | BaseException


@dataclass
class BatchCounts:
    """Batches of more than one member, the members in them, and how often a member was made again for a neighbour's sake."""

    batches: int = 0
    members: int = 0
    replays: int = 0


class Batches:
    """Makes members. They come in through the writer's gate."""

    def __init__(
        self,
        writer: Writer,
        tell: Callable[[], None],
        alone: Callable[[Connection], bool],
        doubt: Callable[[str], None],
    ) -> None:
        """``tell`` is called for each write that was committed; ``alone`` says whether what may be shared is in doubt now (hole 7).

        ``doubt`` is called for a statement that was compiled anew.
        """
        self._writer = writer
        self._doubt = doubt
        self._alone = alone
        self._tell = tell
        self.counts = BatchCounts()
        writer.gate.lead = self._lead_for_task

    def run(self, statement: Statement, parameters: Any, many: bool = False) -> Result:
        """Make one write, alone or together with others; durable when it returns.

        ``parameters`` fit the statement; where ``many``, they are a sequence of such, and all are written or none. It may be made more
        than once before it is committed. Raises ConstraintError and its like, LockTimeoutError where its turn did not come in time,
        DiskFullError, StorageError, Retired; then nothing of it was written. An interrupt while another makes it leaves it made.
        """
        gate = self._writer.gate
        member = Member(statement, parameters, many, True)
        try:
            outcome = LEAD if gate.at_once(member) else gate.join(member, self._writer.timeout)
            return self._lead(member) if outcome is LEAD else outcome  # type: ignore[return-value]
        except BaseException:  # an interrupt between two steps
            self._writer.give_up(member)
            raise

    def submit(self, statement: Statement, parameters: Any, many: bool = False) -> Future[Result]:
        """As `run`, for who must not wait: its result or error by a future, told in any thread.

        ``future.cancel()`` drops it where it has not begun, and is False where it has; then it will be committed. There is no
        time-out: who has waited long enough cancels, and raises `Gate.late`. Retired: the next store has to be asked.
        """
        return self._writer.gate.submit(Member(statement, parameters, many, False))

    def _lead_for_task(self, member: Member) -> None:
        assert member.future is not None
        try:
            result = self._lead(member)
        except BaseException as error:
            member.future.set_exception(error)
        else:
            member.future.set_result(result)

    def _lead(self, member: Member) -> Result:
        """Make ``member``, which has the turn, and those that wait; pass the turn on."""
        if member.statement.complete and not member.many and not self._writer.gate.queue:
            result = self._lead_alone(member)
            if result is not None:
                return result
            try:
                return self._lead_all(member)
            finally:
                self._doubt(member.what)
        return self._lead_all(member)

    def _lead_alone(self, member: Member) -> Result | None:
        """Make ``member`` without a transaction around it; None, and nothing has happened, where it would have to be compiled.

        What is known of it holds for the schema that it was compiled for.
        """
        writer = self._writer
        connection = writer.ready_held(member)
        watcher = connection.watcher
        watcher.heard, watcher.shut = False, True
        try:
            result = step(connection, member.statement, member.parameters)
        except BaseException as error:
            watcher.shut = False
            if watcher.heard and isinstance(error, SQLError):
                return None
            writer.rollback()
            if isinstance(error, LockTimeoutError):
                raise writer.locked() from error
            raise
        watcher.shut = False
        writer.leave()
        self._tell()
        return result

    def _lead_all(self, member: Member) -> Result:
        """As `_lead`, in a transaction."""
        writer = self._writer
        connection = writer.begin_held(member)
        try:
            result = member.make(connection)
        except BaseException:
            writer.rollback()
            raise
        if not writer.gate.queue or _would_fail(connection) or self._alone(connection):
            writer.commit()
            self._tell()
            return result
        batch = _Batch(writer, connection, member, result)
        try:
            batch.make()
        finally:
            try:
                self._finish(batch)
            except BaseException:  # an interrupt before that could begin
                self._finish(batch)
                raise
        own = batch.outcomes[member]
        if isinstance(own, BaseException):
            raise own
        return own

    def _finish(self, batch: _Batch) -> None:
        """Pass the turn on and answer everybody, whatever interrupts it."""
        interrupt = None
        for _ in range(TRIES):
            try:
                batch.finish()
                break
            except Exception:
                raise
            except BaseException as error:
                interrupt = error
        if not batch.counted:
            batch.counted = True
            if len(batch.outcomes) > 1:
                self.counts.batches += 1
                self.counts.members += len(batch.outcomes)
            self.counts.replays += batch.replays
            for outcome in batch.outcomes.values():
                if not isinstance(outcome, BaseException):
                    self._tell()
        if interrupt is not None:
            raise interrupt


class _Batch:
    """One batch, from its leader's own write on. `outcomes` says of each member what came of it, committed or failed."""

    def __init__(self, writer: Writer, connection: Connection, leader: Member, result: Result) -> None:
        self._writer = writer
        self._connection = connection
        self._leader = leader
        self._since = time.monotonic()
        self._taken: list[Member] = []  # all but the leader: each is in `outcomes` at the end, or put back
        self._made: dict[Member, Result] = {leader: result}  # not committed yet
        self._todo: deque[Member] = deque()
        self._rows = leader.rows
        self._committing = False
        self._passed = False
        self.outcomes: dict[Member, Outcome] = {}
        self.replays = 0
        self.counted = False

    def make(self) -> None:
        """Make all, and commit."""
        while self._next():
            self._make(self._todo.popleft())
        self._commit()

    def finish(self) -> None:
        """Pass the turn on and answer. What has no outcome, because the leader was interrupted, is put back for another.

        What was interrupted in this is done by doing it again.
        """
        writer = self._writer
        if not self._passed:
            if self._committing and not writer.undone and not self._connection.raw.in_transaction:
                self.outcomes |= self._made  # the interrupt came when COMMIT had returned
            self._committing = False
            writer.undo()
            writer.gate.put_back([member for member in self._taken if member not in self.outcomes])
            self._passed = True
        writer.give_up(self._leader)
        for member, outcome in self.outcomes.items():
            if member is not self._leader and member.future is not None:
                tell(member.future, outcome)

    def _next(self) -> bool:
        if not self._todo and self._rows < ROWS and time.monotonic() - self._since < SECONDS:
            mates = self._writer.gate.mates(MEMBERS - 1 - len(self._taken), ROWS - self._rows, self._taken)
            self._todo.extend(mates)
            self._rows += sum(member.rows for member in mates)
        return bool(self._todo)

    def _make(self, member: Member) -> None:
        connection = self._connection
        try:
            connection.run("SAVEPOINT coeval_member")
            result = member.make(connection)
            if _would_fail(connection):
                raise ConstraintError(
                    f"FOREIGN KEY constraint failed in {shorten(member.what)}",
                    hint="Nothing of the statement was written; write the row that it refers to first.",
                )
            connection.run("RELEASE coeval_member")
        except Exception as error:
            self._failed(member, error)
        else:
            self._made[member] = result

    def _failed(self, member: Member, error: Exception) -> None:
        raw = self._connection.raw
        if isinstance(error, DiskFullError):
            self._writer.undo()
            self._one_by_one([*self._made, member, *self._todo])
        elif isinstance(error, StorageError) or (isinstance(error, DamagedError) and not raw.in_transaction):
            self._writer.undo()
            self._all_fail([*self._made, member], error)
            self._again()
        elif raw.in_transaction:
            self._connection.run("ROLLBACK TO coeval_member")
            self._connection.run("RELEASE coeval_member")
            self.outcomes[member] = error
        else:  # it ended the transaction, and took what its neighbours had done with it
            self.outcomes[member] = error
            self._todo.extendleft(reversed(self._made))
            self.replays += len(self._made)
            self._made.clear()
            self._again()

    def _again(self) -> None:
        """Go on in a new transaction. Where there is none to be had, the leader is told, and the others are put back."""
        try:
            self._connection = self._writer.again()
        except Exception as error:
            if self._leader in self._todo:
                self.outcomes[self._leader] = error
            self._end()

    def _end(self) -> None:
        """Nothing more is taken or made here."""
        self._todo.clear()
        self._since = float("-inf")

    def _commit(self) -> None:
        if not self._made:
            return
        self._committing = True
        try:
            self._writer.commit_held()
        except DiskFullError:
            self._committing = False
            self._one_by_one([*self._made])
        except StoreError as error:
            self._committing = False
            self._all_fail([*self._made], error)
        else:
            self.outcomes |= self._made
            self._committing = False

    def _one_by_one(self, members: list[Member]) -> None:
        """Each in a transaction of its own, so that those for which there is room are made."""
        self._made.clear()
        self._end()
        self.replays += len(members)
        for member in members:
            try:
                connection = self._writer.again()
                self._made = {member: member.make(connection)}
                self._committing = True
                self._writer.commit_held()
            except Exception as error:
                self._committing = False
                self._made.clear()
                self._writer.undo()
                self.outcomes[member] = error
            else:
                self.outcomes |= self._made
                self._committing = False
                self._made.clear()

    def _all_fail(self, members: list[Member], error: StoreError) -> None:
        self._made.clear()
        for member in members:
            told = type(error)(
                f"{error.message}; none of the {len(members)} writes that were to be committed together was written",
                hint=error.hint,
            )
            told.__cause__ = error
            self.outcomes[member] = told


def _would_fail(connection: Connection) -> bool:
    """Whether COMMIT would fail for a deferred foreign key."""
    return connection.raw.status(apsw.SQLITE_DBSTATUS_DEFERRED_FKS)[0] > 0
