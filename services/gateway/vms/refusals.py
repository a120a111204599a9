"""What a host's refusal of a new instance says of the host.

Only what another host may not say too is of interest here, and only what proves that the host made
nothing: all else ends the search for a place.
"""

from __future__ import annotations

from services.gateway.vms.placement import Shortfall
from shared.contracts.errors import (
    FleetError,
    HostBusy,
    HostIdentityMismatch,
    HostUnreachable,
    ImageNotFound,
    InsufficientResources,
    InvalidInput,
    LxdUnavailable,
    OperationExpired,
    PortInUse,
    WorkerOutdated,
)

_LACKING: dict[type[FleetError], str] = {
    HostBusy: "time",
    HostIdentityMismatch: "connection",
    HostUnreachable: "connection",
    ImageNotFound: "image",
    LxdUnavailable: "connection",
    OperationExpired: "time",
    PortInUse: "ports",
    WorkerOutdated: "release",
}
# What an order names and only some hosts may have.
_NAMED = ("network", "project")


def shortfall(refusal: FleetError) -> Shortfall | None:
    """Return what the host lacks that another one may have; None: it is not up to the host."""
    if isinstance(refusal, InsufficientResources):
        return Shortfall(refusal.resource, _number(refusal.wanted), _number(refusal.free))
    if isinstance(refusal, InvalidInput):
        return Shortfall(refusal.field) if refusal.field in _NAMED else None
    what = _LACKING.get(type(refusal))
    return Shortfall(what) if what else None


def _number(text: str) -> int | None:
    """Return what a host says as a number; what is none is its own business."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else None
