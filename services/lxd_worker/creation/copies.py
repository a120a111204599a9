"""An instance made of a snapshot of another one: what it shares with it, and what it must not.

LXD copies what the request does not name. Named are what two instances cannot both have: addresses,
forwarded ports, our marks of identity.
"""

from __future__ import annotations

from services.lxd_worker.instances import parked_roots
from services.lxd_worker.instances.connection_note import USER_NOTE
from services.lxd_worker.instances.description import DISPLAY_NAME, LABEL, OPERATION
from services.lxd_worker.instances.devices import Device, Devices, is_nic, is_proxy
from services.lxd_worker.journal.entry import CopyPlan
from shared.contracts.instance_config import NewInstance
from shared.contracts.sizes import cpu_count
from shared.lxd.models import SnapshotContent, is_root_disk

# Of a NIC: what only one instance can have.
_OF_ONE = ("hwaddr", "host_name", "ipv4.address", "ipv6.address")
_NO_DEVICE = {"type": "none"}
_OURS = (USER_NOTE, DISPLAY_NAME, OPERATION, *parked_roots.OURS)


def copied_root(content: SnapshotContent) -> tuple[str, dict[str, str]] | None:
    """Return the name and the settings of the root disk; None: it has none."""
    devices = content.expanded_devices | content.devices
    roots = (each for each in devices.items() if is_root_disk(each[1]))
    return next(roots, None)


def copied_devices(content: SnapshotContent) -> Devices:
    """Return the devices that the copy has otherwise: NICs without addresses, and no proxy."""
    nics = {name: _own(device) for name, device in content.devices.items() if is_nic(device)}
    every = content.expanded_devices | content.devices
    return nics | {name: _NO_DEVICE for name, device in every.items() if is_proxy(device)}


def copy_plan(content: SnapshotContent, new: NewInstance) -> CopyPlan:
    """Return what the copy has beside its devices."""
    marks = {key: "" for key in content.config if key in _OURS or key.startswith(LABEL)}
    return CopyPlan(
        architecture=content.architecture,
        profiles=tuple(content.profiles or ()),
        config=marks | _limits(content, new),
    )


def _limits(content: SnapshotContent, new: NewInstance) -> dict[str, str]:
    """Return the limits that the host counts; those of the snapshot's time may be others."""
    limits = {"limits.memory": str(new.memory)} if new.memory else {}
    if new.cpu and cpu_count(content.expanded_config.get("limits.cpu", "")) != new.cpu:
        limits["limits.cpu"] = str(new.cpu)
    return limits


def _own(nic: Device) -> dict[str, str]:
    return {key: text for key, text in nic.items() if key not in _OF_ONE}
