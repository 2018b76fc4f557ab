"""Reads and writes mixed over the flights of 2013: Coeval beside no cache and beside caches with explicit invalidation.

Usage: python benchmarks/mixes.py [--json]

A visitor opens the page of a flight: two statements, the flight with its present delay, and how the flights of its route fared in that
month. Or somebody reports a delay. Three workers do so for a fixed time, with 3 or 20 writes in a hundred, and flights drawn by one of two
popularity curves taken from traces: a web server's log (1,498 pages, Zipf slope 1.10) and film ratings (1,682 titles, slope 0.77).

All sides read and write the database by Coeval; below the other caches its own is off, so that what is compared is the caching.
Those are told of every write as their documentation says (`delete`, `invalidate`, `delete_memoized`), after the commit. Coeval is told
nothing. An answer is stale where it does not show a report whose write, and invalidation, had returned before the question was asked.
cashews is for asyncio, so there its three workers are tasks, and so are those of the sides that it stands beside. Each side has a
process and a file of its own. Ends with 1 where an answer of Coeval's was stale.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
import _children
import _mix
from _rounds import MACHINE, Verdicts, conclude, table

from coeval.demo import data, source

SHARES = {"3 % writes": 0.03, "20 % writes": 0.20}


def main(arguments: list[str]) -> int:
    if arguments[:1] == ["--child"]:
        return _children.answer(_mix.work(*arguments[1:]))
    found: dict[str, dict[str, dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory(prefix="coeval-mixes-") as folder:
        whole = Path(folder, "whole.db")
        data.build(whole, source.find(), lambda *_: None)
        for curve in _mix.CURVES:
            for mix, share in SHARES.items():
                results = found[f"{curve}, {mix}"] = {}
                for side in _mix.SIDES:
                    path = Path(folder, "side.db")
                    shutil.copyfile(whole, path)
                    results[side] = _children.together(__file__, side, 1, path, curve, share)[0]
                    data.remove(path)
    verdicts, heads = Verdicts(), ["requests/s", "× no cache", "hit %", "stale", "of reads"]
    groups = {load: {side: _summary(results, side) for side in results} for load, results in found.items()}
    for load, results in found.items():
        for side in results:
            if side in _mix.OURS:
                verdicts.check(f"{load}: {side}: stale answers", results[side]["stale"], 0, "answers")
    for side in _mix.PEERS:
        verdicts.note(f"{side}: stale answers, all loads", sum(results[side]["stale"] for results in found.values()))
    as_json = "--json" in arguments
    if not as_json:
        table(f"The page of a flight. {MACHINE}", ["", *heads], groups)
    return conclude(
        verdicts, {"title": "Mixes", "machine": MACHINE, "columns": heads, "groups": groups}, as_json=as_json
    )


def _summary(results: dict[str, dict[str, Any]], side: str) -> list[float]:
    one, base = results[side], results[_mix.SIDES[side]]
    rate = one["reads"] + one["writes"]
    hits = 100 * (1 - one["computed"] / one["reads"])
    return [int(rate / _mix.SECONDS), rate / (base["reads"] + base["writes"]), hits, one["stale"], one["reads"]]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
