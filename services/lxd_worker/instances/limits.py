"""An instance's I/O limits, which LXD keeps with its devices, and its limit of processes.

`limits.max` of a device applies to both directions and takes precedence over a limit for one. An
instance's device replaces the profile's device of the same name as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.lxd_worker.instances.devices import Device, Devices, is_nic
from shared.contracts.instance_config import Limits
from shared.contracts.sizes import bits, process_count, size_in_bytes
from shared.lxd.models import is_root_disk

PROCESSES = "limits.processes"
NETWORK, DISK = ("ingress", "egress"), ("read", "write")
_BOTH = "limits.max"


def limits_of(config: Mapping[str, str], devices: Mapping[str, Device]) -> Limits:
    """Return the limits of an instance with these settings, profiles applied.

    A disk limit in operations per second is not a limit in bytes, and is ignored.
    """
    nics = [device for device in devices.values() if is_nic(device)]
    disk = next((device for device in devices.values() if is_root_disk(device)), {})
    return Limits(
        ingress=_loosest(bits(_limit(nic, "ingress")) for nic in nics),
        egress=_loosest(bits(_limit(nic, "egress")) for nic in nics),
        read=size_in_bytes(_limit(disk, "read")) or None,
        write=size_in_bytes(_limit(disk, "write")) or None,
        processes=process_count(config.get(PROCESSES, "")) or None,
    )


def first_unmet(requested: Limits, present: Limits) -> str | None:
    """Return the name of the first requested limit that is not in force; None: all are."""
    for field in Limits.__struct_fields__:
        limit = getattr(requested, field)
        if limit is not None and limit != (getattr(present, field) or 0):
            return field
    return None


def with_limits(own: Devices, expanded: Devices, limits: Limits) -> Devices:
    """Return an instance's own devices with limits on its NICs and its root disk.

    `expanded` are all of its devices. A profile's device that does not change is not made its own.
    """
    devices = dict(own)
    for name, device in expanded.items():
        before = own.get(name, device)
        after = _with(before, _of(device, limits))
        if after != before:
            devices[name] = after
    return devices


def _limit(device: Device, direction: str) -> str:
    return device.get(_BOTH) or device.get(f"limits.{direction}", "")


def _loosest(limits: Iterable[int | None]) -> int | None:
    """Return the limit of the NIC with the most room; None: at least one has no limit."""
    each = list(limits)
    known = [limit for limit in each if limit]
    return max(known) if known and len(known) == len(each) else None


def _of(device: Device, limits: Limits) -> dict[str, int]:
    directions = NETWORK if is_nic(device) else DISK if is_root_disk(device) else ()
    each = {direction: getattr(limits, direction) for direction in directions}
    return {direction: limit for direction, limit in each.items() if limit is not None}


def _with(device: dict[str, str], limits: Mapping[str, int]) -> dict[str, str]:
    if not limits:
        return device
    directions = NETWORK if is_nic(device) else DISK
    split = {f"limits.{one}": device[_BOTH] for one in directions if device.get(_BOTH)}
    new = {f"limits.{one}": str(limit) if limit else "" for one, limit in limits.items()}
    others = {key: text for key, text in device.items() if key != _BOTH}
    return {key: text for key, text in (others | split | new).items() if text or key not in new}
