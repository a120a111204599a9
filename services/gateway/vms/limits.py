"""Limits of a VM in the API's units: millions of bits and of bytes a second.

They are decimal, as LXD's own `Mbit` and `MB` are, and whoever sells traffic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec import Struct

from services.gateway import units
from shared.contracts.changes import Limits

# What a request may give, by the field of `Limits`: how much one of its unit is.
UNITS: Mapping[str, int] = {
    "ingress": units.MILLION,
    "egress": units.MILLION,
    "read": units.MILLION,
    "write": units.MILLION,
    "processes": 1,
}
Number = int | float | None


class NetworkLimits(Struct, frozen=True, kw_only=True, rename="camel"):
    """What comes in and goes out; None: as much as there is."""

    ingress_mbit: Number
    egress_mbit: Number


class DiskLimits(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is read and written; None: as much as there is."""

    read_mbyte: Number
    write_mbyte: Number


class VmLimits(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a VM may move in a second, and how many processes it may have."""

    network: NetworkLimits
    disk: DiskLimits
    processes: int | None


def shown_limits(limits: Limits) -> VmLimits:
    """Return limits as they are shown."""
    return VmLimits(
        network=NetworkLimits(
            ingress_mbit=units.millions(limits.ingress), egress_mbit=units.millions(limits.egress)
        ),
        disk=DiskLimits(
            read_mbyte=units.millions(limits.read), write_mbyte=units.millions(limits.write)
        ),
        processes=limits.processes,
    )


def wanted(given: Mapping[str, Number]) -> Limits:
    """Return what a request asks for, by the fields of `Limits`; None and 0 take a limit away."""
    return Limits(
        **{field: math.ceil((number or 0) * UNITS[field]) for field, number in given.items()}
    )


def differing(given: Mapping[str, Number], present: VmLimits) -> Limits:
    """Return the same without what is so already, as it is shown."""
    now = {
        "ingress": present.network.ingress_mbit,
        "egress": present.network.egress_mbit,
        "read": present.disk.read_mbyte,
        "write": present.disk.write_mbyte,
        "processes": present.processes,
    }
    return wanted(
        {field: number for field, number in given.items() if (number or 0) != (now[field] or 0)}
    )
