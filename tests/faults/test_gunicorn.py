"""Under gunicorn, with the file opened before the fork of the workers or after it: every request is answered, nothing is lost."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

import pytest

import coeval
from faults import ledger

from processes import HERE

pytest.importorskip("gunicorn")

CLIENTS = 6


class Connection(http.client.HTTPConnection):
    """HTTP on a Unix socket."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.host)


class Server:
    """gunicorn with four workers, on a socket in a folder of its own: a socket's name must be short."""

    def __init__(self, path, *options):
        self._folder = tempfile.TemporaryDirectory(prefix="coeval-")
        self.address = os.path.join(self._folder.name, "socket")
        self._log = Path(self._folder.name, "log")
        environ = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(HERE), *filter(None, sys.path)]),
            "FAULTS_DATABASE": os.fspath(path),
        }
        command = ["gunicorn", "--bind", f"unix:{self.address}", "--workers", "4", "--graceful-timeout", "20", *options]
        self._popen = subprocess.Popen(
            [sys.executable, "-P", "-m", *command, "--log-file", str(self._log), "faults.wsgi:app"], env=environ
        )
        self.workers()

    def get(self, target):
        connection = Connection(self.address)
        try:
            connection.request("GET", target)
            answer = connection.getresponse()
            said = answer.read().decode()
        finally:
            connection.close()
        assert 200 == answer.status, f"{target}: {answer.status}\n{self.log()}"
        return said

    def workers(self, without=()):
        """The numbers of four workers, all of which have answered; the test's time-out ends this where they never do."""
        found: set[str] = set()
        while len(found) < 4:
            assert self._popen.poll() is None, self.log()
            with suppress(OSError, http.client.HTTPException):
                found |= {self.get("/")} - set(without)
        return found

    def log(self):
        return self._log.read_text() if self._log.exists() else "there is no log"

    def stop(self):
        """Let it end as it does at a deployment."""
        self._popen.send_signal(signal.SIGTERM)
        return self._popen.wait(40)

    def kill(self):
        if self._popen.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                self.stop()
            self._popen.kill()
            self._popen.wait(20)
        self._folder.cleanup()


@pytest.fixture
def serve(path):
    with coeval.open(path) as db:
        db.script(f"{ledger.SCHEMA}; CREATE INDEX i ON rows (who, n)")
    servers = []

    def start(*options):
        servers.append(Server(path, *options))
        return servers[-1]

    yield start
    for server in servers:
        server.kill()


class Load:
    """Clients that write, and read what they have written, from whichever worker answers."""

    def __init__(self, server, *, may_break=False):
        self._server, self._may_break = server, may_break
        self.acknowledged, self.unsure = defaultdict(set), []
        self.failures = []
        self._done = threading.Event()
        self._threads = [threading.Thread(target=self._work, args=(f"client-{number}",)) for number in range(CLIENTS)]
        for thread in self._threads:
            thread.start()

    def _work(self, who):
        n = 0
        try:
            while not self._done.is_set():
                try:
                    self._server.get(f"/write?who={who}&n={n}")
                except (OSError, http.client.HTTPException):  # its worker was killed: unsure whether it was written
                    assert self._may_break
                    self.unsure.append((who, n))
                else:
                    self.acknowledged[who].add(n)
                    self._read(who, n)
                n += 1
        except BaseException as error:
            self.failures.append(error)

    def _read(self, who, n):
        try:
            parts, expected = self._server.get(f"/read?who={who}&n={n}").split("/")
        except (OSError, http.client.HTTPException):
            assert self._may_break
        else:
            assert parts == expected, f"{who} {n}: {parts} of {expected} parts are seen"

    def count(self):
        return sum(len(numbers) for numbers in self.acknowledged.values())

    def wait_for(self, more):
        wanted = self.count() + more
        while self.count() < wanted and not self.failures:
            time.sleep(0.005)

    def end(self):
        self._done.set()
        for thread in self._threads:
            thread.join()
        assert [] == self.failures


def judge(path, load):
    with coeval.open(path) as db:
        assert "ok" == db.scalar("PRAGMA integrity_check")
        groups = [tuple(row) for row in db.query(ledger.GROUPS)]
    unsure = {(who, n) for who, n, *_ in groups} & set(load.unsure)
    for who, n in unsure:
        load.acknowledged[who].add(n)
    assert [] == ledger.problems(groups, load.acknowledged, last_unsure=False)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["no preload", "preload"])
@pytest.mark.parametrize("worker", [("sync",), ("gthread", "--threads", "4")], ids=["sync", "gthread"])
def test_served(serve, path, worker, preload, scaled):
    """Four workers under load: each answer is right, whichever worker gives it, and each acknowledged row is there at the end."""
    server = serve("--worker-class", *worker, *preload)
    load = Load(server)
    load.wait_for(scaled(20_000, 250))
    load.end()
    assert 0 == server.stop(), server.log()
    assert [] == load.unsure
    judge(path, load)
    assert "Traceback" not in server.log()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("preload", [(), ("--preload",)], ids=["no preload", "preload"])
def test_killed_workers(serve, path, preload, scaled):
    """Workers killed in the midst of it are replaced, the others go on, and nothing acknowledged is lost."""
    server = serve("--worker-class", "gthread", "--threads", "4", *preload)
    load = Load(server, may_break=True)
    gone: set[str] = set()
    for _ in range(scaled(30, 2)):
        load.wait_for(50)
        victim = min(server.workers(gone))
        os.kill(int(victim), signal.SIGKILL)
        gone.add(victim)
        load.wait_for(50)
        assert victim not in server.workers(gone)
    load.end()
    assert 0 == server.stop(), server.log()
    assert load.count()
    judge(path, load)


@pytest.mark.timeout(300)
def test_workers_that_are_replaced_all_the_time(serve, path, scaled):
    """With ``--max-requests`` gunicorn forks under load, from a process that has the file open."""
    server = serve("--worker-class", "gthread", "--threads", "2", "--preload", "--max-requests", str(scaled(200, 60)))
    load = Load(server, may_break=True)
    load.wait_for(scaled(10_000, 300))
    load.end()
    assert 0 == server.stop(), server.log()
    judge(path, load)
    assert "SecondLibraryError" not in server.log()
