"""The request for a new instance: its validation, the source of its image, and its body.

Of the caller's values only texts go in as they are: no `raw.*`, no privileges, no host's disk.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from services.lxd_worker.creation.cloud_init import ROOT_PASSWORD, check_user_data, user_data
from services.lxd_worker.instances.connection_note import USER_NOTE, connection_note
from services.lxd_worker.instances.description import DISPLAY_NAME, LABEL, OPERATION
from services.lxd_worker.instances.limits import PROCESSES
from services.lxd_worker.instances.validation import check_labels, check_limits
from services.lxd_worker.journal.entry import AllocationPlan, CopyPlan
from shared.contracts.errors import ImageNotFound, InvalidInput
from shared.contracts.hosts import CONTAINER, VIRTUAL_MACHINE, Image
from shared.contracts.instance_config import NO_LIMITS, ImageSource, NewInstance
from shared.contracts.operations import Operation, Submission

PROFILE = "default"
LEAST_MEMORY = 1 << 20
LEAST_DISK = 1 << 20

# Name and address of each image server that the operator allows.
Remotes = Mapping[str, str]

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def validate(submission: Submission) -> NewInstance:
    """Return the instance that a command asks for; raise InvalidInput if it breaks a rule.

    What depends on the host is not checked here.
    """
    new = submission.arguments.create
    if new is None:
        raise InvalidInput("create", "what to create")
    rules = _rules_of_copy if new.copy_of else _rules
    for field, is_valid, rule in rules(submission, new):
        if not is_valid:
            raise InvalidInput(field, rule)
    check_labels(new.labels)
    check_limits(new.limits)
    check_user_data(new.ssh_keys, submission.secrets)
    return new


def remote_source(wanted: ImageSource, remotes: Remotes) -> dict[str, str]:
    """Return LXD's source for an image of a server; only LXD finds out whether it exists.

    Raises ImageNotFound for a server that the operator does not allow.
    """
    if wanted.remote not in remotes:
        raise ImageNotFound(image_name(wanted))
    what = {"fingerprint": wanted.fingerprint} if wanted.fingerprint else {"alias": wanted.alias}
    return {
        "type": "image",
        "mode": "pull",
        "protocol": "simplestreams",
        "server": remotes[wanted.remote],
        **what,
    }


def local_source(wanted: ImageSource, kind: str, image: Image | None) -> dict[str, str]:
    """Return LXD's source for an image of the host's own store.

    Raises ImageNotFound if there is none, InvalidInput if it is for another type of instance.
    """
    if image is None:
        raise ImageNotFound(image_name(wanted))
    if image.type != kind:
        raise InvalidInput("type", f"the image is for a {image.type}")
    return {"type": "image", "fingerprint": image.fingerprint}


def image_name(wanted: ImageSource) -> str:
    """Return the image as people write it: `images:debian/12`, or its name alone."""
    name = wanted.alias or wanted.fingerprint
    return f"{wanted.remote}:{name}" if wanted.remote else name


def creation_body(
    operation: Operation, new: NewInstance, plan: AllocationPlan, secrets: Mapping[str, str]
) -> dict[str, object]:
    """Return the body of LXD's `POST /1.0/instances`."""
    if plan.copy_plan:
        return _body_of_copy(operation, new, plan, plan.copy_plan)
    return {
        "name": operation.instance,
        "type": new.type,
        "description": new.description,
        "profiles": [PROFILE],
        "source": plan.source,
        "config": _config(operation, new, plan, secrets),
        "devices": plan.devices,
    }


def _body_of_copy(
    operation: Operation, new: NewInstance, plan: AllocationPlan, copied: CopyPlan
) -> dict[str, object]:
    """Return the same for an instance made of a snapshot; LXD takes the rest from there."""
    given = {
        "volatile.uuid": operation.uuid,
        "boot.autostart": "true" if new.auto_start else "false",
        OPERATION: operation.operation_id,
        DISPLAY_NAME: new.display_name,
    } | {f"{LABEL}{key}": text for key, text in new.labels.items()}
    return {
        "name": operation.instance,
        "type": new.type,
        "architecture": copied.architecture,
        "description": new.description,
        "profiles": list(copied.profiles),
        "source": plan.source,
        "config": copied.config | given,
        "devices": plan.devices,
    }


def _rules_of_copy(submission: Submission, new: NewInstance) -> list[tuple[str, bool, str]]:
    nothing = "nothing, as it is copied"
    image = new.image
    return [
        ("instance", not submission.instance.endswith("-"), "a letter or digit at the end"),
        ("uuid", bool(_UUID.fullmatch(submission.uuid)), "a UUID in lower case"),
        ("image", not (image.alias or image.fingerprint or image.remote), nothing),
        ("ssh_keys", not new.ssh_keys, nothing),
        ("secrets", not submission.secrets, nothing),
        ("limits", new.limits == NO_LIMITS, nothing),
        ("ports", not new.ssh and not new.ports, "none, as those of the other one are in use"),
    ]


def _rules(submission: Submission, new: NewInstance) -> list[tuple[str, bool, str]]:
    image = new.image
    is_container = new.type == CONTAINER
    has_forwards = new.ssh or new.ports > 0
    return [
        ("instance", not submission.instance.endswith("-"), "a letter or digit at the end"),
        ("uuid", bool(_UUID.fullmatch(submission.uuid)), "a UUID in lower case"),
        ("type", new.type in (CONTAINER, VIRTUAL_MACHINE), f"{CONTAINER} or {VIRTUAL_MACHINE}"),
        ("cpu", new.cpu >= 1, "at least 1"),
        ("memory", new.memory >= LEAST_MEMORY, f"at least {LEAST_MEMORY} bytes"),
        ("disk", new.disk >= LEAST_DISK, f"at least {LEAST_DISK} bytes"),
        ("image", bool(image.alias) != bool(image.fingerprint), "one of alias and fingerprint"),
        # LXD forwards to a virtual machine by NAT rules only, which need a fixed address.
        ("processes", not new.limits.processes or is_container, "for containers only"),
        ("ports", not has_forwards or is_container, "for containers only"),
    ]


def _config(
    operation: Operation, new: NewInstance, plan: AllocationPlan, secrets: Mapping[str, str]
) -> dict[str, str]:
    note = connection_note(operation.instance, plan.devices, secrets.get(ROOT_PASSWORD, ""))
    config = {
        "volatile.uuid": operation.uuid,
        "limits.cpu": str(new.cpu),
        "limits.memory": str(new.memory),
        PROCESSES: str(new.limits.processes or ""),
        "boot.autostart": "true" if new.auto_start else "",
        "cloud-init.user-data": user_data(new.ssh_keys, secrets),
        USER_NOTE: note,
        DISPLAY_NAME: new.display_name,
        OPERATION: operation.operation_id,
    } | {f"{LABEL}{key}": text for key, text in new.labels.items()}
    return {key: text for key, text in config.items() if text}
