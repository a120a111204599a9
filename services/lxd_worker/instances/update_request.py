"""The body of the PUT that changes an instance.

LXD is sent all settings of the instance, not only those that change: then it runs the request as
an operation like any other, and devices can be removed.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from services.lxd_worker.instances.connection_note import updated_notes
from services.lxd_worker.instances.description import DISPLAY_NAME, LABEL, EditableInstance
from services.lxd_worker.instances.devices import Devices, replace_forwards
from services.lxd_worker.instances.limits import PROCESSES, with_limits
from shared.contracts.bounds import LONGEST_WORD, clip
from shared.contracts.instance_config import Changes
from shared.contracts.notes import rename_note


class DesiredConfig(Struct, frozen=True, kw_only=True):
    """What is to change; None: leave it as it is. `proxies` are the devices of `changes.forwards`.

    `old_name` is the instance's name before it was renamed just now; empty: it was not.
    """

    changes: Changes = Changes()
    display_name: str | None = None
    proxies: Devices = {}
    old_name: str = ""


def update_body(instance: EditableInstance, desired: DesiredConfig) -> dict[str, object]:
    """Return the whole instance with the changes applied."""
    description = desired.changes.description
    if description is None:
        description = rename_note(instance.description, desired.old_name, instance.name)
    devices = _devices(instance, desired)
    notes = updated_notes(instance, devices, desired.old_name)
    return {
        **instance.whole(_config(instance.config, desired) | notes, devices),
        "description": description,
    }


def _config(config: Mapping[str, str], desired: DesiredConfig) -> dict[str, str]:
    changes = desired.changes
    kept = {
        key: text
        for key, text in config.items()
        if changes.labels is None or not key.startswith(LABEL)
    }
    labels = {
        f"{LABEL}{key}": _label(config.get(f"{LABEL}{key}", ""), text)
        for key, text in (changes.labels or {}).items()
    }
    settings = {
        "limits.cpu": changes.cpu,
        "limits.memory": changes.memory,
        "boot.autostart": changes.auto_start,
        PROCESSES: "" if changes.limits.processes == 0 else changes.limits.processes,
        DISPLAY_NAME: desired.display_name,
    }
    changed = {key: _text(value) for key, value in settings.items() if value is not None}
    return {key: text for key, text in (kept | labels | changed).items() if text}


def _label(present: str, requested: str) -> str:
    """Return a label's value; one that was sent back as it was shown, clipped, stays whole."""
    return present if clip(present, LONGEST_WORD) == requested else requested


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _devices(instance: EditableInstance, desired: DesiredConfig) -> Devices:
    devices = dict(instance.devices)
    if desired.changes.disk is not None:
        # A root disk that comes from a profile must be overridden as a whole.
        root = instance.expanded_devices.get(instance.root_disk, {})
        devices[instance.root_disk] = {**root, "size": str(desired.changes.disk)}
    if desired.changes.forwards is not None:
        devices = replace_forwards(devices, desired.proxies, _inherited(instance))
    return with_limits(devices, instance.expanded_devices, desired.changes.limits)


def _inherited(instance: EditableInstance) -> Devices:
    """Return the devices that come from the profiles alone."""
    every = instance.expanded_devices.items()
    return {name: device for name, device in every if name not in instance.devices}
