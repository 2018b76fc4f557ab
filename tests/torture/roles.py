"""The processes of a run: what each does, and which threads of the history and rows are its own.

Ring: policy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from torture.world import NAIVE, OWNERS, SLOTS


@dataclass(frozen=True)
class Role:
    """A process. ``slot`` is the first of its counts on the board, one for each thread and one more for its auditor."""

    does: str
    slot: int
    owner: int  #: the first of its owners' numbers, one for each thread that writes
    threads: int = 0  #: that read, or tasks
    writers: int = 0
    pause: float = 0.01  #: seconds between two writes, about
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def _roles() -> dict[str, Role]:
    audited = {"audit": 0.001}
    roles = {
        "threads": Role("threads", 0, 0, threads=2, writers=1, settings=audited),
        "tasks": Role("tasks", 4, 3, threads=5, settings=audited),
        "clock": Role("threads", 10, 4, threads=2, settings={"coherence": "clock"}),
        "data_version": Role("threads", 13, 6, threads=1, writers=1, settings={"commit_clock": "data_version"}),
        "writers": Role("writers", 16, 8, writers=2, pause=0.005),
        "foreign": Role("foreign", 19, 10, pause=0.005),
        "hostile": Role("hostile", 20, 11, pause=0.15),
        "keeper": Role("keep", 21, 11, pause=0.4),
    }
    for number, kind in enumerate(NAIVE):
        roles[kind] = Role(kind, 24 + 2 * number, 12 + number)
    return roles


ROLES = _roles()
ATTACKED = tuple(name for name in ROLES if name not in NAIVE)

assert all(role.owner < OWNERS and role.slot + max(1, role.threads + role.writers) <= SLOTS for role in ROLES.values())
