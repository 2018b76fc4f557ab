"""The gate among processes: a queue in order of arrival, that nobody barges into, and that no file on the disk can break (law 7)."""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from functools import partial
from unittest.mock import Mock

import pytest

import coeval
from coeval import errors
from coeval.sqlite import queue_file
from coeval.sqlite.gate import Gate
from coeval.sqlite.queue_file import SIZE, QueueFile
from store.behind import Caller, eventually, gate_of
from store.queuer import Queuer, sleepers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="asks Linux who waits")


@pytest.fixture
def start(path):
    """Start queuers on the database, which has its table; all are killed at the end."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(who, n); CREATE TABLE counter(n); INSERT INTO counter VALUES (0)")
    started = []

    def begin(**options):
        started.append(Queuer(path, **options))
        return started[-1]

    yield begin
    for one in started:
        one.resume()
        one.kill()


def test_order_of_arrival(start, scaled):
    """Four processes ask one after the other while a fifth holds: they get through in that order, whichever it is."""
    holder, *others = (start() for _ in range(5))
    for number in range(scaled(200, 8)):
        order = [others[(number * 3 + place * (1 + number % 3 // 2)) % 4] for place in range(4)]
        order = list(dict.fromkeys(order)) + [one for one in others if one not in order]
        holder.do("hold")
        for one in order:
            one.say("through")
            eventually(partial(getattr, one, "waits"))
        holder.do("let_go")
        times = [one.hear() for one in order]
        assert sorted(times) == times


def test_whoever_passed_the_turn_on_steps_back(start, scaled):
    """The holder asks again at once when it has let go: the first of those who wait comes before it, always, and the next mostly.

    (It cannot always be: the lock is free for the moment in which the one who is woken has not run yet.)
    """
    holder, one, two = start(), start(), start()
    rounds, overtaken = scaled(200, 15), 0
    for _ in range(rounds):
        holder.do("hold")
        for waiting in (one, two):
            waiting.say("through")
            eventually(partial(getattr, waiting, "waits"))
        holder.say("let_go")
        holder.say("through")
        assert "let go" == holder.hear()
        first, second, last = one.hear(), two.hear(), holder.hear()
        assert first < min(second, last)
        overtaken += last < second
    assert overtaken <= rounds * 2 / 3


def test_who_asks_again_at_once_does_not_get_it_again(path, start, scaled):
    """Without a thread or a pause between: the one who waits in another process has had its turn first.

    (But for where the machine is too busy to let that one run for milliseconds: it is not waited for longer, since it may be stopped.)
    """
    other = start()
    file = QueueFile(f"{path}-gate", str(path))
    rounds, overtaken = scaled(500, 30), 0
    for _ in range(rounds):
        file.take()
        file.note("mine")
        other.say("through")
        eventually(lambda: other.waits)
        file.leave()
        file.take()
        mine = time.monotonic_ns()
        file.leave()
        overtaken += mine < other.hear()
    file.close()
    assert overtaken <= rounds / 30


def test_one_who_waits_long_is_not_forgotten(path, start, monkeypatch, scaled):
    """However long the others' turns are: who has waited for longer than such things are remembered still comes next."""
    monkeypatch.setattr(queue_file, "FORGET", 5_000_000)
    other = start()
    gate = Gate(lambda: QueueFile(f"{path}-gate", str(path)))
    rounds, overtaken = scaled(200, 20), 0
    for _ in range(rounds):
        gate.enter("a long turn", 30)
        other.say("through")
        eventually(lambda: other.waits)
        until = time.monotonic() + 0.02  # four times what is remembered
        while time.monotonic() < until:
            pass
        gate.leave()
        turn = gate.try_enter("again") or gate.enter("again", 30)
        gate.leave()  # before the other is heard: it cannot come where it was overtaken
        overtaken += turn.since < other.hear() / 1e9
    gate.close()
    assert overtaken <= rounds / 10


def test_threads_do_not_keep_the_turn_among_themselves(start, scaled):
    """Eight threads of one process and one of another: the one gets every second turn, and not every ninth."""
    many, one = start(), start()
    seconds = scaled(10, 1)
    many.say("turns", 8, seconds, 0.002)
    one.say("turns", 1, seconds, 0.002)
    turns, mine = many.hear(60), one.hear(60)
    between = [sum(asked < came < got for _, came in turns) for asked, got in mine[1:-1]]
    assert len(mine) > 20
    assert statistics.median(between) <= 2
    assert max(between) <= 16  # the machine may take its time between the asking and the queueing


