"""A history made by hand, for tests of the judge: commits that begin and return, and reads between them.

Ring: policy.
"""

from __future__ import annotations

from torture.board import Board, Publisher


class History:
    """One cell's, or several cells'."""

    def __init__(self, *versions: int) -> None:
        """``versions``: of the first cells, committed before anything else."""
        self.board = Board()
        for cell, version in enumerate(versions):
            self.board.known[cell] = self.board.begun[cell] = version
        self.publisher = Publisher(self.board)

    def begins(self, version: int, cell: int = 0) -> None:
        """The commit of ``version`` is about to be made."""
        self.board.begin(cell, version)

    def returns(self, version: int, cell: int = 0) -> None:
        """It has returned."""
        self.publisher.commits({cell: version})

    def commits(self, version: int, cell: int = 0) -> None:
        """Both."""
        self.begins(version, cell)
        self.returns(version, cell)
