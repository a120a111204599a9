"""Limits of a VM in the API's units: megabits and megabytes per second.

They are decimal, as LXD's own `Mbit` and `MB` are, and the units in which traffic is sold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from msgspec import Struct

from services.gateway import units
from shared.contracts.changes import Limits

# The limits of a request, by the field of `Limits`, and the size of their units.
UNITS: Mapping[str, int] = {
    "ingress": units.MILLION,
    "egress": units.MILLION,
    "read": units.MILLION,
    "write": units.MILLION,
    "processes": 1,
}
Number = int | float | None


class NetworkLimits(Struct, frozen=True, kw_only=True, rename="camel"):
    """Network limits; None: unlimited."""

    ingress_mbit: Number
    egress_mbit: Number


class DiskLimits(Struct, frozen=True, kw_only=True, rename="camel"):
    """Disk limits; None: unlimited."""

    read_mbyte: Number
    write_mbyte: Number


class VmLimits(Struct, frozen=True, kw_only=True, rename="camel"):
    """The limits of a VM: traffic, disk throughput and processes."""

    network: NetworkLimits
    disk: DiskLimits
    processes: int | None


def vm_limits(limits: Limits) -> VmLimits:
    """Return limits in the API's units."""
    return VmLimits(
        network=NetworkLimits(
            ingress_mbit=units.millions(limits.ingress), egress_mbit=units.millions(limits.egress)
        ),
        disk=DiskLimits(
            read_mbyte=units.millions(limits.read), write_mbyte=units.millions(limits.write)
        ),
        processes=limits.processes,
    )


def to_limits(values: Mapping[str, Number]) -> Limits:
    """Return the limits of a request, by the fields of `Limits`; None and 0 remove one."""
    return Limits(
        **{field: math.ceil((number or 0) * UNITS[field]) for field, number in values.items()}
    )


def changed_limits(values: Mapping[str, Number], shown: VmLimits) -> Limits:
    """Return the limits of a request that differ from the present ones."""
    current = {
        "ingress": shown.network.ingress_mbit,
        "egress": shown.network.egress_mbit,
        "read": shown.disk.read_mbyte,
        "write": shown.disk.write_mbyte,
        "processes": shown.processes,
    }
    return to_limits(
        {
            field: number
            for field, number in values.items()
            if (number or 0) != (current[field] or 0)
        }
    )
