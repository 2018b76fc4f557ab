"""A child that opens, reads and writes a file on a disk with ever less room, each time in a process of its own.

Arguments: ``folder`` to mount a tmpfs on; ``rooms``, in pages. Says for each amount of room how such a process
ended, and how another one with room again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from faults.programs import arguments, say

#: What of the files that a killed process left is missing.
MISSING = ("", "-shm", "-gate")

WRITER = """
import os, sys, coeval
db = coeval.open(sys.argv[1])
db.script("CREATE TABLE IF NOT EXISTS t (x)")
db.execute("INSERT INTO t VALUES (1)")
os.kill(os.getpid(), 9)
"""
USER = """
import os, sys, coeval
def attempt(name, work):
    try:
        print(name, work())
    except coeval.Error as error:
        assert error.hint, error
        print(name, "refused:", type(error).__name__)
try:
    db = coeval.open(sys.argv[1])
except coeval.Error as error:
    assert error.hint, error
    print("open refused:", type(error).__name__)
else:
    attempt("read", lambda: db.scalar("SELECT count(*) FROM t"))
    attempt("write", lambda: db.execute("INSERT INTO t VALUES (zeroblob(50000))").rowcount)
    attempt("read", lambda: db.scalar("SELECT count(*) FROM t WHERE x = 1"))
    attempt("close", db.close)
print("end")
"""


def run(text: str, path: str) -> tuple[int, str]:
    done = subprocess.run([sys.executable, "-c", text, path], capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def main(folder: str, rooms: list[int]) -> None:
    """Through all of it."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
    path, ballast = os.path.join(folder, "app.db"), os.path.join(folder, "ballast")
    assert -signal.SIGKILL == run(WRITER, path)[0]
    left = {name: content(os.path.join(folder, name)) for name in os.listdir(folder)}
    for pages in rooms:
        for missing in MISSING:
            for name in os.listdir(folder):
                os.unlink(os.path.join(folder, name))
            for name, kept in left.items():
                if not name.endswith(missing or "nothing"):
                    with open(os.path.join(folder, name), "wb") as file:
                        file.write(kept)
            fill(folder, ballast, pages * 4096)
            say([pages, missing, *run(USER, path)])
            os.unlink(ballast)
            say(run(USER, path))


def content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def fill(folder: str, ballast: str, room: int) -> None:
    state = os.statvfs(folder)
    with open(ballast, "wb") as file:
        file.write(bytes(max(0, state.f_bavail * state.f_bsize - room)))


if __name__ == "__main__":
    main(**arguments())
