"""Tells which blocks of texts cannot contain a text, without a look at them.

A text contains another one only if it contains all of its trigrams (runs of three characters). For
each trigram there is a set of the blocks in which it occurs, so that a search costs a few
intersections and a look into the blocks that are left. See Russ Cox, "Regular Expression Matching
with a Trigram Index".

Trigrams share a fixed number of sets by their hash: what is kept grows with the blocks, whatever is
written in them.
"""

from __future__ import annotations

from collections.abc import Iterator

SETS = 1 << 14


class TrigramFilter:
    """Sets of blocks, which are small numbers: bit 5 of a set stands for block 5.

    Of a block whose texts change, former trigrams stay: it is looked into once too often.
    """

    def __init__(self) -> None:
        self._blocks_with = [0] * SETS
        self._blocks = 0

    def add(self, block: int, text: str) -> None:
        """Note that a block contains a text."""
        bit = 1 << block
        self._blocks |= bit
        for number in _sets(text):
            self._blocks_with[number] |= bit

    def candidates(self, wanted: str) -> Iterator[int]:
        """Yield the blocks that may contain a text; of less than three characters, all."""
        blocks = self._blocks
        for number in _sets(wanted):
            blocks &= self._blocks_with[number]
        bits = f"{blocks:b}"[::-1]
        block = bits.find("1")
        while block >= 0:
            yield block
            block = bits.find("1", block + 1)


def _sets(text: str) -> set[int]:
    return {hash(trigram) % SETS for trigram in zip(text, text[1:], text[2:], strict=False)}
