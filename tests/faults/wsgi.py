"""A small application on Coeval, opened at module level as users do: gunicorn serves it.

``/write?who=…&n=…`` writes one number of `faults.ledger`, in its several shapes; ``/read?who=…&n=…`` answers how many parts of it are
there and how many there should be; ``/`` answers with the worker's number.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import parse_qs

import coeval
from faults.ledger import write

db = coeval.open(os.environ["FAULTS_DATABASE"], timeout=60.0)
db.query("SELECT count(*) FROM rows")

READ = "SELECT count(*) AS found, min(parts) AS parts FROM rows WHERE who = ? AND n = ?"


def app(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """The application."""
    asked = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    answer = str(os.getpid())
    if environ["PATH_INFO"] == "/write":
        write(db, asked["who"], int(asked["n"]))
    elif environ["PATH_INFO"] == "/read":
        found = db.one(READ, asked["who"], int(asked["n"]))
        answer = f"{found['found']}/{found['parts']}"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer.encode()]
