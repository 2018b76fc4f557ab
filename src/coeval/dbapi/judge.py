"""What the statements of one connection may do, asked by SQLite whenever it compiles one.

Refused is what would let a stale result pass: writes to the tables that hold the stamps, and PRAGMAs that change the journal or forge
the schema's version, in a file of Coeval's, be it the connection's own or attached. The user's authorizer is not asked about our
triggers, so it cannot switch them off.

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw

from ..coherence.names import fold
from ..coherence.read_set import OWN_TABLES
from ..sqlite.tracking import TRIGGER_NAME

Authorizer = Callable[[int, str | None, str | None, str | None, str | None], Any]

_OURS_TO_SET = {"journal_mode", "locking_mode", "schema_version"}
#: What must not be done to the tables that hold the stamps. Where the table's name stands differs.
_CHANGES = frozenset(
    {
        *(apsw.SQLITE_INSERT, apsw.SQLITE_UPDATE, apsw.SQLITE_DELETE, apsw.SQLITE_DROP_TABLE, apsw.SQLITE_ALTER_TABLE),
        *(apsw.SQLITE_CREATE_TRIGGER, apsw.SQLITE_CREATE_TEMP_TRIGGER, apsw.SQLITE_CREATE_INDEX),
    }
)
_TEMPORARY = frozenset(
    code for name, code in apsw.mapping_authorizer_function.items() if str(name).startswith("SQLITE_CREATE_TEMP_")
)
#: Names under which ATTACH opens no file that others know; VACUUM does so.
_NO_FILE = frozenset({"", ":memory:"})


class Judge:
    """The authorizer of a connection. It knows nothing of the connection, which would be held by itself else."""

    def __init__(self, *, own: bool) -> None:
        """``own``: the connection's main database is a file of Coeval's."""
        self.user: Authorizer | None = None
        self.refusal = ""  #: why something was denied, until that was raised
        self.stamping = False  #: we write the stamps ourselves
        self.triggers = True  #: they are on
        self.replaced = ""  #: a function that triggers of Coeval's would call
        self.temporary = False  #: it may have made temporary tables
        self._own = own
        self._attached = False  # a file, at some time
        self._skips = ""  # a TEMP trigger that was made, perhaps on a table that is attached later

    def __call__(self, code: int, a: str | None, b: str | None, c: str | None, source: str | None) -> int:
        if self.stamping:
            return apsw.SQLITE_OK
        if source is not None and (self._own or self._attached) and TRIGGER_NAME.fullmatch(source):
            return apsw.SQLITE_OK
        self.temporary = self.temporary or code in _TEMPORARY
        refusal = self._refusal(code, a, b, c)
        if refusal:
            self.refusal = refusal
            return apsw.SQLITE_DENY
        return apsw.SQLITE_OK if self.user is None else int(self.user(code, a, b, c, source))

    def _refusal(self, code: int, a: str | None, b: str | None, c: str | None) -> str:
        if code == apsw.SQLITE_PRAGMA and b is not None and fold(a or "") in _OURS_TO_SET and not self._private(a, c):
            return f"PRAGMA {a} is not for a connection to change: Coeval's caches rest on it"
        if code in _CHANGES and not (c or "").startswith("vacuum_"):  # where VACUUM makes every table anew
            schema = a if code == apsw.SQLITE_ALTER_TABLE else c
            touched = OWN_TABLES & {fold(a or ""), fold(b or "")}
            if touched and (self._own or fold(schema or "") != "main"):
                return f"{min(touched)} is where Coeval keeps its stamps; `coeval uninstall FILE` removes it"
        if code == apsw.SQLITE_CREATE_TEMP_TRIGGER and TRIGGER_NAME.fullmatch(fold(a or "")):
            return f"{a} is a name of Coeval's triggers"
        if code == apsw.SQLITE_CREATE_TEMP_TRIGGER and (self._own or self._attached):
            return f"The TEMP trigger {a} could keep Coeval's from running; make it a trigger of the table's own schema"
        if code == apsw.SQLITE_ATTACH and a not in _NO_FILE:
            if not self.triggers:
                return "Triggers are switched off here, and Coeval's caches of an attached file rest on them; switch them on"
            if self.replaced:
                return f"{self.replaced} is replaced here, and the triggers of an attached file of Coeval's call it"
            if self._skips:
                return f"The TEMP trigger {self._skips} could keep those of an attached file of Coeval's from running"
            self._attached = True
        if code == apsw.SQLITE_CREATE_TEMP_TRIGGER:
            self._skips = a or "there"
        return ""

    def _private(self, pragma: str | None, schema: str | None) -> bool:
        """Whether a PRAGMA concerns nothing but a database in memory. Without a schema's name some mean all, and those to come."""
        if self._own:
            return False
        if schema is not None:
            return fold(schema) in {"main", "temp"}
        name = fold(pragma or "")
        return name == "schema_version" or (name == "journal_mode" and not self._attached)
