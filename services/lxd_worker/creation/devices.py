"""Root disk and NIC of a new instance: those of the profile, with what the order says of them.

They keep the profile's names, so that they take the place of its devices.
"""

from __future__ import annotations

from services.lxd_worker.journal.plan import Devices
from shared.contracts.hosts import Network

# Those of LXD's managed networks that a NIC can be on.
_MANAGED = ("bridge", "ovn", "macvlan", "sriov")


def root(profile: Devices) -> tuple[str, dict[str, str]]:
    """Return name and settings of the profile's root disk; none of these where it has none."""
    found = [(n, d) for n, d in profile.items() if (d.get("type"), d.get("path")) == ("disk", "/")]
    return found[0] if found else ("root", {"type": "disk", "path": "/"})


def joinable(network: Network) -> bool:
    """Whether an instance can be joined to it."""
    return network.type in _MANAGED if network.managed else network.type == "bridge"


def nic(profile: Devices, network: Network) -> Devices:
    """Return the NIC that joins an instance to a network, in the place of the profile's first."""
    names = sorted(name for name, device in profile.items() if device.get("type") == "nic")
    link = (
        {"network": network.name}
        if network.managed
        else {"nictype": "bridged", "parent": network.name}
    )
    return {names[0] if names else "eth0": {"type": "nic", "name": "eth0", **link}}
