"""How much an instance may move in a second, as LXD keeps it with its devices, and its processes.

`limits.max` of a device stands for both directions, and counts before a limit of one of them. LXD
takes a device of an instance in the place of the whole one that a profile has under its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from services.lxd_worker.journal.plan import Devices
from shared.contracts.changes import Limits
from shared.contracts.sizes import bits, process_count, size_in_bytes
from shared.lxd.models import is_root_disk

PROCESSES = "limits.processes"
NETWORK, DISK = ("ingress", "egress"), ("read", "write")
_BOTH = "limits.max"

Device = Mapping[str, str]


def limits_of(config: Mapping[str, str], devices: Mapping[str, Device]) -> Limits:
    """Return the limits of an instance with these settings, profiles applied.

    A limit in operations a second is none of bytes.
    """
    nics = [device for device in devices.values() if _is_nic(device)]
    disk = next((device for device in devices.values() if is_root_disk(device)), {})
    return Limits(
        ingress=_loosest(bits(_limit(nic, "ingress")) for nic in nics),
        egress=_loosest(bits(_limit(nic, "egress")) for nic in nics),
        read=size_in_bytes(_limit(disk, "read")) or None,
        write=size_in_bytes(_limit(disk, "write")) or None,
        processes=process_count(config.get(PROCESSES, "")) or None,
    )


def fulfilled(wanted: Limits, present: Limits) -> bool:
    """Whether nothing is left to be limited or freed."""
    return unfulfilled(wanted, present) is None


def unfulfilled(wanted: Limits, present: Limits) -> str | None:
    """Return the first of the wanted limits that is not as it is wanted."""
    fields = Limits.__struct_fields__
    return next(
        (
            field
            for field in fields
            if (limit := getattr(wanted, field)) is not None
            and limit != (getattr(present, field) or 0)
        ),
        None,
    )


def limited(own: Devices, expanded: Devices, wanted: Limits) -> Devices:
    """Return an instance's own devices with the wanted limits on its NICs and its root disk.

    `expanded` are all that it has. One of a profile that stays as it is does not become its own.
    """
    devices = dict(own)
    for name, device in expanded.items():
        before = own.get(name, device)
        after = _with(before, _of(device, wanted))
        if after != before:
            devices[name] = after
    return devices


def has_nic(devices: Devices) -> bool:
    """Whether there is a network interface to be limited."""
    return any(_is_nic(device) for device in devices.values())


def _is_nic(device: Device) -> bool:
    return device.get("type") == "nic"


def _limit(device: Device, direction: str) -> str:
    return device.get(_BOTH) or device.get(f"limits.{direction}", "")


def _loosest(limits: Iterable[int | None]) -> int | None:
    """Return what traffic is limited to that goes where there is most room; None: not at all."""
    each = list(limits)
    known = [limit for limit in each if limit]
    return max(known) if known and len(known) == len(each) else None


def _of(device: Device, wanted: Limits) -> dict[str, int]:
    directions = NETWORK if _is_nic(device) else DISK if is_root_disk(device) else ()
    limits = {direction: getattr(wanted, direction) for direction in directions}
    return {direction: limit for direction, limit in limits.items() if limit is not None}


def _with(device: dict[str, str], limits: Mapping[str, int]) -> dict[str, str]:
    if not limits:
        return device
    directions = NETWORK if _is_nic(device) else DISK
    apart = {f"limits.{one}": device[_BOTH] for one in directions if device.get(_BOTH)}
    anew = {f"limits.{one}": str(limit) if limit else "" for one, limit in limits.items()}
    kept = {key: text for key, text in device.items() if key != _BOTH}
    return {key: text for key, text in (kept | apart | anew).items() if text or key not in anew}
