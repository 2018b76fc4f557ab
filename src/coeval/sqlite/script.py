"""A script: many statements in one text, each judged before it runs and run to its end (hole 18).

Ring: shell.
"""

from __future__ import annotations

from collections.abc import Callable

import apsw

from ..errors import ParameterError
from .connection import Connection
from .failures import shorten, translate
from .statement import Action, Kind, Statement, judge_prepared


def run_script(connection: Connection, sql: str, judge: Callable[[Statement], None]) -> None:
    """Run every statement of ``sql`` on ``connection``, inside its transaction. ``judge`` may raise to stop before one runs.

    Later statements are compiled after earlier ones ran, so they may use what those made.
    """
    connection.catch_up()
    actions: list[Action] = []

    def before(cursor: apsw.Cursor, text: str, bindings: object) -> bool:  # noqa: ARG001 - APSW's signature
        statement = judge_prepared(cursor, text, actions.copy())
        actions.clear()
        if statement.kind is Kind.NOTHING:
            return True
        if statement.count:
            raise ParameterError(
                f"{shorten(text)} has placeholders, and a script takes no values",
                hint="Use `execute` for that statement.",
            )
        judge(statement)
        return True

    cursor = connection.raw.cursor()
    cursor.exec_trace = before
    connection.watcher.actions = actions
    try:
        for _ in cursor.execute(sql, can_cache=False):
            pass
    except apsw.Error as error:
        raise translate(error, connection.path, sql) from error
    finally:
        connection.watcher.actions = None
        cursor.close(True)
