"""Where there is no room, writes are refused and told so, reads go on, and writes resume when there is room."""

from __future__ import annotations

import pytest

from faults.tight import MISSING


@pytest.mark.timeout(300)
def test_a_full_disk(program, mounting, tmp_path, scaled):
    """Many threads on a full disk: what was acknowledged is there, and nothing else; what was refused was told by its error."""
    child = program("no_room", before=mounting, folder=tmp_path, how="disk", writers=scaled(64, 32))
    said = child.hear(200)
    assert not said["failures"], said["failures"][0]
    assert [] == said["problems"]
    assert "ok" == said["integrity"]
    assert said["refused"]["DiskFullError"]
    assert {"DiskFullError"} == set(said["refused"])


@pytest.mark.timeout(300)
def test_a_limit_on_the_size_of_files(program, tmp_path, scaled):
    """The same where the system refuses to let files grow, which SQLite calls an I/O error."""
    child = program("no_room", folder=tmp_path, how="limit", writers=scaled(64, 16))
    said = child.hear(200)
    assert not said["failures"], said["failures"][0]
    assert [] == said["problems"]
    assert "ok" == said["integrity"]
    assert {"DiskFullError", "StorageError"} >= set(said["refused"])


def test_opening_where_there_is_little_room(program, mounting, tmp_path, soak):
    """Opening, reading, writing and closing with a few pages of room: done or refused with a cure, never a crash."""
    rooms = [64, 24, 12, 10, 9, 8, 4, 2, 1, 0] if soak else [9, 0]
    child = program("tight", before=mounting, folder=tmp_path, rooms=rooms)
    for pages in rooms:
        for missing in MISSING:
            said = child.hear()
            assert [pages, missing, 0] == said[:3], said
            assert said[3].endswith("end\n")
            refused = {word for line in said[3].split("\n") if "refused" in line for word in line.split()[-1:]}
            assert refused <= {"DiskFullError", "StorageError", "OpenError", "NotWritableError"}, said
            code, said = child.hear()
            assert 0 == code, said
            assert "refused" not in said
