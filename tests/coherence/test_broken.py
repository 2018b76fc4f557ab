"""Each safeguard broken on purpose: the scenario that passes with it reports staleness without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import coeval
from coeval.cache import lookup
from coeval.coherence.stamps import Seen
from coeval.sqlite.connection import Connection
from coeval.sqlite.layout import Layout
from coherence.asking import Pause, cached, truth

READ = "SELECT v FROM t ORDER BY id"


@pytest.fixture
def stale(path, foreign) -> Callable[..., bool]:
    """Run a scenario on a fresh file; whether a cached read differed from the truth afterwards."""

    def run(scenario: Callable[[coeval.Database, Any], str]) -> bool:
        foreign.disconnect()
        path.unlink(missing_ok=True)
        with coeval.open(path) as db:
            db.script(
                "CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1), (2, 2); CREATE TABLE u (v)"
            )
            read = scenario(db, foreign)
            return any(cached(db, read) != truth(db, read) for _ in range(2))

    return run


def a_write(db: coeval.Database, foreign: Any) -> str:
    for _ in range(3):
        db.query(READ)
    foreign.execute("UPDATE t SET v = v + 10")
    return READ


def a_write_during_a_load(db: coeval.Database, foreign: Any) -> str:
    pause = Pause()
    db.create_function("pause", pause, 1, deterministic=True)
    read = "SELECT pause(v) FROM t"
    load = pause.stop(lambda: cached(db, read))
    foreign.execute("UPDATE t SET v = v + 10")
    pause.go()
    load.result()
    return read


def a_commit_between_two_clock_readings(db: coeval.Database, foreign: Any) -> str:
    for _ in range(3):
        db.query(READ)
    foreign.execute("INSERT INTO u VALUES (1)")
    stamps = Connection._stamps
    due = ["UPDATE t SET v = v + 10"]

    def late(self: Connection, *arguments: Any) -> Any:
        seen = stamps(self, *arguments)
        if due:
            foreign.execute(due.pop())
        return seen

    Connection._stamps = late  # type: ignore[method-assign, assignment]
    try:
        cached(db, READ)
    finally:
        Connection._stamps = stamps  # type: ignore[method-assign]
    return READ


def drop_ours(foreign: Any) -> None:
    for (name,) in foreign.execute(
        "SELECT name FROM sqlite_schema WHERE name GLOB '_coeval_update_*' AND tbl_name = 't'"
    ):
        foreign.execute(f"DROP TRIGGER {name}")


def a_trigger_that_ignores(db: coeval.Database, foreign: Any) -> str:
    foreign.execute("CREATE TRIGGER skip AFTER UPDATE ON t BEGIN SELECT RAISE(IGNORE); END")
    # Ours are made again after the user's, as when the table was rebuilt, and before it: the order is SQLite's business.
    drop_ours(foreign)
    db.query(READ)
    foreign.execute("CREATE TRIGGER skip_too AFTER UPDATE ON t BEGIN SELECT RAISE(IGNORE); END")
    return a_write(db, foreign)


def an_insert_or_ignore(db: coeval.Database, foreign: Any) -> str:
    for _ in range(3):
        db.query(READ)
    foreign.execute("INSERT OR IGNORE INTO t VALUES (3, 3)")
    return READ


def a_dropped_trigger(db: coeval.Database, foreign: Any) -> str:
    for _ in range(3):
        db.query(READ)
    drop_ours(foreign)
    return a_write(db, foreign)


SCENARIOS = [
    a_write,
    a_write_during_a_load,
    a_commit_between_two_clock_readings,
    a_trigger_that_ignores,
    an_insert_or_ignore,
    a_dropped_trigger,
]


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_nothing_is_stale_while_all_stand(stale, scenario):
    """The scenarios below, with every safeguard in its place."""
    assert not stale(scenario)


def test_without_the_comparison_of_stamps(stale, monkeypatch):
    """Validity answers True to everything."""
    seen = Connection.seen

    def always(self: Connection, scopes: Any, clock: Any) -> Seen:
        found = seen(self, scopes, clock)
        return found._replace(schema=1, stamps=(1,) * len(found.stamps))

    monkeypatch.setattr(Connection, "seen", always)
    assert stale(a_write)


def test_with_stamps_read_after_the_rows(stale, monkeypatch):
    """Law 2: the rows of one snapshot, the stamps of a later one."""

    async def late(request: Any, source: Any, tier: Any, tell: Any, watch: Any = None) -> Any:
        assert watch is None
        epoch = tier.epoch
        scopes = (await source.plan(request)).scopes_for(request.parameters)
        rows = await source.rows(request)
        reading = await source.begin()
        try:
            seen = await reading.seen(scopes)
        finally:
            await source.end(reading)
        lookup._keep(request, scopes, seen, rows, 0.0, tier, epoch, tell)
        return rows

    monkeypatch.setattr("coeval.database.compute", late)
    assert stale(a_write_during_a_load)


def test_without_the_second_reading_of_the_clock(stale, monkeypatch):
    """The mark is the clock of after the stamps, whatever it was before."""
    seen = Connection.seen

    def careless(self: Connection, scopes: Any, clock: Any) -> Seen:
        found = seen(self, scopes, clock)
        return found._replace(mark=clock.read())

    monkeypatch.setattr(Connection, "seen", careless)
    assert stale(a_commit_between_two_clock_readings)


def test_with_triggers_after_the_row(stale, monkeypatch):
    """Hole 2: AFTER triggers are skipped by a user's RAISE(IGNORE)."""
    texts = Layout.triggers
    after = lambda layout: {name: sql.replace(" BEFORE ", " AFTER ") for name, sql in texts(layout).items()}  # noqa: E731
    monkeypatch.setattr(Layout, "triggers", after)
    assert stale(a_trigger_that_ignores)