def test_processes_get_equal_shares(start, scaled):
    """Four processes with one to four threads each want the turn all the time: each gets its quarter, more or less."""
    children = [start() for _ in range(4)]
    seconds = scaled(20, 1)
    for threads, child in enumerate(children, 1):
        child.say("turns", threads, seconds, 0.001)
    turns = [child.hear(60) for child in children]
    last = min(max(came for _, came in one) for one in turns)  # until one of them stopped
    begin = max(min(came for _, came in one) for one in turns)
    shares = [sum(begin < came < last for _, came in one) for one in turns]
    assert min(shares) > 20
    assert min(shares) >= 0.6 * max(shares), shares


def test_mixed_traffic(path, start, scaled):
    """Three processes write in every way at once, with threads each: nothing lost, nothing doubled, and a counter that is exact."""
    children = [start() for _ in range(3)]
    threads, each = 3, scaled(500, 15)
    for child in children:
        child.say("mixed", threads, each)
    acknowledged = [child.hear(120) for child in children]
    with coeval.open(path) as db:
        found = db.query("SELECT count(*), count(DISTINCT who || ' ' || n) FROM t WHERE n >= 0")[0]
        assert (sum(acknowledged), sum(acknowledged)) == tuple(found)
        assert 3 * threads * each == db.scalar("SELECT n FROM counter")
        assert "ok" == db.scalar("PRAGMA integrity_check")


def test_a_single_write_is_not_made_while_another_process_holds(path, start):
    """The turn of another process keeps every kind of write waiting, and none of it is made after its time is up."""
    holder = start()
    with coeval.open(path, timeout=0.2) as db:
        holder.do("hold")
        for call in (
            lambda: db.execute("INSERT INTO t(n) VALUES (1)"),
            lambda: db.script("INSERT INTO t(n) VALUES (1)"),
            lambda: db.write(lambda tx: tx.execute("INSERT INTO t(n) VALUES (1)")),
            db.vacuum,
        ):
            with pytest.raises(errors.LockTimeoutError, match=rf"by process {holder.pid} with transaction\(\)"):
                call()
        holder.do("let_go")
        eventually(lambda: gate_of(db).idle)
        assert 1 == db.scalar("SELECT count(*) FROM t")
        assert "written" == holder.do("write", 2)


def test_a_place_that_was_given_up_comes_to_nobody(path, start):
    """All callers of a process gave up while it slept in the queue: its turn goes on to the next process at once."""
    holder, behind = start(), start()
    with coeval.open(path, timeout=0.1) as db:
        holder.do("hold")
        with pytest.raises(errors.LockTimeoutError):
            db.execute("INSERT INTO t(n) VALUES (1)")
        assert os.getpid() in sleepers()
        behind.say("through")
        eventually(lambda: behind.waits)
        holder.do("let_go")
        assert behind.hear()
        eventually(lambda: gate_of(db).idle)
        assert os.getpid() not in sleepers()


def test_a_started_program_does_not_keep_the_turn(start):
    """A program started with every descriptor open, while its parent has the turn, has no part in it when the parent is killed."""
    holder, other = start(), start()
    holder.do("hold")
    pid = holder.do("spawn")
    try:
        other.say("through")
        eventually(lambda: other.waits)
        holder.kill()
        assert other.hear()
    finally:
        os.kill(pid, signal.SIGKILL)


# -- the file -----------------------------------------------------------------------------------------------------------------


def _word(number, value):
    content = bytearray(SIZE)
    content[number * 8 : number * 8 + 8] = value.to_bytes(8, "little")
    return bytes(content)


CONTENTS = {
    "empty": b"",
    "short": b"x" * 100,
    "garbage": bytes(range(256)) * 16,
    "all ones": b"\xff" * SIZE,
    "longer": b"\xff" * (SIZE * 3),
    "waited in the future": _word(queue_file.WAITED, time.monotonic_ns() + 10**15),
    "held since the future": _word(queue_file.SINCE, (1 << 63) + 5),
    "a text of any length": _word(queue_file.LENGTH, (1 << 64) - 1),
    "had so often": _word(queue_file.TIMES, (1 << 64) - 1),
}


