"""The bodies of the requests that swap an instance's root for another one.

Settings belong to the instance, not to its root: the new root gets them from the old one, as they
are once that has been parked. Only what LXD itself records about a root, and about the image of it,
stays with the root.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from services.lxd_worker.instances import parked_roots
from services.lxd_worker.instances.description import EditableInstance
from services.lxd_worker.instances.devices import Devices
from services.lxd_worker.journal.entry import AllocationPlan, RootSwapPlan
from shared.contracts.errors import LxdRefused

# What must not be in force for a parked root.
_OFF = {"boot.autostart": "false", "security.protection.delete": "false"}
_OF_THE_ROOT = ("volatile.", "image.")
_NO_DEVICE = {"type": "none"}


class ParkedConfig(Struct, frozen=True, kw_only=True):
    """What an instance had of its own before it was parked."""

    devices: Devices
    config: dict[str, str]


def new_root_body(
    instance: EditableInstance, plan: AllocationPlan, swap: RootSwapPlan
) -> dict[str, object]:
    """Return the body of LXD's `POST /1.0/instances` for a new root beside an instance."""
    marks = {
        "volatile.uuid": instance.uuid,
        parked_roots.ROOT: swap.incoming,
        parked_roots.PARKED: parked_roots.parked_mark(swap.beside, swap.until),
    }
    return {
        "name": swap.beside,
        "type": instance.type,
        "description": instance.description,
        "profiles": list(instance.profiles or ()),
        "source": plan.source,
        "config": _settings(instance.config) | _OFF | marks,
        "devices": _root_alone(instance),
    }


def park(instance: EditableInstance, name: str, until: int) -> dict[str, object]:
    """Return a root without what another one is to have; its settings hold a copy of that."""
    if parked_roots.PARKED_CONFIG in instance.config:
        raise LxdRefused("it is already set aside")
    own = ParkedConfig(devices=dict(instance.devices), config=_passed_on(instance))
    marks = {
        parked_roots.PARKED: parked_roots.parked_mark(name, until),
        parked_roots.PARKED_CONFIG: msgspec.json.encode(own).decode(),
    }
    return instance.whole({**instance.config, **_OFF, **marks}, _root_alone(instance))


def with_devices_of(root: EditableInstance, parked: EditableInstance) -> dict[str, object]:
    """Return a root with the devices that a parked one has given up, and else as it is.

    LXD drops a NIC's address that it is sent in the same request that adds the NIC.
    """
    body = root.whole(dict(root.config), _parked_config(parked).devices)
    return {**body, "profiles": list(parked.profiles or ())}


def unpark(root: EditableInstance) -> dict[str, object]:
    """Return a root as it was before it was parked."""
    before = _parked_config(root)
    without = {*_OFF, parked_roots.PARKED, parked_roots.PARKED_CONFIG}
    config = {key: text for key, text in root.config.items() if key not in without}
    return root.whole(config | before.config, before.devices)


def put_in_place(
    root: EditableInstance, parked: EditableInstance, swap: RootSwapPlan
) -> dict[str, object]:
    """Return a root with all that the parked one has given up."""
    given_up = _parked_config(parked)
    trash = parked_roots.trash_mark(parked.uuid, swap.trash, swap.until, parked.root_size)
    config = (
        {key: text for key, text in root.config.items() if _is_of_the_root(key)}
        | _settings(parked.config)
        | given_up.config
        | ({parked_roots.ROOT: swap.incoming} if swap.incoming else {})
        | {parked_roots.TRASH: trash}
    )
    return {
        **root.whole(config, given_up.devices),
        "profiles": list(parked.profiles or ()),
        "description": parked.description,
    }


def _parked_config(parked: EditableInstance) -> ParkedConfig:
    try:
        return msgspec.json.decode(
            parked.config.get(parked_roots.PARKED_CONFIG, ""), type=ParkedConfig
        )
    except msgspec.MsgspecError as exc:
        raise LxdRefused("its settings from before it was set aside are missing") from exc


def _settings(config: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of an instance that do not depend on its root."""
    return {
        key: text
        for key, text in config.items()
        if not _is_of_the_root(key) and key not in (*parked_roots.OURS, *_OFF)
    }


def _is_of_the_root(key: str) -> bool:
    return key.startswith(_OF_THE_ROOT)


def _passed_on(instance: EditableInstance) -> dict[str, str]:
    """Return the settings that go from root to root although LXD keeps them with each."""
    return {
        key: text
        for key, text in instance.config.items()
        if key in _OFF or (key.startswith("volatile.") and key.endswith(".hwaddr"))
    }


def _root_alone(instance: EditableInstance) -> Devices:
    """Return the root disk as it is, with every device that profiles would add switched off."""
    devices: Devices = {
        name: _NO_DEVICE for name in instance.expanded_devices if name != instance.root_disk
    }
    own = instance.devices.get(instance.root_disk)
    return devices | ({instance.root_disk: own} if own else {})
