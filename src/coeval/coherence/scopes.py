"""Scopes: the parts of the data that have a stamp, and the numbers they go by inside the database.

Tags and plain values have the first 4,096 numbers from 1: a digest of the name, so that there is no table of names to grow. Two
may share one, and are invalidated together then. A table owns a block of ``2**20`` numbers. The first stands for the whole table; the
others are for finer scopes of it (1,023 columns of 1,024 buckets: `buckets`), so that those never need a second table of stamps.

Ring: policy.
"""

from __future__ import annotations

from collections.abc import Iterable

#: A scope's number, the primary key of its row in ``_coeval_stamps``.
Scope = int

BLOCK = 1 << 20

#: Scopes of tags and of plain values, from 1 on.
TAGS = 4096


def tag_scope(tag: str) -> Scope:
    """The scope of ``tag``."""
    return _among_tags(tag, b"")


def tag_scopes(names: Iterable[str]) -> tuple[Scope, ...]:
    """The scopes of tags, in order."""
    return tuple(sorted({tag_scope(name) for name in names}))


def function_scope(name: str) -> Scope:
    """The scope of all calls of the function ``name``: of its own, or a tag's."""
    return tag_scope(f"function {name}")


def value_scope(text: str) -> Scope:
    """The scope of the plain value whose key has this text: among those of tags, by another digest, so that no tag is its name."""
    return _among_tags(text, b"value")


def _among_tags(text: str, kind: bytes) -> Scope:
    from hashlib import blake2b  # not for everybody who imports this

    digest = blake2b(text.encode(errors="surrogatepass"), digest_size=8, person=kind).digest()
    return 1 + int.from_bytes(digest, "big") % TAGS


def table_scope(number: int) -> Scope:
    """The scope of the whole of table ``number`` (1, 2, 3, ... in ``_coeval_tables``)."""
    if number < 1:
        raise ValueError(f"tables are numbered from 1, not {number}")
    return number * BLOCK


def block(number: int) -> tuple[Scope, Scope]:
    """The first and the last of all scopes of table ``number``, however fine."""
    first = table_scope(number)
    return first, first + BLOCK - 1
