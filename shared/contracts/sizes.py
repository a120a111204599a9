"""Parse LXD's limits: `512MB`, `1GiB`, plain bytes, `50%` of the host's memory, `2` CPUs.

Limits of traffic are bits per second: `100Mbit`, `1Gbit`, `64Kibit`, or plain bits.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from shared.contracts.bounds import MOST

_POWERS = "kMGTPE"
_UNITS: dict[str, int] = (
    {"": 1, "B": 1, " bytes": 1, "bytes": 1}
    | {f"{letter}B": 1000 ** (power + 1) for power, letter in enumerate(_POWERS)}
    | {f"{letter.upper()}iB": 1024 ** (power + 1) for power, letter in enumerate(_POWERS)}
)
_BITS: dict[str, int] = (
    {"": 1, "bit": 1}
    | {f"{letter}bit": 1000 ** (power + 1) for power, letter in enumerate(_POWERS)}
    | {f"{letter.upper()}ibit": 1024 ** (power + 1) for power, letter in enumerate(_POWERS)}
)
# No size has more digits, and Python refuses to parse thousands of them.
_SIZE = re.compile(r"(\d{1,32})(\D*)")
_SHARE = re.compile(r"(\d{1,32})%")
# No machine has more CPUs; longer numbers would only cost time.
_MOST_DIGITS = 9
_CPUS = re.compile(rf"(\d{{1,{_MOST_DIGITS}}})(?:-(\d{{0,{_MOST_DIGITS}}}))?")


def size_in_bytes(text: str) -> int | None:
    """Return a size in bytes, or None if the text is empty or not a size.

    Nor is what exceeds the storage of any machine: LXD accepts it, but it limits nothing.
    """
    return _number(text, _UNITS)


def bits(text: str) -> int | None:
    """Return a rate in bits per second; None as in `size_in_bytes`."""
    return _number(text, _BITS)


def process_count(text: str) -> int | None:
    """Return how many processes `limits.processes` allows; None if empty or not a number."""
    return _number(text, {"": 1})


def memory_limit(text: str, host_memory: int) -> int | None:
    """Return a memory limit in bytes, from a size or a share of the host's memory."""
    if share := _SHARE.fullmatch(text):
        return _possible(host_memory * int(share[1]) // 100)
    return size_in_bytes(text)


def cpu_count(text: str) -> int | None:
    """Return how many CPUs `limits.cpu` allows, from a count (`2`) or a set (`0-3`, `1,3`).

    None if it is empty or neither.
    """
    if text.isdecimal():
        return int(text) if len(text) <= _MOST_DIGITS else None
    spans = []
    for part in text.split(","):
        span = _CPUS.fullmatch(part.strip())
        if span is None:
            return None
        spans.append((int(span[1]), int(span[2] or span[1])))
    return _covered(spans)


def _covered(spans: list[tuple[int, int]]) -> int:
    """Return how many numbers the spans cover, without enumerating them."""
    count = end = 0
    for first, last in sorted(spans):
        count += max(0, last + 1 - max(first, end))
        end = max(end, last + 1)
    return count


def _number(text: str, units: Mapping[str, int]) -> int | None:
    match = _SIZE.fullmatch(text)
    if match is None or match[2] not in units:
        return None
    return _possible(int(match[1]) * units[match[2]])


def _possible(size: int) -> int | None:
    return size if size <= MOST else None
