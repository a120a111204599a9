"""Limits of a VM in the API's units: megabits and megabytes per second.

They are decimal, as LXD's own `Mbit` and `MB` are, and the units in which traffic is sold.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from services.gateway import units
from shared.contracts.instance_config import Limits

# The limits of a request, by the field of `Limits`, and the size of their units.
UNITS: Mapping[str, int] = {
    "ingress": units.MILLION,
    "egress": units.MILLION,
    "read": units.MILLION,
    "write": units.MILLION,
    "processes": 1,
}
Number = int | float | None


def to_limits(values: Mapping[str, Number]) -> Limits:
    """Return the limits of a request, by the fields of `Limits`; None and 0 remove one."""
    return Limits(
        **{field: math.ceil((number or 0) * UNITS[field]) for field, number in values.items()}
    )
