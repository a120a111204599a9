"""What a host reports of itself, and which part of its state takes it in."""

from __future__ import annotations

from services.gateway.fleet.encoded_protection import EncodedProtection
from services.gateway.fleet.encoded_samples import EncodedSample
from services.gateway.fleet.host_state import HostState, Reaction, WorkerEvent
from shared.contracts.events import Heartbeat, HostDescribed, ImageServersRead, PolicyRunChanged

# What a host reports of itself; outcomes of operations go to `FleetView.apply_outcome`.
HostEvent = (
    Heartbeat
    | WorkerEvent
    | HostDescribed
    | ImageServersRead
    | EncodedSample
    | EncodedProtection
    | PolicyRunChanged
)


def apply_event(
    state: HostState,
    event: Heartbeat | WorkerEvent | HostDescribed | EncodedSample | EncodedProtection,
) -> Reaction:
    """Apply an event that concerns its host alone; return what it calls for."""
    if isinstance(event, Heartbeat):
        return state.apply_heartbeat(event)
    if isinstance(event, EncodedSample):
        return state.apply_sample(event)
    if isinstance(event, EncodedProtection):
        return state.apply_protection(event)
    if isinstance(event, HostDescribed):
        return state.apply_resources(event)
    return state.apply_event(event)
