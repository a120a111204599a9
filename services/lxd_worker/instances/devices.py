"""LXD's devices of an instance or a profile: its root disk, NICs and port forwards."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

from shared.contracts.bounds import LONGEST_WORD, MOST_PROXY_OPTIONS, clip
from shared.contracts.forwards import forward_of
from shared.contracts.hosts import Network
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
