"""The note on how to log in, `name ssh password first last`, which scripts read from an instance.

It is in a user key or in the description, where an operator's script may have written one before
us. `shared.contracts.notes` reads it.
"""

from __future__ import annotations

from services.lxd_worker.instances.description import OPERATION, EditableInstance
from services.lxd_worker.instances.devices import Devices, is_forward
from shared.contracts.forwards import SSH_DEVICE
from shared.contracts.notes import NO_PASSWORD, note_of, rename_note, replace_password

USER_NOTE = "user.description"
_USER_PASSWORD = "user.root_password"  # noqa: S105 - the name of a setting


def connection_note(name: str, devices: Devices, password: str) -> str:
    """Return the note of an instance with these devices; empty if none is our forward for SSH.

    First and last port are left out where no other port is forwarded.
    """
    ssh = _listen_ports(devices, SSH_DEVICE)
    if not ssh:
        return ""
    first, _, last = _listen_ports(devices, "forward-0").partition("-")
    return " ".join(filter(None, [name, ssh, password or NO_PASSWORD, first, last or first]))


def updated_notes(instance: EditableInstance, devices: Devices, old_name: str) -> dict[str, str]:
    """Return the settings that hold the note, brought up to date with the name and the devices.

    In a note that a script wrote only the name changes; one that a creation wrote is kept true in
    all parts. Empty where there is no note.
    """
    text = instance.config.get(USER_NOTE, "")
    note = note_of(text)
    if note is None:
        return {}
    if OPERATION not in instance.config:
        return {USER_NOTE: rename_note(text, old_name, instance.name)}
    updated = connection_note(instance.name, devices, note.password or "")
    # A note without ports is empty, and the password would be lost with it.
    password = {_USER_PASSWORD: note.password} if note.password and not updated else {}
    return {USER_NOTE: updated} | password


def password_patch(instance: EditableInstance, password: str) -> dict[str, object] | None:
    """Return the body of a PATCH that replaces the password wherever an older one is noted.

    That is a key of its own, or a note, in which `-` stands for no password. None: it is noted
    nowhere.
    """
    config = {
        key: text
        for key, text in (
            (_USER_PASSWORD, password if _USER_PASSWORD in instance.config else None),
            (USER_NOTE, _replaced(instance, instance.config.get(USER_NOTE, ""), password)),
        )
        if text is not None
    }
    description = _replaced(instance, instance.description, password)
    if not config and description is None:
        return None
    # LXD 5.0 removes a description that a PATCH does not name.
    return {"config": config, "description": description or instance.description}


def _replaced(instance: EditableInstance, text: str, password: str) -> str | None:
    """Return a note with another password; None where the text is not a note.

    A note that we wrote, or that names a range of ports, may hold an earlier name of the instance;
    three words with another name may be anything.
    """
    note = note_of(text)
    is_note = note and (note.name == instance.name or note.ports or OPERATION in instance.config)
    return replace_password(text, password) if is_note else None


def _listen_ports(devices: Devices, name: str) -> str:
    """Return the host's ports of a forward of ours; empty where the device is not one."""
    device = devices.get(name, {})
    return device["listen"].rpartition(":")[2] if is_forward(name, device) else ""
