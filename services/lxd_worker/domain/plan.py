"""What the host has given to an instance, and that secrets are to come for its operation."""

from __future__ import annotations

from msgspec import Struct

Devices = dict[str, dict[str, str]]


class Plan(Struct, frozen=True, kw_only=True):
    """Fixed when a creation is accepted, because whatever is given out later must count it.

    `source` is the image in LXD's words, `devices` are root disk, NIC and proxies. `secret`: there
    is data to it that is kept in memory only. A password has nothing but that.
    """

    source: dict[str, str] = {}
    devices: Devices = {}
    secret: bool = False
