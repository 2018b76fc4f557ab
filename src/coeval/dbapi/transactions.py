"""Transactions: ``isolation_level`` as before Python 3.12, ``autocommit`` as since, and the connection as a context.

On a file, a transaction that writes takes its turn with its first write, or at BEGIN IMMEDIATE; the turn passes on when it ends.

Ring: shell.
"""

from __future__ import annotations

from types import TracebackType
from typing import Literal, Self

from . import errors
from .base import Base
from .constants import LEGACY_TRANSACTION_CONTROL
from .plan import Plan

_LEVELS = ("", "DEFERRED", "IMMEDIATE", "EXCLUSIVE")


def checked_level(level: object) -> str | None:
    """``level`` in upper case; raises TypeError or ValueError where it is none."""
    if level is None:
        return None
    if not isinstance(level, str):
        raise TypeError("isolation_level must be str or None")
    if "\0" in level:
        raise ValueError("embedded null character")
    upper = str.upper(level)
    if upper not in _LEVELS:
        raise ValueError("isolation_level string must be '', 'DEFERRED', 'IMMEDIATE', or 'EXCLUSIVE'")
    return upper


def checked_autocommit(value: object) -> int:
    """``value`` as True, False or LEGACY_TRANSACTION_CONTROL; raises ValueError where it is none."""
    if value is True or value is False:
        return value
    if isinstance(value, int) and value == LEGACY_TRANSACTION_CONTROL:
        return LEGACY_TRANSACTION_CONTROL
    raise ValueError("autocommit must be True, False, or sqlite3.LEGACY_TRANSACTION_CONTROL")


class Transactions(Base):
    """The part of a connection that begins and ends transactions."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        self._check()
        with self._lock:
            return bool(self._live().raw.in_transaction)

    @property
    def isolation_level(self) -> str | None:
        """What an implicit BEGIN is followed by: "", "DEFERRED", "IMMEDIATE" or "EXCLUSIVE"; None where there is none.

        Only where ``autocommit`` is LEGACY_TRANSACTION_CONTROL. Setting it to None commits.
        """
        self._check()
        return self._isolation_level

    @isolation_level.setter
    def isolation_level(self, level: str | None) -> None:
        level = checked_level(level)
        self._check()
        if level is None and self._autocommit == LEGACY_TRANSACTION_CONTROL and self.in_transaction:
            self._control("COMMIT")
        self._isolation_level = level

    @isolation_level.deleter
    def isolation_level(self) -> None:
        raise AttributeError("cannot delete attribute")

    @property
    def autocommit(self) -> int:
        """True: SQLite's autocommit. False: a transaction is always open. Or LEGACY_TRANSACTION_CONTROL.

        Setting it to True commits, to False begins.
        """
        self._check()
        return self._autocommit

    @autocommit.setter
    def autocommit(self, value: int) -> None:
        self._check()
        mode = checked_autocommit(value)
        if mode is True and self.in_transaction:
            self._control("COMMIT")
        elif mode is False and not self.in_transaction:
            self._control("BEGIN")
        self._autocommit = mode

    def commit(self) -> None:
        """Commit the open transaction, if there is one. On return it is durable, and every later read sees it.

        With ``autocommit`` True it does nothing; with False another transaction begins.
        """
        self._end_transaction("COMMIT")

    def rollback(self) -> None:
        """Undo the open transaction, if there is one. With ``autocommit`` as for `commit`."""
        self._end_transaction("ROLLBACK")

    def __enter__(self) -> Self:
        self._check()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> Literal[False]:
        """Commit, or roll back after an exception or where the commit fails."""
        if kind is not None:
            self.rollback()
            return False
        try:
            self.commit()
        except BaseException:
            self.rollback()
            raise
        return False

    # -- inside ---------------------------------------------------------------------------------------------------------

    def _end_transaction(self, how: str) -> None:
        self._check()
        if self._autocommit is True:
            return
        with self._lock:
            if self._live().raw.in_transaction:
                self._control(how)
            if self._autocommit is False:
                self._control("BEGIN")

    def _begin_for(self, plan: Plan) -> None:
        """The implicit BEGIN before a statement that changes rows."""
        legacy = self._autocommit == LEGACY_TRANSACTION_CONTROL and self._autocommit is not False
        if legacy and plan.dml and self._isolation_level is not None and not self._live().raw.in_transaction:
            self._control(f"BEGIN {self._isolation_level}", writes=self._isolation_level in {"IMMEDIATE", "EXCLUSIVE"})

    def _commit_before_script(self) -> None:
        if self._autocommit == LEGACY_TRANSACTION_CONTROL and self._live().raw.in_transaction:
            self._control("COMMIT")

    def _end_for_close(self) -> None:
        """With ``autocommit`` False what is open is rolled back in words, for whoever traces."""
        try:
            if self._autocommit is False and self._live().raw.in_transaction:
                self._control("ROLLBACK")
        except errors.Error:  # closing does it anyway
            return
