"""What is kept of a call: its value or its error, with what proves it.

Ring: flow.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from math import inf
from typing import Any

from ..coherence.proof import Proof
from .entry import Entry
from .key import Key
from .private import Private, Unkeepable, size
from .size import ENTRY


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception that is kept as the answer."""

    error: Exception

    def again(self) -> Exception:
        """A copy to raise: the one that is kept gathers no tracebacks, and what a caller does to its own is seen by no other.

        Raises Unkeepable.
        """
        kind = type(self.error)
        try:
            new = kind.__new__(kind, *self.error.args)  # `__init__` may need other arguments than it keeps
            new.args = copy.deepcopy(self.error.args)
            vars(new).update(copy.deepcopy(vars(self.error)))
        except Exception as error:
            raise Unkeepable(f"it raised a {kind.__name__}, which cannot be copied: {error}") from error
        return new


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a computation gave, for its passengers: what is kept, and its proof."""

    value: Any
    proof: Proof
    expires: float


class KeptCall(Entry):
    """The entry of a call. ``rows`` is its value, or what makes it."""

    rows: Any
    __slots__ = ("began", "expires", "proved", "shared", "stale")

    shared: bool  #: the value is given as it is, as long as the clock vouches for it
    expires: float  #: time.monotonic() at which it ends; inf: never
    began: float  #: time.monotonic() before it was computed
    proved: float  #: when it was last known to be valid
    stale: float  #: seconds for which it may be given after that


def kept_call(key: Key, what: Any, proof: Proof, expires: float, began: float, stale: float = 0.0) -> KeptCall:
    """The entry of what `kept` gave."""
    entry = KeptCall(
        key,
        what,
        scopes=proof.scopes,
        schema=proof.schema,
        stamps=proof.stamps,
        mark=proof.mark,
        size=ENTRY + size(key) + size(what),
    )
    entry.expires, entry.began, entry.proved, entry.stale = expires, began, began, stale
    entry.shared = expires == inf and not stale and type(what) not in (Raised, Private)
    return entry
