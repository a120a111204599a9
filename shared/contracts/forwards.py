"""What a proxy device of ours forwards: the host makes them, and the gateway shows them.

Ours are the devices `ssh` and `forward-<n>`; any other proxy device is its operator's.
"""

from __future__ import annotations

import re

from shared.contracts.changes import Forward

_OURS = re.compile(r"ssh|forward-\d+")
_ENDPOINT = re.compile(r"(tcp|udp):.*:(\d{1,5})(?:-(\d{1,5}))?")


def is_ours(device: str) -> bool:
    """Whether a proxy device of this name is one that we made."""
    return _OURS.fullmatch(device) is not None


def forward_of(listen: str, connect: str) -> Forward | None:
    """Return what a proxy with these endpoints forwards; None where we would make no such one."""
    outside, inside = _ENDPOINT.fullmatch(listen), _ENDPOINT.fullmatch(connect)
    if outside is None or inside is None:
        return None
    first, last = int(outside[2]), int(outside[3] or outside[2])
    return Forward(
        protocol=outside[1], listen=first, connect=int(inside[2]), count=last - first + 1
    )
