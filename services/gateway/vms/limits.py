"""Limits of a VM in the API's units: millions of bits and of bytes a second.

They are decimal, as LXD's own `Mbit` and `MB` are, and whoever sells traffic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

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


def to_limits(given: Mapping[str, Number]) -> Limits:
    """Return what a request asks for, by the fields of `Limits`; None and 0 take a limit away."""
    return Limits(
        **{field: math.ceil((number or 0) * UNITS[field]) for field, number in given.items()}
    )
