"""The other side of `processes.Foreign`: a program with the standard sqlite3 module, and no idea of Coeval.

Usage: python foreign_child.py PATH. One JSON request a line on standard input, one JSON answer a line on standard
output. The connection is made by the first request. Where SQLite is older than 3.51.3 it never checkpoints on its own, because
a checkpoint of such a library that meets a commit can corrupt the file.
"""

import json
import sqlite3
import sys
import warnings

# From 3.12 on the standard module warns of numbered placeholders, on the stream of our answers.
warnings.simplefilter("ignore", DeprecationWarning)


def main(path):
    connection = None
    answer: dict = {"version": sqlite3.sqlite_version_info}
    while True:
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()
        line = sys.stdin.readline()
        if not line:
            return
        request = json.loads(line, object_hook=decoded)
        try:
            if request["do"] == "disconnect":
                if connection is not None:
                    connection.close()
                connection, answer = None, {}
                continue
            if connection is None:
                connection = connect(path, request["timeout"])
            answer = run(connection, request)
        except (sqlite3.Error, sqlite3.Warning, ValueError, OverflowError) as problem:
            answer = {"error": type(problem).__name__, "message": str(problem)}


def connect(path, timeout):
    connection = sqlite3.connect(path, timeout=timeout, isolation_level=None)
    if sqlite3.sqlite_version_info < (3, 51, 3):
        connection.execute("PRAGMA wal_autocheckpoint=0").fetchall()
    return connection


def run(connection, request):
    if request["do"] == "script":
        connection.executescript(request["sql"])
        return {"rows": [], "rowcount": -1}
    if request["do"] == "executemany":
        cursor = connection.executemany(request["sql"], request["params"])
    else:
        cursor = connection.execute(request["sql"], request["params"])
    rows = [[encoded(value) for value in row] for row in cursor.fetchall()]
    answer = {"rows": rows, "rowcount": cursor.rowcount}
    cursor.close()
    return answer


def encoded(value):
    return {"bytes": value.hex()} if isinstance(value, bytes) else value


def decoded(item):
    return bytes.fromhex(item["bytes"]) if set(item) == {"bytes"} else item


if __name__ == "__main__":
    main(sys.argv[1])
