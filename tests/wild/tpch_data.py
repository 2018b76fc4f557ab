"""Rows for TPC-H: of the generator `tpchgen-cli` where it is installed, else our own, alike enough for every query to find some."""

from __future__ import annotations

import csv
import datetime as dt
import os
import random
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from wild.tpch import TABLES

Rows = dict[str, list[tuple[str | int | float, ...]]]


def program() -> str | None:
    """The generator, of this environment or on the PATH; None where there is none."""
    return shutil.which(
        "tpchgen-cli", path=os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    )


def generated(folder: Path, scale: float, orders: int) -> Rows:
    """What `tpchgen-cli` makes, and of the orders the first so many."""
    command = [program() or "", "csv", "-q", "--no-progress", "-n", "1", "-s", str(scale), "-o", str(folder)]
    subprocess.run(command, check=True, capture_output=True)
    rows: Rows = {table: list(_read(folder / f"{table}.csv")) for table in TABLES}
    rows["orders"] = rows["orders"][:orders]
    there = {row[0] for row in rows["orders"]}
    rows["lineitem"] = [row for row in rows["lineitem"] if row[0] in there]
    return rows


def _read(file: Path) -> Iterator[tuple[str, ...]]:
    with file.open(newline="", encoding="utf-8") as lines:
        reader = csv.reader(lines)
        assert tuple(next(reader)) == TABLES[file.stem]
        yield from map(tuple, reader)


def our_own(orders: int) -> Rows:
    """Random rows of the shapes that the specification asks for."""
    dice = random.Random(5)
    customers, parts, suppliers = max(30, orders // 4), 200, 10
    nations = [f"NATION {number:02}" for number in range(25)]
    regions = ["AFRICA", "AMERICA", "ASIA", "EUROPE", "MIDDLE EAST"]
    words = "almond blue coral forest green ivory khaki linen misty navy".split()
    start = dt.date(1992, 1, 1)

    def money(most: int) -> float:
        return dice.randrange(100, 100 * most) / 100

    def day(number: int) -> str:
        return (start + dt.timedelta(number)).isoformat()

    def phone(nation: int) -> str:
        return f"{nation + 10}-{dice.randrange(100, 1000)}-{dice.randrange(100, 1000)}-{dice.randrange(1000, 10000)}"

    rows: Rows = {table: [] for table in TABLES}
    rows["region"] = [(number, name, "of the world") for number, name in enumerate(regions)]
    rows["nation"] = [(number, name, number % 5, "a nation") for number, name in enumerate(nations)]
    for key in range(1, suppliers + 1):
        nation = dice.randrange(25)
        rows["supplier"].append(
            (key, f"Supplier#{key:09}", "a street", nation, phone(nation), money(9999), "a supplier")
        )
    for key in range(1, customers + 1):
        nation = dice.randrange(25)
        segment = dice.choice(["AUTOMOBILE", "BUILDING", "FURNITURE", "HOUSEHOLD", "MACHINERY"])
        rows["customer"].append(
            (key, f"Customer#{key:09}", "a road", nation, phone(nation), money(9999) - 999, segment, "a customer")
        )
    for key in range(1, parts + 1):
        name = " ".join(dice.sample(words, 5))
        kind = " ".join(
            (
                dice.choice("ECONOMY MEDIUM PROMO".split()),
                dice.choice("BRUSHED POLISHED".split()),
                dice.choice("BRASS TIN".split()),
            )
        )
        container = f"{dice.choice('SM MED LG'.split())} {dice.choice('CASE BOX BAG PKG'.split())}"
        maker, brand = f"Manufacturer#{key % 5 + 1}", f"Brand#{key % 5 + 1}{dice.randrange(1, 4)}"
        rows["part"].append((key, name, maker, brand, kind, dice.randrange(1, 51), container, 900 + key / 10, "a part"))
        for source in dice.sample(range(1, suppliers + 1), 4):
            rows["partsupp"].append((key, source, dice.randrange(1, 10_000), money(1000), "in store"))
    pairs = [(row[0], row[1]) for row in rows["partsupp"]]
    for key in range(1, orders + 1):
        ordered = dice.randrange(2250)
        priority = dice.choice("1-URGENT 2-HIGH 3-MEDIUM 4-NOT 5-LOW".split())
        status = "F" if ordered < 1200 else "O"
        customer = dice.randrange(1, customers * 2 // 3)
        rows["orders"].append(
            (key, customer, status, money(300_000), day(ordered), priority, f"Clerk#{key % 9}", 0, "an order")
        )
        for number in range(1, dice.randrange(2, 8)):
            part, supplier = pairs[dice.randrange(len(pairs))]
            shipped = ordered + dice.randrange(1, 122)
            committed, received = ordered + dice.randrange(30, 91), shipped + dice.randrange(1, 31)
            quantity = dice.randrange(1, 51)
            rows["lineitem"].append(
                (
                    *(key, part, supplier, number, quantity, quantity * 91.5, dice.randrange(11) / 100),
                    *(dice.randrange(9) / 100, dice.choice("RAN") if status == "F" else "N", status),
                    *(day(shipped), day(committed), day(received), dice.choice(["COLLECT COD", "DELIVER IN PERSON"])),
                    *(dice.choice("AIR MAIL SHIP TRUCK".split()), "a line"),
                )
            )
    return rows
