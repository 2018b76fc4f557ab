"""A disk that fails now and then: each write is answered, told truly whether it was written, and the next one goes on."""

from __future__ import annotations

import pytest

LOG = [["wal", "write"], ["wal", "sync"]]
FILE = [["db", "write"], ["db", "sync"]]
READ = [["db", "read"], ["wal", "read"]]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("where", "rate", "full"),
    [
        (LOG[:1], 40, False),
        (LOG[1:], 4, False),
        (LOG[:1], 40, True),
        (FILE, 3, False),
        (READ, 25, False),
        (LOG + FILE + READ, 60, False),
    ],
    ids=["writing the log", "syncing the log", "no room for the log", "checkpoints", "reading", "everything"],
)
@pytest.mark.parametrize("threads", [1, 12])
def test_a_sick_disk(program, path, scaled, where, rate, full, threads):
    """What was acknowledged is there, what was refused is not, no call is left waiting; on a disk that is well nothing is refused."""
    writes = scaled(2400, 120) // (1 if threads == 1 else 4)
    child = program("sick", path=path, where=where, rate=rate, full=full, threads=threads, writes=writes)
    said = child.hear(250)
    assert not said["failures"], said["failures"][0]
    assert [[], [], []] == said["wrong"]
    assert "ok" == said["integrity"]
    assert 0 == said["refused later"]
    assert said["errors"]
    assert set(said["refused"]) <= ({"DiskFullError"} if full else {"StorageError"})
    assert where == FILE or said["refused"]
    assert 0 == child.wait()
