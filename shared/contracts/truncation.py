"""What a text says of many: the first few, and how many more there are.

It has no word of any language, so that a text in any may hold it.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared.contracts.bounds import clip

MOST_NAMED = 5
LONGEST_NAME = 128


def first_few(names: Sequence[str], separator: str = ", ", longest_name: int = LONGEST_NAME) -> str:
    """Return the first five, and the number of those that are left out."""
    named = separator.join(clip(name, longest_name) for name in names[:MOST_NAMED])
    left_out = len(names) - MOST_NAMED
    return f"{named}{separator}… (+{left_out})" if left_out > 0 else named
