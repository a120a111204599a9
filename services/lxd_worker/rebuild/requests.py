"""What LXD is given when a root is swapped for another: whole descriptions, as in `writing`.

What an instance is set to belongs to the instance, not to its root: the new root gets it from the
old one as it is when that has let go. Only what LXD itself knows of a root, and of the image that
it is from, stays with it.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from services.lxd_worker.instances import parked_roots
from services.lxd_worker.instances.update_request import EditableInstance
from services.lxd_worker.journal.plan import AllocationPlan, Devices, RootSwapPlan
from shared.contracts.errors import LxdRefused
from shared.contracts.sizes import size_in_bytes

# What must not be in force of a root that is set aside.
_OFF = {"boot.autostart": "false", "security.protection.delete": "false"}
_OF_THE_ROOT = ("volatile.", "image.")
_NO_DEVICE = {"type": "none"}


class ParkedConfig(Struct, frozen=True, kw_only=True):
    """What an instance had of its own before it was set aside."""

    devices: Devices
    config: dict[str, str]


def new_root(
    found: EditableInstance, plan: AllocationPlan, swap: RootSwapPlan
) -> dict[str, object]:
    """Return the body of LXD's `POST /1.0/instances` for a new root beside an instance."""
    config = _settings(found.config) | _OFF
    return {
        "name": swap.beside,
        "type": found.type,
        "description": found.description,
        "profiles": list(found.profiles or ()),
        "source": plan.source,
        "config": config
        | {
            "volatile.uuid": found.uuid,
            parked_roots.ROOT: swap.incoming,
            parked_roots.ASIDE: parked_roots.aside_mark(swap.beside, swap.until),
        },
        "devices": _root_alone(found),
    }


def set_aside(found: EditableInstance, name: str, until: int) -> dict[str, object]:
    """Return an instance without what another one shall have; it keeps a note of that."""
    if parked_roots.KEPT in found.config:
        raise LxdRefused("it is set aside already")
    held = ParkedConfig(devices=dict(found.devices), config=_held(found))
    note = msgspec.json.encode(held).decode()
    mark = {parked_roots.ASIDE: parked_roots.aside_mark(name, until), parked_roots.KEPT: note}
    return _whole(found, {**found.config, **_OFF, **mark}, _root_alone(found))


def with_devices(found: EditableInstance, old: EditableInstance) -> dict[str, object]:
    """Return a root with the devices that the old one has let go of, and else as it is.

    LXD forgets what it is told of a NIC's address in the request that adds the NIC.
    """
    devices = _whole(found, dict(found.config), _kept(old).devices)
    return {**devices, "profiles": list(old.profiles or ())}


def put_back(found: EditableInstance) -> dict[str, object]:
    """Return an instance as it was before it was set aside."""
    kept = _kept(found)
    without = {*_OFF, parked_roots.ASIDE, parked_roots.KEPT}
    config = {key: text for key, text in found.config.items() if key not in without}
    return _whole(found, config | kept.config, kept.devices)


def put_in_place(
    found: EditableInstance, old: EditableInstance, swap: RootSwapPlan
) -> dict[str, object]:
    """Return a root with all that the old one has let go of."""
    kept = _kept(old)
    own = {key: text for key, text in found.config.items() if _is_of_the_root(key)}
    root = {parked_roots.ROOT: swap.incoming} if swap.incoming else {}
    size = size_in_bytes(old.expanded_devices.get(old.root_disk, {}).get("size", ""))
    trash = {parked_roots.TRASH: parked_roots.trash_mark(old.uuid, swap.trash, swap.until, size)}
    config = own | _settings(old.config) | kept.config | root | trash
    return {
        **_whole(found, config, kept.devices),
        "profiles": list(old.profiles or ()),
        "description": old.description,
    }


def _kept(found: EditableInstance) -> ParkedConfig:
    try:
        return msgspec.json.decode(found.config.get(parked_roots.KEPT, ""), type=ParkedConfig)
    except msgspec.MsgspecError as exc:
        raise LxdRefused("nothing tells what it had before it was set aside") from exc


def _settings(config: Mapping[str, str]) -> dict[str, str]:
    """Return what is set of an instance, whatever root it has."""
    return {
        key: text
        for key, text in config.items()
        if not _is_of_the_root(key) and key not in (*parked_roots.OURS, *_OFF)
    }


def _is_of_the_root(key: str) -> bool:
    return key.startswith(_OF_THE_ROOT)


def _held(found: EditableInstance) -> dict[str, str]:
    """Return what goes from root to root although LXD keeps it with each."""
    return {
        key: text
        for key, text in found.config.items()
        if key in _OFF or (key.startswith("volatile.") and key.endswith(".hwaddr"))
    }


def _root_alone(found: EditableInstance) -> Devices:
    """Return the root disk as it is, and nothing of what the profiles would give."""
    devices: Devices = {
        name: _NO_DEVICE for name in found.expanded_devices if name != found.root_disk
    }
    own = found.devices.get(found.root_disk)
    return devices | ({found.root_disk: own} if own else {})


def _whole(found: EditableInstance, config: dict[str, str], devices: Devices) -> dict[str, object]:
    return {
        "architecture": found.architecture,
        "config": config,
        "devices": devices,
        "ephemeral": found.ephemeral,
        "profiles": list(found.profiles or ()),
        "description": found.description,
    }
