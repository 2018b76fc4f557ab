"""A child that opens files, of which some are damaged or may not be written, and says how it went.

Hears ``{"path": …, "settings": {…}}``, opens the file, reads all rows, asks for its integrity, reads by an index, writes a row, closes;
says what each step gave: a value, or the name and text of its error. Errors that are not Coeval's end it. With ``dropped`` among its
arguments it has first given up the right of a superuser to pass over permissions.
"""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

from faults import ledger
from faults.programs import arguments, hear, say

BOUNDING_SET_DROP, PASS_OVER_PERMISSIONS = 24, (1, 2)


def drop() -> None:
    """Be bound by permissions from now on, whoever this is: the right is lost by running a program anew."""
    if os.environ.get("COEVAL_TEST_DROPPED") != "1":
        for right in PASS_OVER_PERMISSIONS:
            ctypes.CDLL(None).prctl(BOUNDING_SET_DROP, right, 0, 0, 0)
        os.environ["COEVAL_TEST_DROPPED"] = "1"
        os.execv(sys.executable, [sys.executable, "-P", "-m", "faults.opener", *sys.argv[1:]])  # noqa: S606


def step(answer: dict[str, Any], name: str, work: Any) -> Any:
    """Do one step, and note what it gave."""
    import coeval

    try:
        answer[name] = work()
    except coeval.Error as error:
        answer[name] = {"error": type(error).__name__ if error.hint else "no cure", "message": str(error)}


def look(path: str, settings: dict[str, Any]) -> dict[str, Any]:
    """All steps on one file."""
    import coeval

    answer: dict[str, Any] = {}
    step(answer, "open", lambda: coeval.open(path, **settings))
    db = answer["open"]
    if isinstance(db, coeval.Database):
        answer["open"] = True
        step(answer, "groups", lambda: [list(row) for row in db.query(ledger.GROUPS)])
        step(answer, "again", lambda: [list(row) for row in db.query(ledger.GROUPS)])
        step(answer, "integrity", lambda: db.scalar("PRAGMA integrity_check(1)"))
        step(answer, "index", lambda: db.scalar("SELECT count(*) FROM rows WHERE who = 'file' AND n < 10"))
        step(answer, "write", lambda: db.execute(ledger.INSERT, "after", 0, 0, 1, "x" * 5000).rowcount)
        step(answer, "close", db.close)
    return answer


def main(dropped: bool = False) -> None:
    """Serve until the pipe closes."""
    if dropped:
        drop()
    say("ready")
    while True:
        asked = hear()
        say(look(asked["path"], asked.get("settings", {})))


if __name__ == "__main__":
    main(**arguments())
