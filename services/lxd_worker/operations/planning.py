"""What a change of an existing instance takes from the host: decided before it is accepted."""

from __future__ import annotations

from msgspec.structs import replace

from services.lxd_worker.creation.admission import Admission
from services.lxd_worker.creation.allocations import Commitments
from services.lxd_worker.creation.capacity import NOTHING, cpus
from services.lxd_worker.creation.port_pool import assign_forwards, ports_of
from services.lxd_worker.instances.devices import is_proxy, proxies_in
from services.lxd_worker.instances.port_forwards import (
    add_devices,
    forwards_in,
    split_existing,
)
from services.lxd_worker.instances.validation import check_labels
from services.lxd_worker.journal.entry import AllocationPlan
from shared.contracts.changes import Changes, Forward
from shared.contracts.errors import InvalidInput, PortInUse
from shared.contracts.forwards import forward_of
from shared.contracts.hosts import CONTAINER, Capacity
from shared.contracts.instances import Instance
from shared.contracts.operations import Submission


def plan_update(
    admission: Admission, submission: Submission, instance: Instance, arrived: float
) -> tuple[Submission, AllocationPlan | None]:
    """Return the command with the ports that the host chose, and what it gives to the instance.

    The command came at `arrived`; the caller holds the allocations' lock. Raises
    InsufficientResources, PortInUse and InvalidInput.
    """
    changes = submission.arguments.changes or Changes()
    check_labels(dict((changes.labels or {}).items() - instance.labels.items()))
    if changes.limits.processes and instance.type != CONTAINER:
        raise InvalidInput("processes", "for containers only")
    growth = _growth(changes, instance)
    if changes.forwards is None and growth == NOTHING:
        return submission, None
    commitments = admission.allocations.commitments(arrived)
    admission.require_growth(submission.project, commitments, growth)
    if changes.forwards is None:
        return submission, None
    plan = _forwards(admission, commitments, instance, changes.forwards)
    chosen = replace(changes, forwards=forwards_in(plan.devices))
    return replace(submission, arguments=replace(submission.arguments, changes=chosen)), plan


def plan_restore(
    admission: Admission, submission: Submission, instance: Instance, arrived: float
) -> AllocationPlan | None:
    """Return the ports that the instance gets back with a snapshot; else as `plan_update`.

    LXD would restore it, and only then find that it cannot start. Raises PortInUse.
    """
    snapshot = submission.arguments.snapshot
    devices = admission.allocations.lxd.snapshot_devices(
        submission.project, submission.instance, snapshot
    )
    proxies = {name: device for name, device in devices.items() if is_proxy(device)}
    if not proxies:
        return None
    restored = ports_of(proxies_in(proxies)) - ports_of(instance.proxies)
    commitments = admission.allocations.commitments(arrived)
    if taken := sorted(restored & admission.taken_ports(commitments)):
        raise PortInUse(admission.host, str(taken[0][1]))
    return AllocationPlan(devices=proxies)


def _growth(changes: Changes, instance: Instance) -> Capacity:
    """Return how much more than now is asked for."""
    return Capacity(
        cpu=max(0, (changes.cpu or 0) - cpus(instance.cpu_limit)),
        memory=max(0, (changes.memory or 0) - (instance.memory_limit or 0)),
        disk=max(0, (changes.disk or 0) - (instance.root_size or 0)),
    )


def _forwards(
    admission: Admission,
    commitments: Commitments,
    instance: Instance,
    forwards: tuple[Forward, ...],
) -> AllocationPlan:
    """Return the devices of all forwards; those that exist already are not checked."""
    existing, missing = split_existing(instance.proxies, forwards)
    # LXD forwards to a virtual machine by NAT rules only, which need a fixed address.
    if missing and instance.type != CONTAINER:
        raise InvalidInput("forwards", "for containers only")
    given_up = [p for p in instance.proxies if p.device not in existing and forward_of(p)]
    taken = admission.taken_ports(commitments)
    more = assign_forwards(admission.pool, missing, taken=taken, own=ports_of(given_up))
    return AllocationPlan(devices=add_devices(existing, more))
