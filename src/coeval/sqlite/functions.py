"""SQL functions and collations that the user gives, and how they reach every connection.

Which functions make a statement uncacheable is decided here too (law 3, hole 12): the authorizer tells the names of the
functions a statement uses, so a name must say enough. Names of SQLite's own that always answer the same are good; those
that ask for the time, for chance or for the connection are not; a user's are good when declared deterministic, unless they
take the place of one of SQLite's.

Ring: shell.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import apsw

from ..coherence.buckets import FUNCTIONS
from ..coherence.names import fold
from ..errors import UsageError

#: They answer by the clock on the wall where an argument is 'now', and by the machine's zone where one is 'localtime'; an argument
#: may come from a column or a parameter, so no use of them is proved harmless.
DATES = frozenset(
    "date time datetime julianday strftime unixepoch timediff current_date current_time current_timestamp".split()
)

#: SQLite does not call these deterministic, and they are not.
VOLATILE = frozenset(
    "random randomblob changes total_changes last_insert_rowid load_extension sqlite_log sqlite_offset fts3_tokenizer".split()
)

#: Compiled in beside the core, so not flagged as its own, and known to depend on their arguments and the file alone.
BUNDLED = frozenset(
    "median percentile percentile_cont percentile_disc match bm25 highlight snippet matchinfo offsets "
    "fts5_get_locale rtreenode rtreedepth".split()
)

_DETERMINISTIC = apsw.SQLITE_DETERMINISTIC


@dataclass(frozen=True)
class Function:
    """One function or collation as the user gave it."""

    name: str
    call: Callable[..., Any]
    nargs: int = -1
    deterministic: bool = False
    collation: bool = False

    def register(self, connection: apsw.Connection) -> None:
        """Make it known to ``connection``, which must be idle."""
        if self.collation:
            connection.create_collation(self.name, self.call)
        else:
            connection.create_scalar_function(
                self.name, self.call, self.nargs, deterministic=self.deterministic, flags=apsw.SQLITE_INNOCUOUS
            )


class Functions:
    """All that the user gave, in order. Connections catch up when they are next taken from the pool."""

    def __init__(self) -> None:
        self.given: tuple[Function, ...] = ()

    def add(self, function: Function) -> None:
        """From the next statement on, every connection knows ``function``."""
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", function.name):
            raise UsageError(
                f"{function.name!r} is not a plain name for a function or collation",
                hint="Use letters, digits and underscores; SQL would need quotes around anything else.",
            )
        if not function.collation and fold(function.name) in FUNCTIONS:
            raise UsageError(
                f"{function.name} is a function of SQLite's that Coeval's triggers call",
                hint="Give yours another name.",
            )
        if not callable(function.call):
            raise UsageError(f"{function.call!r}, given as {function.name}, cannot be called", hint="Give a callable.")
        scratch = apsw.Connection(":memory:")
        try:
            function.register(scratch)
        except (apsw.Error, TypeError, ValueError, OverflowError) as error:
            raise UsageError(
                f"SQLite refuses the function {function.name} with nargs={function.nargs!r}: {error}",
                hint="nargs is -1 for any number, or 0 to 127.",
            ) from error
        finally:
            scratch.close()
        self.given = (*self.given, function)

    @property
    def collations(self) -> frozenset[str]:
        """Names of user collations, in lower case."""
        return frozenset(fold(f.name) for f in self.given if f.collation)


class Repertoire:
    """What one connection offers in functions, to tell which statements may be cached."""

    def __init__(self, connection: apsw.Connection) -> None:
        rows = list(connection.execute("SELECT name, type, builtin, flags, narg, enc FROM pragma_function_list"))
        self._listed = frozenset(rows)
        self.steady = (
            frozenset(
                name
                for name, kind, builtin, flags, _, _ in rows
                if (builtin and (flags & _DETERMINISTIC or kind in "aw")) or name in BUNDLED
            )
            - DATES
            - VOLATILE
        )
        self.names = frozenset(name for name, *_ in rows)

    def changed_by(self, connection: apsw.Connection) -> frozenset[str]:
        """Names of functions that ``connection`` has and we had not, or has otherwise."""
        return frozenset(row[0] for row in Repertoire(connection)._listed ^ self._listed)
