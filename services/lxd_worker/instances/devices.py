"""LXD's devices of an instance or a profile: its root disk, NICs and port forwards."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from itertools import chain, count, islice

from shared.contracts.bounds import LONGEST_WORD, MOST_PROXY_OPTIONS, clip
from shared.contracts.forwards import SSH_DEVICE, forward_of
from shared.contracts.hosts import Network
from shared.contracts.instance_config import Forward
from shared.contracts.instances import Proxy
from shared.lxd.models import is_root_disk

Device = Mapping[str, str]
Devices = dict[str, dict[str, str]]

# The managed networks that a NIC can be attached to.
_MANAGED = ("bridge", "ovn", "macvlan", "sriov")
_NO_OPTIONS = ("type", "listen", "connect")


def is_nic(device: Device) -> bool:
    """Whether a device is a network interface."""
    return device.get("type") == "nic"


def is_proxy(device: Device) -> bool:
    """Whether a device forwards a port or a socket."""
    return device.get("type") == "proxy"


def is_forward(name: str, device: Device) -> bool:
    """Whether a device is a port forward of ours; see `shared.contracts.forwards`."""
    return is_proxy(device) and forward_of(_proxy(name, device)) is not None


def proxies_in(devices: Mapping[str, Device]) -> tuple[Proxy, ...]:
    """Return the proxy devices as the fleet knows them, in the order of the devices."""
    return tuple(_proxy(name, device) for name, device in devices.items() if is_proxy(device))


def root_disk(profile: Devices) -> tuple[str, dict[str, str]]:
    """Return the name and the settings of a profile's root disk, or a bare one if it has none."""
    found = [(name, device) for name, device in profile.items() if is_root_disk(device)]
    return found[0] if found else ("root", {"type": "disk", "path": "/"})


def is_joinable(network: Network) -> bool:
    """Whether an instance can be attached to a network."""
    return network.type in _MANAGED if network.managed else network.type == "bridge"


def nic_for(profile: Devices, network: Network) -> Devices:
    """Return the NIC for a network, named as the profile's first NIC, which it replaces."""
    names = sorted(name for name, device in profile.items() if is_nic(device))
    link = (
        {"network": network.name}
        if network.managed
        else {"nictype": "bridged", "parent": network.name}
    )
    return {names[0] if names else "eth0": {"type": "nic", "name": "eth0", **link}}


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


def _proxy(name: str, device: Device) -> Proxy:
    options = sorted((k, v) for k, v in device.items() if v and k not in _NO_OPTIONS)
    return Proxy(
        device=name,
        listen=device.get("listen", ""),
        connect=device.get("connect", ""),
        # Clipped here: an option that was left out later would make another's proxy look like ours.
        options={
            clip(key, LONGEST_WORD): clip(text, LONGEST_WORD)
            for key, text in islice(options, MOST_PROXY_OPTIONS)
        },
    )


def _free_name(name: str, used: Container[str], reserved: Container[str]) -> str:
    numbered = (f"forward-{number}" for number in count())
    names = chain([SSH_DEVICE] if name == SSH_DEVICE else [], numbered)
    return next(one for one in names if one not in used and one not in reserved)
