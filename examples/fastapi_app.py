"""A small FastAPI application: one database object, opened at the first use in each worker.

    uvicorn examples.fastapi_app:app --workers 2

It keeps `app.db` in the working directory; APP_DB names another file.
"""

from __future__ import annotations

import os

from fastapi import FastAPI
from pydantic import BaseModel

import coeval

db = coeval.open(os.environ.get("APP_DB", "app.db"))
db.script("CREATE TABLE IF NOT EXISTS notes(id INTEGER PRIMARY KEY, text TEXT NOT NULL, stars INTEGER NOT NULL) STRICT")
app = FastAPI()


class Note(BaseModel):
    """What a client sends."""

    text: str
    stars: int = 0


@app.get("/notes")
def notes() -> list[dict[str, object]]:
    """Cached, and as fresh as the table."""
    return [row.asdict() for row in db.query("SELECT id, text, stars FROM notes ORDER BY stars DESC, id")]


@app.post("/notes", status_code=201)
def add(note: Note) -> dict[str, object]:
    """Durable when the answer is sent; every worker's next read sees it."""
    result = db.execute("INSERT INTO notes(text, stars) VALUES (?, ?) RETURNING id", note.text, note.stars)
    return {"id": result.rows[0]["id"]}
