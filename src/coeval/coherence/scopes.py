"""Scopes: the parts of the data that have a stamp, and the numbers they go by inside the database.

A table owns a block of ``2**20`` numbers. The first stands for the whole table; the others are kept for
finer scopes of it (1,023 columns of 1,024 buckets), so that a finer scope never needs a second table of stamps.

Ring: policy.
"""

from __future__ import annotations

#: A scope's number, the primary key of its row in ``_coeval_stamps``.
Scope = int

BLOCK = 1 << 20


def table_scope(number: int) -> Scope:
    """The scope of the whole of table ``number`` (1, 2, 3, ... in ``_coeval_tables``)."""
    if number < 1:
        raise ValueError(f"tables are numbered from 1, not {number}")
    return number * BLOCK
