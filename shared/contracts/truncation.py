"""Shorten a list of names for a text: the first few, and how many more there are.

The result contains no words, so that texts in any language can include it.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.contracts.bounds import clip

MOST_NAMES = 5
LONGEST_NAME = 128


def first_few(names: Sequence[str], separator: str = ", ", longest_name: int = LONGEST_NAME) -> str:
    """Return the first five names, and the number of the others."""
    first = separator.join(clip(name, longest_name) for name in names[:MOST_NAMES])
    rest = len(names) - MOST_NAMES
    return f"{first}{separator}… (+{rest})" if rest > 0 else first
