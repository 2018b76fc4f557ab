"""What a setting's value may be: one reader for each kind, which checks and normalises.

Ring: policy.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, cast

KNOWN_LATER = ("redis", "rediss", "redis+sentinel", "redis+cluster", "unix", "valkey", "memcached", "sqlite")
"""Schemes of cache URLs that are part of the design and not of this version."""

LONGEST_TIMEOUT = 2_147_483
"""SQLite keeps a busy time-out in a C int of milliseconds."""

Reader = Callable[[object, bool], object]
"""Checks and normalises one value; the flag is true where the value is text from a URL or the environment."""


class Unfit(Exception):
    """A value does not fit: what it must be, and a cure where the usual one (an example) would not help."""

    def __init__(self, problem: str, cure: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.cure = cure


def choice(*allowed: str) -> Reader:
    """One of these texts."""

    def read(value: object, _written: bool) -> str:
        if isinstance(value, str) and value in allowed:
            return value
        raise Unfit(f"must be {' or '.join(repr(one) for one in allowed)}")

    return read


def seconds(value: object, written: bool) -> float:
    """A time-out."""
    problem = f"must be a number of seconds above 0 and at most {LONGEST_TIMEOUT}"
    if isinstance(value, bool) or not (isinstance(value, int | float) or (written and isinstance(value, str))):
        raise Unfit(problem)
    try:
        seconds = float(value)
    except (ValueError, OverflowError):
        raise Unfit(problem) from None
    if math.isnan(seconds) or not 0 < seconds <= LONGEST_TIMEOUT:
        raise Unfit(problem)
    return seconds


_UNITS = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_SIZE = re.compile(r"\s*([0-9]{1,18})\s*([a-z]*)\s*", re.IGNORECASE | re.ASCII)


def size(least: int) -> Reader:
    """Bytes, as a number or a text with a unit."""
    problem = f"must be a number of bytes, {least} or more; as text it may have a unit (KiB, MiB, GiB, KB, MB, GB)"

    def read(value: object, _written: bool) -> int:
        if isinstance(value, str) and (found := _SIZE.fullmatch(value)) and found[2].lower() in _UNITS:
            value = int(found[1]) * _UNITS[found[2].lower()]
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**63:
            raise Unfit(problem)
        return value

    return read


def page(value: object, written: bool) -> int:
    """A page's size."""
    problem = "must be a power of two from 512 to 65536"
    try:
        given = cast("int", size(512)(value, written))
    except Unfit:
        raise Unfit(problem) from None
    if given > 65536 or given & (given - 1):
        raise Unfit(problem)
    return given


def count(least: int, most: int) -> Reader:
    """A whole number."""

    def read(value: object, written: bool) -> int:
        if written and isinstance(value, str) and re.fullmatch(r"\s*[0-9]{1,9}\s*", value, re.ASCII):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Unfit(f"must be a whole number from {least} to {most}")
        return value

    return read


_TRUTH = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}


def flag(value: object, written: bool) -> bool:
    """A truth value."""
    if isinstance(value, bool):
        return value
    if written and isinstance(value, str) and value.strip().lower() in _TRUTH:
        return _TRUTH[value.strip().lower()]
    raise Unfit("must be true or false (also 1/0, yes/no, on/off)" if written else "must be True or False")


def cache(value: object, _written: bool) -> str | None:
    """A tier."""
    if value is None or (isinstance(value, str) and value.lower() == "none"):
        return None
    if value == "memory":
        return "memory"
    cure = 'Use cache="memory" (the default), or cache=None to turn the cache off.'
    if isinstance(value, str) and (found := re.match(r"([a-z][a-z0-9+.-]*):", value, re.IGNORECASE)):
        if found[1].lower() in KNOWN_LATER:
            raise Unfit(f"names a {found[1].lower()} cache; this version has the memory cache only", cure)
        raise Unfit(f"has the unknown scheme {found[1]!r}", cure)
    raise Unfit("must be 'memory' or None", cure)


def function(value: object, _written: bool) -> Callable[[Any], object] | None:
    """A hook."""
    if value is None or callable(value):
        return value
    raise Unfit("must be a function of one argument, the new connection, or None")


def share(value: object, written: bool) -> float:
    """A part of the whole, from 0 to 1."""
    problem = "must be a number from 0 to 1"
    if isinstance(value, bool) or not (isinstance(value, int | float) or (written and isinstance(value, str))):
        raise Unfit(problem)
    try:
        part = float(value)
    except (ValueError, OverflowError):
        raise Unfit(problem) from None
    if not 0 <= part <= 1:
        raise Unfit(problem)
    return part


def text(value: object, _written: bool) -> str:
    """Any text."""
    if isinstance(value, str):
        return value
    raise Unfit("must be a text")
