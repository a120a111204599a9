"""Port forwards to an instance, read from and written to LXD's proxy devices.

`shared.contracts.forwards` says which proxy devices are ours; all others belong to the operator.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from itertools import chain, count

from services.lxd_worker.instances.devices import Devices, is_forward, proxies_in
from shared.contracts.changes import Forward
from shared.contracts.forwards import SSH_DEVICE, forward_of
from shared.contracts.instances import Proxy


def forwards_of(proxies: Iterable[Proxy]) -> set[Forward]:
    """Return the forwards of those proxies that are ours."""
    return {forward for proxy in proxies if (forward := forward_of(proxy))}


def forwards_in(devices: Devices) -> tuple[Forward, ...]:
    """Return the forwards of proxy devices that are about to be created, in their order."""
    read = map(forward_of, proxies_in(devices))
    return tuple(forward for forward in read if forward)


def split_existing(
    proxies: Iterable[Proxy], requested: Sequence[Forward]
) -> tuple[Devices, list[Forward]]:
    """Return the devices of requested forwards that exist already, and the forwards that do not."""
    devices, missing = {}, list(requested)
    for proxy in proxies:
        forward = forward_of(proxy)
        if forward in missing:
            missing.remove(forward)
            devices[proxy.device] = {
                "type": "proxy",
                "listen": proxy.listen,
                "connect": proxy.connect,
            }
    return devices, missing


def add_devices(devices: Devices, more: Devices, reserved: Container[str] = ()) -> Devices:
    """Return devices with more forwards, each under a free name that is not `reserved`."""
    every = dict(devices)
    for name, device in more.items():
        every[_free_name(name, every, reserved)] = device
    return every


def replace_forwards(devices: Devices, forwards: Devices, inherited: Devices) -> Devices:
    """Return an instance's devices with exactly these devices for our forwards.

    A forward that exists keeps its device, so that its connections survive. Devices that are
    `inherited` from profiles stay, and no device takes the name of one of them.
    """
    present = {
        name: device
        for name, device in devices.items()
        if not is_forward(name, device) or device in forwards.values()
    }
    existing = [*present.values(), *inherited.values()]
    missing = {name: device for name, device in forwards.items() if device not in existing}
    return add_devices(present, missing, inherited)


def _free_name(name: str, used: Container[str], reserved: Container[str]) -> str:
    numbered = (f"forward-{number}" for number in count())
    names = chain([SSH_DEVICE] if name == SSH_DEVICE else [], numbered)
    return next(one for one in names if one not in used and one not in reserved)