@pytest.mark.parametrize("content", CONTENTS)
def test_whatever_is_in_the_file(path, start, content):
    """The file is for error messages and for order: rubbish in it costs nobody a write, and the queue works all the same."""
    (path.parent / f"{path.name}-gate").write_bytes(CONTENTS[content])
    one = start()
    with coeval.open(path, timeout=0.05) as db:
        assert "written" == one.do("write", 1)
        assert 1 == db.execute("INSERT INTO t(n) VALUES (2)").rowcount
        one.do("hold")
        with pytest.raises(errors.LockTimeoutError, match=f"process {one.pid}"):
            db.execute("INSERT INTO t(n) VALUES (3)")
        one.do("let_go")
        eventually(lambda: gate_of(db).idle)
        with db.transaction():
            one.say("through")
            eventually(lambda: one.waits)
        assert one.hear()
        assert 1 == db.execute("INSERT INTO t(n) VALUES (4)").rowcount


def _a_folder(side):
    side.mkdir()


def _a_pipe(side):
    os.mkfifo(side)


def _unwritable(side):
    side.write_bytes(bytes(SIZE))
    side.chmod(0o000)


def _leads_nowhere(side):
    side.symlink_to(side.parent / "missing" / "file")


def _a_device(side):
    side.symlink_to("/dev/full")


@pytest.mark.parametrize("make", [_a_folder, _a_pipe, _unwritable, _leads_nowhere, _a_device])
def test_where_there_can_be_no_queue(path, start, make):
    """Something else has the file's name: SQLite's lock alone decides, and writes of two processes succeed."""
    side = path.parent / f"{path.name}-gate"
    side.unlink(missing_ok=True)
    make(side)
    one, two = start(), start()
    one.say("mixed", 2, 10)
    two.say("mixed", 2, 10)
    acknowledged = one.hear(60) + two.hear(60)
    with coeval.open(path) as db:
        assert acknowledged == db.scalar("SELECT count(*) FROM t")
        assert 40 == db.scalar("SELECT n FROM counter")


def test_a_file_of_an_owner_who_lets_nobody_else_in(path):
    """Without the right to open it there is no queue for this process, and no error."""
    path.touch()
    side = path.parent / f"{path.name}-gate"
    side.write_bytes(bytes(SIZE))
    side.chmod(0o600)
    if os.geteuid() != 0:
        pytest.skip("only the superuser can become somebody else")
    read, write = os.pipe()
    path.parent.chmod(0o777)
    for parent in path.parents:
        if not os.stat(parent).st_mode & 0o001:
            pytest.skip("nobody else can reach the folder")
    pid = os.fork()
    if pid == 0:
        os.setgid(65534)
        os.setuid(65534)
        os.write(write, b"none" if queue_file.queue_beside(str(path)) is None else b"some")
        os._exit(0)
    os.waitpid(pid, 0)
    assert b"none" == os.read(read, 10)
    os.close(read)
    os.close(write)


def test_the_file_is_deleted_while_it_is_in_use(path, start):
    """Two queues for a while, and SQLite's lock between them: nothing is lost, and nobody is refused."""
    one = start()
    assert "written" == one.do("write", 1)
    (path.parent / f"{path.name}-gate").unlink()
    two = start()
    one.say("mixed", 2, 10)
    two.say("mixed", 2, 10)
    acknowledged = one.hear(60) + two.hear(60)
    with coeval.open(path) as db:
        assert acknowledged == db.scalar("SELECT count(*) FROM t WHERE n >= 0") - 1
        assert 40 == db.scalar("SELECT n FROM counter")


def test_the_file_has_the_permissions_of_the_database(path):
    """Whoever may write to the database may queue for it."""
    before = os.umask(0o077)
    try:
        path.touch()
        path.chmod(0o664)
        with coeval.open(path) as db:
            db.script("CREATE TABLE t(x)")
        assert 0o664 == os.stat(f"{path}-gate").st_mode & 0o777
    finally:
        os.umask(before)


@pytest.fixture
def asked(monkeypatch):
    """What the queue file asks the system, by name, in order."""
    calls = []
    real = queue_file.fcntl

    class Counting:
        """Notes what is asked."""

        def __getattr__(self, name):
            found = getattr(real, name)
            if not callable(found):
                return found

            def counted(*arguments):
                calls.append(name)
                return found(*arguments)

            return counted

    monkeypatch.setattr(queue_file, "fcntl", Counting())
    return calls


