"""How many bytes a result takes, estimated: large results by a sample, because a miss must stay cheap (law 9).

Ring: policy.
"""

from __future__ import annotations

from itertools import chain
from sys import getsizeof
from typing import Any

#: Results of up to so many rows are measured whole; of larger ones so many rows are measured, evenly spread.
SAMPLE = 16

#: The entry itself, its slots and those of its key in the tier's tables; measured once with tracemalloc, rounded up.
ENTRY = 600

#: One scope of its read set, and the stamp.
SCOPE = 88


def result_size(rows: tuple[tuple[Any, ...], ...]) -> int:
    """Bytes of ``rows``: the tuple, its rows, and their values. Shared small integers are counted too."""
    count = len(rows)
    if count <= SAMPLE:
        return getsizeof(rows) + sum(map(getsizeof, rows)) + sum(map(getsizeof, chain.from_iterable(rows)))
    step = count / SAMPLE
    sample = sum(row_size(rows[int(i * step)]) for i in range(SAMPLE))
    return getsizeof(rows) + sample * count // SAMPLE


def row_size(row: tuple[Any, ...]) -> int:
    """Bytes of one row and its values."""
    return getsizeof(row) + sum(map(getsizeof, row))


def key_size(sql: str, parameters: Any) -> int:
    """Bytes of a key. The text is counted for each entry, although entries of one statement may share it."""
    values = parameters.values() if isinstance(parameters, dict) else parameters
    return getsizeof(sql) + sum(map(getsizeof, values))
