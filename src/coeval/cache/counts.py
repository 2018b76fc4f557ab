"""What became of the calls of one function, counted.

Ring: policy.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Counts:
    """What became of the calls of one function, or of those for plain values; ``said``: why some were not kept, each once in the log."""

    hits: int = 0
    misses: int = 0
    joined: int = 0
    stale: int = 0
    unkept: int = 0
    said: set[str] = field(default_factory=set)
