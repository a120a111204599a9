"""What LXD is asked to make: its request for a new instance, put together from an order.

Nothing of it comes from the caller as it is but texts: no `raw.*`, no privileges, no host's disk.
"""

from __future__ import annotations

from collections.abc import Mapping

from services.lxd_worker.creation.cloud_init import ROOT_PASSWORD, user_data
from services.lxd_worker.instances.description import DISPLAY_NAME, LABEL, OPERATION
from services.lxd_worker.instances.limits import PROCESSES
from services.lxd_worker.instances.proxies import is_forward
from services.lxd_worker.journal.plan import AllocationPlan, Devices
from shared.contracts.changes import NewInstance
from shared.contracts.forwards import SSH_DEVICE
from shared.contracts.notes import NO_PASSWORD
from shared.contracts.operations import Operation

PROFILE = "default"


def request(
    operation: Operation, wanted: NewInstance, plan: AllocationPlan, secrets: Mapping[str, str]
) -> dict[str, object]:
    """Return the body of LXD's `POST /1.0/instances`."""
    return {
        "name": operation.instance,
        "type": wanted.type,
        "description": wanted.description,
        "profiles": [PROFILE],
        "source": plan.source,
        "config": _config(operation, wanted, plan, secrets),
        "devices": plan.devices,
    }


def _config(
    operation: Operation, wanted: NewInstance, plan: AllocationPlan, secrets: Mapping[str, str]
) -> dict[str, str]:
    nat = nat_description(operation.instance, plan.devices, secrets.get(ROOT_PASSWORD, ""))
    config = {
        "volatile.uuid": operation.uuid,
        "limits.cpu": str(wanted.cpu),
        "limits.memory": str(wanted.memory),
        PROCESSES: str(wanted.limits.processes or ""),
        "boot.autostart": "true" if wanted.auto_start else "",
        "cloud-init.user-data": user_data(wanted.ssh_keys, secrets),
        "user.description": nat,
        DISPLAY_NAME: wanted.display_name,
        OPERATION: operation.operation_id,
    } | {f"{LABEL}{key}": text for key, text in wanted.labels.items()}
    return {key: text for key, text in config.items() if text}


def nat_description(name: str, devices: Devices, password: str) -> str:
    """Return the note of an instance with these devices; empty without a port for SSH of ours.

    First and last port are left out where there are none.
    """
    ssh = _listen(devices, SSH_DEVICE)
    if not ssh:
        return ""
    first, _, last = _listen(devices, "forward-0").partition("-")
    return " ".join(filter(None, [name, ssh, password or NO_PASSWORD, first, last or first]))


def _listen(devices: Devices, name: str) -> str:
    """Return the ports of the host that a device of ours listens on; empty where it is none."""
    device = devices.get(name, {})
    return device["listen"].rpartition(":")[2] if is_forward(name, device) else ""