def test_alone_it_costs_two_system_calls_at_the_most(path, asked, monkeypatch):
    """One lock and one unlock a turn, no thread, and nothing that waits, where turns are far from each other."""
    monkeypatch.setattr(queue_file, "SOON", 0)
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(x)")
        gate = gate_of(db)
        asked.clear()
        for _ in range(10):
            gate.enter("alone", 1)
            gate.leave()
        assert ["flock"] * 20 == asked


def test_turns_close_to_each_other_keep_the_lock(path, asked, monkeypatch):
    """It is locked twice at the most, and let go when no more come."""
    monkeypatch.setattr(queue_file, "SOON", 10**9)
    with coeval.open(path) as db:
        db.script("CREATE TABLE t(x)")
        gate = gate_of(db)
        asked.clear()
        for _ in range(50):
            gate.enter("alone", 1)
            gate.leave()
        assert len(asked) <= 3
        assert gate._file.kept
        monkeypatch.setattr(queue_file, "SOON", 0)
        eventually(lambda: not gate._file.kept)


def test_a_kept_lock_is_had_by_another_process(path, start, monkeypatch):
    """Whoever comes while it is kept has the turn by the end of the next one, or soon after."""
    monkeypatch.setattr(queue_file, "SOON", 10**15)
    other = start()
    with coeval.open(path) as db:
        gate = gate_of(db)
        for _ in range(3):
            gate.enter("alone", 1)
            gate.leave()
        assert gate._file.kept
        other.do("hold")  # the gate's thread sees it wait
        assert not gate._file.kept
        assert None is gate.try_enter("now")
        other.do("let_go")


def test_a_caller_gives_up_and_comes_again(path, start):
    """Its process waits in the queue all the while; the second call is served by the place of the first."""
    holder = start()
    with coeval.open(path, timeout=0.1) as db:
        holder.do("hold")
        with pytest.raises(errors.LockTimeoutError):
            db.execute("INSERT INTO t(n) VALUES (1)")
        (caller,) = [Caller(lambda: db._engine.store().writer.gate.enter("again", 30))]
        eventually(lambda: gate_of(db).queue == 1)
        holder.do("let_go")
        assert "again" == caller.ended().what
        gate_of(db).leave()


def test_a_process_that_keeps_the_lock_and_is_stopped(path, start, monkeypatch):
    """It is in no turn, so it holds nobody up: others go past its lock, as often as they like, and make no checkpoint meanwhile."""
    other = start()
    with coeval.open(path) as db:
        monkeypatch.setattr(queue_file, "SOON", 10**15)  # its thread does not let go, as if it did not run
        monkeypatch.setattr(queue_file.QueueFile, "look", Mock(return_value=True))
        gate = gate_of(db)
        for _ in range(3):
            gate.enter("alone", 1)
            gate.leave()
        assert gate._file.kept
        for _ in range(3):
            other.do("hold")
            assert gate._file.kept
            assert gate._file.passed
            other.do("let_go")
        assert not gate._file.passed
        gate.enter("once more", 5)  # it sees that somebody has come
        assert not gate._file.kept
        gate.leave()


@pytest.mark.skipif(
    os.name != "posix" or os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs unshare, as the superuser"
)
def test_processes_that_cannot_see_each_other(path):
    """In PID namespaces of their own, as containers that share a volume: the queue is as fair."""
    program = (
        "import sys, time, coeval\n"
        "db = coeval.open(sys.argv[1], timeout=20)\n"
        "db.execute('SELECT 1'); print('ready', flush=True); sys.stdin.readline()\n"
        "end, n = time.monotonic() + 0.6, 0\n"
        "while time.monotonic() < end:\n"
        "    with db.transaction():\n"
        "        time.sleep(0.001)\n"
        "    n += 1\n"
        "print(n, flush=True)\n"
    )
    with coeval.open(path) as db:
        db.script("CREATE TABLE IF NOT EXISTS t(x)")
    command = ["unshare", "--pid", "--fork", sys.executable, "-c", program, str(path)]
    children = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) for _ in range(3)
    ]
    try:
        pipes = [(child.stdin, child.stdout) for child in children if child.stdin and child.stdout]
        assert ["ready\n"] * 3 == [heard.readline() for _, heard in pipes]
        for told, _ in pipes:
            told.write("\n")
            told.flush()
        turns = [int(heard.readline()) for _, heard in pipes]
    finally:
        for child in children:
            child.kill()
            child.communicate()
    assert min(turns) * 2 > max(turns), turns
