"""What is in the database of a torture run, and which cell of the history each row is.

Ring: policy.
"""

from __future__ import annotations

from typing import NamedTuple


class Table(NamedTuple):
    """A table of rows ``id`` 0 … ``size`` - 1, any of which may be absent; the cell of a row is ``first + id``."""

    name: str
    first: int
    size: int


OWNERS = 16  #: threads that write rows of their own, each statement by itself
OWNED = 6  #: rows of each
GROUPS = 6
PARENTS = 4
ACCOUNTS = 6
TOTAL = 600

_SIZES = {
    "solo": OWNERS * OWNED,  # each row is written by one owner alone
    "item": 24,  # in groups that rows move between; a second unique key makes victims
    "child": 12,  # falls with its parent
    "pair": 6,  # left_side and right_side, the second by a trigger: of one version in every snapshot
    "east": 6,  # exchanges its name with
    "west": 6,
    "outside": OWNERS,  # no table: values that tags stand for
}


def _tables() -> dict[str, Table]:
    found, first = {}, 0
    for name, count in _SIZES.items():
        found[name] = Table(name, first, count)
        first += count
    return found


TABLES = _tables()
CELLS = sum(_SIZES.values())
NUMBERS = {name: number for number, name in enumerate(TABLES)}
SLOTS = 48

#: Kinds of reads, as the table of the report names them.
KINDS = (
    "query: one row",
    "query: an owned row",
    "query: rows of a group",
    "query: a join",
    "query: a sum",
    "query: a slow one",
    "one",
    "scalar",
    "a renamed table",
    "by the clock alone",
    "function",
    "function of two queries",
    "nested function",
    "slow function",
    "method",
    "function with kept errors",
    "refresh, invalidate, peek",
    "function with a tag",
    "value with a tag",
    "value of a query",
    "snapshot",
    "in a transaction",
    "after a rollback",
    "in write(...)",
    "task: query",
    "task: function",
    "task: value of a query",
    "task: snapshot",
    "task: in a transaction",
    "audited in the background",
    "naive: delete after commit",
    "naive: stamp after the query",
    "naive: TTL only",
    "naive: join any flight",
)
KIND = {name: number for number, name in enumerate(KINDS)}
NAIVE = tuple(name for name in KINDS if name.startswith("naive: "))

#: Triggers that come and go: table and event by name.
MOODY = {
    f"moody_{table}_{event.lower()}": (table, event)
    for table in ("item", "solo", "child")
    for event in ("INSERT", "UPDATE", "DELETE")
}

_ROWS = """
CREATE TABLE {name} (id INTEGER PRIMARY KEY, ver INTEGER NOT NULL, note TEXT NOT NULL);
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {last})
INSERT INTO {name} SELECT i, 2, i || ':2' FROM n;
"""

SCHEMA = (
    "".join(_ROWS.format(name=name, last=TABLES[name].size - 1) for name in ("solo", "east", "west"))
    + f"""
CREATE TABLE left_side (id INTEGER PRIMARY KEY, ver INTEGER NOT NULL);
CREATE TABLE right_side (id INTEGER PRIMARY KEY, ver INTEGER NOT NULL);
INSERT INTO left_side SELECT id, 2 FROM solo WHERE id < {TABLES["pair"].size};
INSERT INTO right_side SELECT id, 2 FROM left_side;
CREATE TRIGGER mirror AFTER UPDATE OF ver ON left_side BEGIN UPDATE right_side SET ver = NEW.ver WHERE id = NEW.id; END;
CREATE TABLE item (id INTEGER PRIMARY KEY, grp INTEGER NOT NULL, key TEXT NOT NULL UNIQUE, ver INTEGER NOT NULL, note TEXT NOT NULL);
INSERT INTO item SELECT id, 0, 'k' || id, 2, id || ':2' FROM solo WHERE id < {TABLES["item"].size};
CREATE TABLE parent (id INTEGER PRIMARY KEY);
INSERT INTO parent SELECT id FROM solo WHERE id < {PARENTS};
CREATE TABLE child (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL REFERENCES parent ON DELETE CASCADE,
  ver INTEGER NOT NULL, note TEXT NOT NULL);
INSERT INTO child SELECT id, id % {PARENTS}, 2, id || ':2' FROM solo WHERE id < {TABLES["child"].size};
CREATE TABLE account (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL);
INSERT INTO account SELECT id, {TOTAL // ACCOUNTS} FROM solo WHERE id < {ACCOUNTS};
"""
)


def group_of(version: int) -> int:
    """The group that an item of this version is in: it moves every few versions."""
    return (version >> 2) % GROUPS


def cell(table: str, number: int) -> int:
    """The cell of a row."""
    return TABLES[table].first + number
