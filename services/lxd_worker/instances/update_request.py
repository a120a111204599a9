"""From the changes that are wanted to the whole description that LXD takes.

LXD is given all that can be written of an instance, not only what changes: then it tells of the
request as of any other that it has taken on, and devices can be removed.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from services.lxd_worker.creation.request import nat_description
from services.lxd_worker.instances.description import (
    DISPLAY_NAME,
    LABEL,
    OPERATION,
    InstanceDescription,
)
from services.lxd_worker.instances.limits import PROCESSES, limited
from services.lxd_worker.instances.port_forwards import devices_after
from services.lxd_worker.journal.plan import Devices
from shared.contracts.bounds import LONGEST_WORD, clip
from shared.contracts.changes import Changes
from shared.contracts.notes import note_of, rename_note, replace_password

_USER_NOTE, _USER_PASSWORD = "user.description", "user.root_password"


class EditableInstance(InstanceDescription, frozen=True, kw_only=True):
    """An instance with what is set on it alone, without its profiles."""

    architecture: str
    config: dict[str, str]
    devices: Devices
    ephemeral: bool


class DesiredConfig(Struct, frozen=True, kw_only=True):
    """What shall be different; None: leave it as it is. `proxies` are the devices of `forwards`.

    `old_name` is what the instance was called until just now; empty: as it is called.
    """

    changes: Changes = Changes()
    display_name: str | None = None
    proxies: Devices = {}
    old_name: str = ""


def written(found: EditableInstance, wanted: DesiredConfig) -> dict[str, object]:
    """Return the instance as it shall be."""
    described = wanted.changes.description
    devices = _devices(found, wanted)
    return {
        "architecture": found.architecture,
        "config": _config(found.config, wanted) | _notes(found, wanted, devices),
        "devices": devices,
        "ephemeral": found.ephemeral,
        "profiles": list(found.profiles or ()),
        "description": (
            rename_note(found.description, wanted.old_name, found.name)
            if described is None
            else described
        ),
    }


def with_password(found: EditableInstance, password: str) -> dict[str, object] | None:
    """Return what LXD's PATCH takes to write a new password where an older one stands.

    That is a key of its own, or a note `name ssh password first last`, where `-` stands for none.
    None: it stands nowhere.
    """
    noted = {
        key: text
        for key, text in (
            (_USER_PASSWORD, password if _USER_PASSWORD in found.config else None),
            (_USER_NOTE, _noted(found, found.config.get(_USER_NOTE, ""), password)),
        )
        if text is not None
    }
    description = _noted(found, found.description, password)
    if not noted and description is None:
        return None
    # LXD 5.0 takes away a description that a PATCH does not name.
    return {"config": noted, "description": description or found.description}


def _noted(found: EditableInstance, text: str, password: str) -> str | None:
    """Return a note with another password; None where the text is no note.

    One that was made by us, or that names a range of ports, may have the name that the instance had
    then; three words with another name may be anything.
    """
    note = note_of(text)
    if note is None or not (note.name == found.name or note.ports or OPERATION in found.config):
        return None
    return replace_password(text, password)


def _config(config: Mapping[str, str], wanted: DesiredConfig) -> dict[str, str]:
    changes = wanted.changes
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
        DISPLAY_NAME: wanted.display_name,
    }
    set_anew = {key: _text(value) for key, value in settings.items() if value is not None}
    return {key: text for key, text in (kept | labels | set_anew).items() if text}


def _label(there: str, wanted: str) -> str:
    """Return the label's value; one that is as it was shown stays, also beyond what is shown."""
    return there if clip(there, LONGEST_WORD) == wanted else wanted


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _devices(found: EditableInstance, wanted: DesiredConfig) -> Devices:
    devices = dict(found.devices)
    if wanted.changes.disk is not None:
        # A root disk that comes from a profile must be given as a whole.
        root = found.expanded_devices.get(found.root_disk, {})
        devices[found.root_disk] = {**root, "size": str(wanted.changes.disk)}
    if wanted.changes.forwards is not None:
        devices = devices_after(devices, wanted.proxies, _inherited(found))
    return limited(devices, found.expanded_devices, wanted.changes.limits)


def _inherited(found: EditableInstance) -> Devices:
    """Return the devices that come from the profiles alone."""
    every = found.expanded_devices.items()
    return {name: device for name, device in every if name not in found.devices}


def _notes(found: EditableInstance, wanted: DesiredConfig, devices: Devices) -> dict[str, str]:
    """Return what is noted of name, ports and password, as it is now.

    A script's note is its own, but for the name; of ports and password a creation noted, all stays
    true.
    """
    there = found.config.get(_USER_NOTE, "")
    note = note_of(there)
    if note is None:
        return {}
    if OPERATION not in found.config:
        return {_USER_NOTE: rename_note(there, wanted.old_name, found.name)}
    text = nat_description(found.name, devices, note.password or "")
    kept = {_USER_PASSWORD: note.password} if note.password and not text else {}
    return {_USER_NOTE: text} | kept
