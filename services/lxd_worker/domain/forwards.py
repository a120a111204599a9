"""Ports of the host that lead to an instance, read from and written to LXD's proxy devices.

Ours are the devices `ssh` and `forward-<n>`; any other proxy device is its operator's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import count

from services.lxd_worker.domain.nat_pool import SSH_DEVICE
from services.lxd_worker.domain.plan import Devices
from shared.contracts.changes import Forward
from shared.contracts.forwards import forward_of, is_ours
from shared.contracts.instances import Proxy


def forwards_of(proxies: Iterable[Proxy]) -> set[Forward]:
    """Return what our devices among these forward; what is none of ours is left out."""
    read = [forward_of(proxy.listen, proxy.connect) for proxy in proxies if is_ours(proxy.device)]
    return {forward for forward in read if forward}


def forwards_in(devices: Devices) -> tuple[Forward, ...]:
    """Return what proxy devices that we are about to make forward."""
    read = [forward_of(device["listen"], device["connect"]) for device in devices.values()]
    return tuple(forward for forward in read if forward)


def devices_after(devices: Mapping[str, dict[str, str]], wanted: Devices) -> Devices:
    """Return an instance's devices with exactly the wanted ones for our forwards.

    A forward that is there already keeps its device, so that its connections last.
    """
    present = {
        name: device
        for name, device in devices.items()
        if device.get("type") != "proxy" or not is_ours(name) or device in wanted.values()
    }
    for name, device in wanted.items():
        if device not in present.values():
            present[_free_name(name, present)] = device
    return present


def _free_name(name: str, taken: Devices) -> str:
    if name == SSH_DEVICE and SSH_DEVICE not in taken:
        return SSH_DEVICE
    names = (f"forward-{number}" for number in count())
    return next(name for name in names if name not in taken)
