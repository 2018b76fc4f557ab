"""The text of a statement as a tree of SQLite's own grammar, by the library syntaqlite, and how its leaves are read (law 3).

A node is a mapping with its ``type``; the names and their meaning are the library's. It is imported when first needed, because it
costs 25 ms. Its parsers serve one caller at a time and are lent out; a fork inherits only those that nobody uses.

Ring: policy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .names import fold
from .references import Constant, Parameter, Source

Node = Mapping[str, Any]

QUERIES = frozenset({"SelectStmt", "CompoundSelect", "ValuesClause", "WithClause"})

_LARGEST = (1 << 63) - 1
_IDLE = 4  # parsers that are kept
_parsers: list[Any] = []
_numbered = re.compile(r"\?[0-9]+")
_digits = re.compile(r"[0-9]+")


class Unclear(Exception):
    """Nothing can be said of the statement; the message says why, to users."""


class Parsed(NamedTuple):
    """One query and the number of each of its placeholders."""

    query: Node
    numbers: Mapping[str, int]


def parse(sql: str) -> Parsed:
    """The one query that ``sql`` is. Raises Unclear where it is not one or cannot be read."""
    try:
        parser = _parser()
    except (ImportError, OSError, RuntimeError) as error:
        raise Unclear(
            "the SQL parser syntaqlite is not installed (pip install 'coeval[track]') or cannot be loaded"
        ) from error
    try:
        tokens = parser.tokenize(sql)
        text, numbers = _number(sql, tokens)
        trees = parser.parse_raw(text)
    except RecursionError:
        raise Unclear("it is nested too deeply") from None
    except (RuntimeError, ValueError) as error:  # the parser is dropped, whatever state it is in
        raise Unclear("its text cannot be parsed") from error
    if len(_parsers) < _IDLE:
        _parsers.append(parser)
    # After a syntax error the parser goes on behind the next semicolon: a part of the text is no proof of the whole.
    first = next((at for at, token in enumerate(tokens) if token["text"] == ";"), len(tokens))
    if any(token["category"] not in ("other", "comment") and token["text"] != ";" for token in tokens[first:]):
        raise Unclear("it is more than one statement")
    found = [tree for tree in trees if tree is not None]
    if len(found) != 1:
        raise Unclear("its text cannot be parsed")
    if found[0]["type"] not in QUERIES:
        raise Unclear("it is not a query")
    seen = sum(node["type"] == "Variable" for node in walk(found[0]))
    if seen != sum(token["category"] == "parameter" for token in tokens):
        raise Unclear("its placeholders cannot be counted")
    return Parsed(found[0], numbers)


def _parser() -> Any:
    try:
        return _parsers.pop()  # whoever pops it has it alone
    except IndexError:
        import syntaqlite

        return syntaqlite.Syntaqlite()


def _number(sql: str, tokens: list[dict[str, Any]]) -> tuple[str, dict[str, int]]:
    """The text with a number in each bare ``?``, and the number of each placeholder, as SQLite counts: in the order of the text."""
    whole = sql.encode()
    pieces, done, largest = [], 0, 0
    numbers: dict[str, int] = {}
    for token in tokens:
        if token["category"] != "parameter":
            continue
        name = token["text"]
        if name == "?":
            largest += 1
            pieces += [whole[done : token["offset"]], f"?{largest}".encode()]
            done = token["offset"] + token["length"]
            name = f"?{largest}"
            numbers[name] = largest
        elif _numbered.fullmatch(name):
            numbers[name] = int(name[1:])
            largest = max(largest, numbers[name])
        elif name not in numbers:
            largest += 1
            numbers[name] = largest
    return b"".join([*pieces, whole[done:]]).decode(), numbers


def walk(node: Any) -> Iterator[Node]:
    """``node`` and all below it."""
    if isinstance(node, dict):
        yield node
        for below in node.values():
            yield from walk(below)
    elif isinstance(node, list):
        for below in node:
            yield from walk(below)


def listed(node: Node | None) -> list[Any]:
    """The items of a list node, which may be absent."""
    return list(node["children"]) if node is not None else []


def bare(node: Any) -> Any:
    """``node`` without parentheses around it."""
    while node is not None and node["type"] == "ParenExpr":
        node = node["expr"]
    return node


def identifier(text: str) -> str:
    """A name for comparing. Raises Unclear for one with a quote in it, which the parser leaves doubled."""
    if not {'"', "'", "`"}.isdisjoint(text):
        raise Unclear(f"it has a name with a quote in it: {text}")
    return fold(text)


def alias(node: Node) -> str | None:
    """What a term is called after AS."""
    return None if node["alias"] is None else identifier(node["alias"]["source"])


def source(node: Node, numbers: Mapping[str, int], affinity: str) -> Source | None:
    """The value that ``node`` is, for comparing with a column of ``affinity``; None where it is anything but a bare one."""
    node = bare(node)
    if node["type"] == "Variable":
        name = node["source"]
        return Parameter(numbers[name], None if name[0] == "?" else name[1:])
    if node["type"] == "UnaryExpr" and node["op"] == "MINUS" and affinity == "INTEGER":
        value = _integer(bare(node["operand"]))
        return None if value is None or value > _LARGEST + 1 else Constant(-value)
    if node["type"] != "Literal":
        return None
    if node["literal_type"] == "STRING":
        return Constant(node["source"][1:-1].replace("''", "'"))
    value = _integer(node)
    return None if value is None or value > _LARGEST else Constant(value)


def _integer(node: Node) -> int | None:
    """The number in decimal digits that ``node`` is. SQLite takes one that is too large for a REAL."""
    if node["type"] == "Literal" and node["literal_type"] == "INTEGER" and _digits.fullmatch(node["source"]):
        return int(node["source"])
    return None
