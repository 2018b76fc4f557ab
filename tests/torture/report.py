"""What a run found, as a table, and the evidence of whatever was wrong.

Ring: shell.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from torture.run import Found, uncaught
from torture.world import KINDS, NAIVE

_EXAMPLES = 5

#: What a call that reads may raise; the first of `write`, under writers that never rest.
_WAITED = {"SerializationError", "LockTimeoutError", "PoolTimeoutError", "SnapshotEndedError"}

_HEADS = ("reads", "from cache", "raced a commit", "violations")


def show(found: Found, naive: Found | None, seed: int) -> int:
    """Print it; 1 where an answer was untrue, a process ended by itself, or a naive cache was never caught."""
    _line("kind of read", *_HEADS)
    for kind in KINDS:
        where = naive if kind in NAIVE else found
        if where is not None and where.kinds[kind][0]:
            _counts(kind, where.kinds[kind])
    totals = tuple(found.total(number) for number in range(4))
    _counts("all, without the naive", totals)
    rate = totals[0] / found.seconds
    print(
        f"\n{found.seconds:.0f} s, seed {seed}: {rate:,.0f} judged reads a second; {found.commits:,} commits, "
        f"{found.restores} restores, {found.kills} times kill -9, {found.errors} calls raised"
    )
    calls = sum(found.statistics)
    if calls:
        names = ("by the clock", "revalidated by stamps", "computed", "past the cache")
        shares = [f"{100 * n / calls:.1f} % {name}" for name, n in zip(names, found.statistics, strict=True)]
        print(f"  answered, in processes that were not killed: {', '.join(shares)}")
    for (what, error), count in Counter((one["what"], one["error"]) for one in found.failures).most_common(_EXAMPLES):
        print(f"  raised: {what}: {error}, {count} times written down")
    problems = [json.dumps(one) for one in found.failures if not expected(one)][:_EXAMPLES]
    problems += [f"failed: {one}" for one in found.died[:_EXAMPLES]]
    sound = [one for one in found.violations if one["kind"] not in NAIVE]
    problems += [json.dumps(one, default=repr) for one in sound[:_EXAMPLES]]
    if naive is not None:
        problems += [f"never caught: {kind}" for kind in sorted(uncaught(naive.kinds))]
    for one in problems:
        print(one)
    print("FAILED" if problems or totals[3] else "Every answer was true.")
    return int(bool(problems or totals[3]))


def expected(failure: dict[str, Any]) -> bool:
    """Whether a call may raise this: writers meet each other, and what they do is refused; a read only ever waits too long."""
    return not failure["what"].startswith("read") or failure["error"] in _WAITED


def _counts(kind: str, counts: tuple[int, ...]) -> None:
    judged, same, raced, violations = counts
    share = f"{100 * same / judged:.1f} %" if same else "–"
    _line(kind, f"{judged:,}", share, f"{raced:,}", f"{violations:,}")


def _line(kind: str, *numbers: str) -> None:
    print(f"{kind:30} " + " ".join(f"{number:>15}" for number in numbers))
