"""What the host has given to an instance, and that secrets are to come for its operation."""

from __future__ import annotations

from msgspec import Struct

Devices = dict[str, dict[str, str]]


class RootSwapPlan(Struct, frozen=True, kw_only=True):
    """How a root is swapped for another one.

    `incoming` is the mark of the new root (see `aside.ROOT`). Until it is in its place it is the
    instance `beside`; the old one becomes the instance `trash`, kept until the Unix time `until`.
    `disk` is how many bytes more are promised meanwhile.
    """

    incoming: str
    beside: str
    trash: str
    until: int
    disk: int = 0


class AllocationPlan(Struct, frozen=True, kw_only=True):
    """Fixed when a creation is accepted, because whatever is given out later must count it.

    `source` is the image in LXD's words, `devices` are root disk, NIC and proxies. `secret`: there
    is data to it that is kept in memory only. A password has nothing but that. `swap` is of a
    rebuild or a revert.
    """

    source: dict[str, str] = {}
    devices: Devices = {}
    secret: bool = False
    swap: RootSwapPlan | None = None
