"""The ten lines that matter. Run it anywhere: it works in a temporary folder and says what it sees."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import coeval


@dataclass
class User:
    """A row as a type of your own."""

    id: int
    name: str
    region: str


def main(path: Path) -> None:
    """Open, write, read, and see that a write is never missed."""
    with coeval.open(path) as db:
        db.script("CREATE TABLE users(id INTEGER PRIMARY KEY, name TEXT NOT NULL, region TEXT NOT NULL) STRICT")
        db.executemany(
            "INSERT INTO users(name, region) VALUES (?, ?)", [("Ada", "EU"), ("Grace", "US"), ("Alan", "EU")]
        )

        sql = "SELECT id, name, region FROM users WHERE region = ? ORDER BY id"
        print(db.query(sql, "EU"))  # computed
        print(db.query(sql, "EU"))  # from memory
        db.execute("UPDATE users SET region = ? WHERE name = ?", "US", "Alan")  # durable when it returns
        print(db.query(sql, "EU", into=User))  # computed anew: nobody had to say so

        with db.transaction() as tx:  # all or nothing
            tx.execute("INSERT INTO users(name, region) VALUES ('Edsger', 'EU')")
            tx.execute("DELETE FROM users WHERE name = 'Ada'")

        print(db.explain(sql))
        print(db.stats())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder) / "app.db")