def test_with_a_conflict_clause_in_the_trigger(stale, monkeypatch):
    """Hole 3: the outer OR IGNORE takes the place of the OR REPLACE in the trigger's body."""

    texts = Layout.triggers

    def replacing(layout: Layout) -> dict[str, str]:
        scope = layout.number << 20
        body = f"INSERT OR REPLACE INTO _coeval_stamps VALUES ({scope}, random())"
        plain = f"UPDATE _coeval_stamps SET stamp = random() WHERE id = {scope}"
        return {name: sql.replace(plain, body) for name, sql in texts(layout).items()}

    monkeypatch.setattr(Layout, "triggers", replacing)
    assert not stale(a_write)
    assert stale(an_insert_or_ignore)


def test_without_the_version_of_the_schema(stale, monkeypatch):
    """Hole 4: the schema stamp is believed whatever SQLite's own counter says."""
    stamps = Connection._stamps

    def believing(self: Connection, scopes: Any) -> Any:
        found = stamps(self, scopes)
        return self.raw.execute("SELECT stamp FROM _coeval_schema").get, found[1]

    monkeypatch.setattr(Connection, "_stamps", believing)
    assert stale(a_dropped_trigger)


def test_with_keys_that_hold_no_types(open_db, monkeypatch):
    """1, True and 1.0 are one key to a dictionary."""
    from coeval import reads

    def untyped(sql: str, parameters: Any, limit: int | None = None) -> Any:
        return ("untyped", limit, sql, tuple(parameters))

    sql = "SELECT typeof(?)"
    monkeypatch.setattr(reads, "statement_key", untyped)
    db = open_db()
    assert (("integer",),) == cached(db, sql, 1)
    assert (("integer",),) == cached(db, sql, 1.0) != truth(db, sql, 1.0)


def test_with_a_snapshot_s_entry_marked_as_of_now(open_db, foreign, monkeypatch):
    """Hole 25: an entry revalidated in an old snapshot gets the present clock."""
    import contextvars

    from coeval.coherence import validity

    db = open_db()
    db.script("CREATE TABLE t (id INTEGER PRIMARY KEY, v); INSERT INTO t VALUES (1, 1); CREATE TABLE u (v)")
    valid = validity.valid_by_stamps

    def marking(entry: Any, seen: Seen) -> bool:
        good = valid(entry, seen)
        if good:
            entry.mark = db._engine.store().mark()
        return good

    monkeypatch.setattr(lookup, "valid_by_stamps", marking)
    db.query(READ)
    foreign.execute("INSERT INTO u VALUES (1)")
    with db.snapshot() as snap:
        foreign.execute("UPDATE t SET v = 2")
        snap.query(READ)
        assert ((1,),) == contextvars.Context().run(cached, db, READ)
