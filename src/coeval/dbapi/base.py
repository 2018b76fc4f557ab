"""What the parts of a connection share: its handle, whether it may be used here and now, plans, and errors.

Ring: shell.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any

import apsw

from ..sqlite.statement import only_tells
from ..witnessing import refuse_proof
from . import errors, plan
from .constants import LEGACY_TRANSACTION_CONTROL, SQLITE_LIMIT_SQL_LENGTH
from .handle import Handle, User
from .plan import Plan

#: Plans kept for each connection.
MOST_PLANS = 512


class Base:
    """The inside of a connection."""

    _handle: Handle
    _plans: OrderedDict[str, Plan]
    _lock: threading.RLock | Any
    _detect_types = 0
    _check_same_thread = True
    _isolation_level: str | None = ""
    _autocommit: int = LEGACY_TRANSACTION_CONTROL
    _thread = 0
    _closed = False
    _running: apsw.Cursor | None = None  #: the APSW cursor that runs a statement now, for the trace
    text_factory: Any = str

    # -- may it be used? ------------------------------------------------------------------------------------------------

    def _check_thread(self) -> None:
        if self._check_same_thread and self._thread != threading.get_ident():
            if not self._thread:
                raise errors.ProgrammingError("Base Connection.__init__ not called.")
            raise errors.ProgrammingError(
                "SQLite objects created in a thread can only be used in that same thread. The object was created in "
                f"thread id {self._thread} and this is thread id {threading.get_ident()}."
            )

    def _check(self) -> None:
        """Raise where this connection cannot be used here and now."""
        self._check_thread()
        if self._closed:
            raise errors.ProgrammingError("Cannot operate on a closed database.")
        if not self._thread:
            raise errors.ProgrammingError("Base Connection.__init__ not called.")
        self._handle.follow()

    def _live(self) -> Handle:
        """The handle, which is open; a callback may have closed it."""
        if self._closed:
            raise errors.ProgrammingError("Cannot operate on a closed database.")
        refuse_proof("through coeval.dbapi")
        return self._handle

    def _adopt(self, user: User) -> None:
        """``user`` runs statements of this connection."""
        if self._thread and not self._closed:
            self._handle.users.add(user)

    # -- statements -----------------------------------------------------------------------------------------------------

    def _check_text(self, sql: str) -> None:
        if len(sql.encode()) > self._live().raw.limit(SQLITE_LIMIT_SQL_LENGTH, -1):
            raise errors.DataError("query string is too large")
        if "\0" in sql:
            raise ValueError("embedded null character")

    def _plan(self, sql: str, *, again: bool = False) -> Plan:
        """What ``sql`` is. ``again``: its columns may be others by now."""
        known = self._plans.get(sql)
        if known is not None and not again:
            return known
        try:
            if known is None:
                self._check_text(sql)
            made = plan.compile(self._live().raw, sql)
        except ValueError as error:
            if isinstance(error, UnicodeEncodeError):
                raise
            raise errors.ProgrammingError("the query contains a null character") from None
        except apsw.Error as error:
            raise self._error(error) from error
        if len(self._plans) >= MOST_PLANS:
            self._plans.popitem(last=False)
        self._plans[sql] = made
        return made

    def _note(self, ran: Plan) -> None:
        """``ran`` has run: a PRAGMA that sets up the connection is to be run again where the connection is opened again."""
        if ran.sets and not only_tells(ran.sets, "x"):
            text = ran.text
            self._handle.keep(("pragma", ran.sets), lambda raw: raw.execute(text).fetchall(), applied=True)

    def _error(self, error: BaseException) -> BaseException:
        """The error to raise for one of APSW's, or of Python's under it."""
        if isinstance(error, apsw.AuthError) and self._handle.judge.refusal:
            refusal, self._handle.judge.refusal = self._handle.judge.refusal, ""
            return errors.of_code(apsw.SQLITE_AUTH, f"not authorized: {refusal}")
        if isinstance(error, apsw.Error):
            return errors.translate(error)
        if isinstance(error, OverflowError):
            return OverflowError("Python int too large to convert to SQLite INTEGER")
        if isinstance(error, UnicodeDecodeError):
            return errors.OperationalError(f"Could not decode to UTF-8: {error}")
        return error

    # -- statements of our own ------------------------------------------------------------------------------------------

    def _control(self, sql: str, *, writes: bool = False) -> None:
        """Run BEGIN, COMMIT or ROLLBACK."""
        handle = self._live()
        with handle.lock:
            cursor = handle.raw.cursor()
            try:
                if writes:
                    handle.enter(sql)
                cursor.execute(sql)
            except apsw.Error as error:
                raise self._error(error) from error
            finally:
                cursor.close(True)
                handle.settle()
