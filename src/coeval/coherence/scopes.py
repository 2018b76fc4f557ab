"""Scopes: the parts of the data that have a stamp, and the numbers they go by inside the database.

Tags have the first 4,096 numbers from 1: a tag's is a digest of its name, so that there is no table of tags to grow. Two tags
may share one, and are invalidated together then. A table owns a block of ``2**20`` numbers. The first stands for the whole table; the
others are for finer scopes of it (1,023 columns of 1,024 buckets: `buckets`), so that those never need a second table of stamps.

Ring: policy.
"""

from __future__ import annotations

from hashlib import blake2b

#: A scope's number, the primary key of its row in ``_coeval_stamps``.
Scope = int

BLOCK = 1 << 20

#: Scopes of tags, from 1 on.
TAGS = 4096


def tag_scope(tag: str) -> Scope:
    """The scope of ``tag``."""
    return 1 + int.from_bytes(blake2b(tag.encode(errors="surrogatepass"), digest_size=8).digest(), "big") % TAGS


def table_scope(number: int) -> Scope:
    """The scope of the whole of table ``number`` (1, 2, 3, ... in ``_coeval_tables``)."""
    if number < 1:
        raise ValueError(f"tables are numbered from 1, not {number}")
    return number * BLOCK


def block(number: int) -> tuple[Scope, Scope]:
    """The first and the last of all scopes of table ``number``, however fine."""
    first = table_scope(number)
    return first, first + BLOCK - 1
