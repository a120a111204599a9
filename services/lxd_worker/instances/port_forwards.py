"""Ports of the host that lead to an instance, read from and written to LXD's proxy devices.

`shared.contracts.forwards` says which are ours; any other proxy device is its operator's.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import chain, count

from services.lxd_worker.instances.proxies import is_forward, proxies_in
from services.lxd_worker.journal.plan import Devices
from shared.contracts.changes import Forward
from shared.contracts.forwards import SSH_DEVICE, forward_of
from shared.contracts.instances import Proxy


def forwards_of(proxies: Iterable[Proxy]) -> set[Forward]:
    """Return what our devices among these forward; what is none of ours is left out."""
    return {forward for proxy in proxies if (forward := forward_of(proxy))}


def forwards_in(devices: Devices) -> tuple[Forward, ...]:
    """Return what proxy devices that we are about to make forward."""
    read = map(forward_of, proxies_in(devices))
    return tuple(forward for forward in read if forward)


def kept(proxies: Iterable[Proxy], wanted: Sequence[Forward]) -> tuple[Devices, list[Forward]]:
    """Return the devices of what is wanted and there already, and what else is wanted."""
    devices, missing = {}, list(wanted)
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


def joined(devices: Devices, more: Devices, taken: Container[str] = ()) -> Devices:
    """Return devices with more forwards, each under a name that is free and not `taken`."""
    every = dict(devices)
    for name, device in more.items():
        every[_free_name(name, every, taken)] = device
    return every


def devices_after(
    devices: Mapping[str, dict[str, str]], wanted: Devices, inherited: Devices
) -> Devices:
    """Return an instance's devices with exactly the wanted ones for our forwards.

    A forward that is there already keeps its device, so that its connections last. What is
    `inherited` from profiles stays, and no device takes the name of one of these.
    """
    present = {
        name: device
        for name, device in devices.items()
        if not is_forward(name, device) or device in wanted.values()
    }
    there = [*present.values(), *inherited.values()]
    missing = {name: device for name, device in wanted.items() if device not in there}
    return joined(present, missing, inherited)


def _free_name(name: str, there: Container[str], taken: Container[str]) -> str:
    numbered = (f"forward-{number}" for number in count())
    names = chain([SSH_DEVICE] if name == SSH_DEVICE else [], numbered)
    return next(one for one in names if one not in there and one not in taken)
