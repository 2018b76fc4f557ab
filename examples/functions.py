"""Functions whose answers are kept until what they have read changes: python examples/functions.py"""

from __future__ import annotations

import tempfile
from contextvars import ContextVar
from pathlib import Path

import coeval

language: ContextVar[str] = ContextVar("language", default="en")

with tempfile.TemporaryDirectory() as folder, coeval.open(Path(folder, "app.db")) as db:
    db.script(
        """
        CREATE TABLE orders (id INTEGER PRIMARY KEY, region TEXT, status TEXT);
        INSERT INTO orders (region, status) VALUES ('EU', 'open'), ('EU', 'open'), ('US', 'paid');
        """
    )

    @db.cached
    def region_report(region: str) -> dict[str, int]:
        """Computed when one of the tables that it reads has changed."""
        orders = db.query("SELECT status, count(*) AS n FROM orders WHERE region = ? GROUP BY status", region)
        return {row["status"]: row["n"] for row in orders}

    @db.cached
    def summary(*regions: str) -> dict[str, dict[str, int]]:
        """Depends on what the functions in it have read."""
        return {region: region_report(region) for region in regions}

    @db.cached(ttl=60, tags=["rates"], vary=language)
    def rates(currency: str) -> str:
        """From elsewhere: kept for a minute, or until somebody says db.invalidate("rates")."""
        return f"{currency} in {language.get()}"

    print(region_report("EU"), region_report(region="EU"), summary("EU", "US"))
    db.execute("UPDATE orders SET status = 'paid' WHERE id = 1")
    print(region_report("EU"), summary("EU", "US"))
    print(rates("EUR"), rates("EUR"), rates.cache_info())
    db.invalidate("rates")
    print(rates.peek("EUR"), region_report.cache_info())
