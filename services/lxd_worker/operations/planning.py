"""What a change of an existing instance takes from the host: decided before it is accepted."""

from __future__ import annotations

from msgspec.structs import replace

from services.lxd_worker.creation.admission import Admission
from services.lxd_worker.creation.allocations import Commitments
from services.lxd_worker.creation.capacity import NOTHING, cpus
from services.lxd_worker.creation.port_pool import assign_forwards, ports_of
from services.lxd_worker.instances.devices import (
    Devices,
    add_devices,
    forwards_in,
    is_proxy,
    proxies_in,
    split_existing,
)
from services.lxd_worker.instances.observation import is_same_instance
from services.lxd_worker.instances.parked_roots import names_for
from services.lxd_worker.instances.validation import check_labels
from services.lxd_worker.journal.entry import AllocationPlan, RootSwapPlan
from services.lxd_worker.protocols import Lxd
from shared.contracts.errors import InvalidInput, PortInUse, TrashNotFound
from shared.contracts.forwards import forward_of
from shared.contracts.hosts import CONTAINER, Capacity
from shared.contracts.instance_config import Changes, Forward, ImageSource
from shared.contracts.instances import Instance
from shared.contracts.operations import Kind, Submission

# How long a rebuild can be reverted.
KEEP_S = 24 * 3600


def plan_change(
    admission: Admission, submission: Submission, arrived: float, now: float
) -> tuple[Submission, AllocationPlan | None]:
    """Return the command as it is accepted, and what the host gives to the instance.

    The command came at `arrived`, by the monotonic clock; `now` is Unix time. The caller holds the
    allocations' lock. Errors as those of the other functions, by kind.
    """
    lxd = admission.allocations.lxd
    found = lxd.instance(submission.project, submission.instance).instance
    if found is None:
        # What waits for the creation of its instance takes nothing from the host.
        changes = submission.arguments.changes or Changes()
        check_labels(changes.labels or {})
        return submission, None
    if submission.kind is Kind.RESTORE:
        return submission, plan_restore(admission, submission, found, arrived)
    if submission.kind is Kind.REBUILD:
        return submission, plan_rebuild(admission, submission, found, arrived, now)
    if submission.kind is Kind.REVERT:
        return submission, plan_revert(lxd, submission, found, now)
    return plan_update(admission, submission, found, arrived)


def plan_update(
    admission: Admission, submission: Submission, instance: Instance, arrived: float
) -> tuple[Submission, AllocationPlan | None]:
    """Return the command with the ports that the host chose, and what it gives to the instance.

    Raises InsufficientResources, PortInUse and InvalidInput.
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


def plan_rebuild(
    admission: Admission, submission: Submission, instance: Instance, arrived: float, now: float
) -> AllocationPlan:
    """Return how the instance gets a new root, which the host keeps beside the old one for a day.

    Raises ImageNotFound, InsufficientResources and InvalidInput.
    """
    image = submission.arguments.image or ImageSource()
    _require_uuid(submission)
    source = admission.image_source(submission.project, image, instance.type)
    disk = instance.root_size or 0
    commitments = admission.allocations.commitments(arrived)
    growth = Capacity(cpu=0, memory=0, disk=disk)
    admission.require_growth(submission.project, commitments, growth)
    beside, trash = names_for(submission.operation_id, submission.instance)
    swap = RootSwapPlan(
        incoming=submission.operation_id,
        beside=beside,
        trash=trash,
        until=int(now) + KEEP_S,
        disk=disk,
    )
    return AllocationPlan(source=source, devices=_proxies_of(instance), swap=swap)


def plan_revert(lxd: Lxd, submission: Submission, instance: Instance, now: float) -> AllocationPlan:
    """Return how the instance gets its previous root back; raises TrashNotFound.

    Its present root becomes what the next revert brings back.
    """
    _require_uuid(submission)
    kept = instance.trash
    found = lxd.observe_briefly(submission.project, kept.name) if kept else None
    is_ours = (
        found and is_same_instance(found, submission.uuid, None) and found.parked_as == found.name
    )
    if kept is None or found is None or not is_ours:
        raise TrashNotFound(submission.instance)
    _, trash = names_for(submission.operation_id, submission.instance)
    swap = RootSwapPlan(incoming=found.root, beside=kept.name, trash=trash, until=int(now) + KEEP_S)
    return AllocationPlan(devices=_proxies_of(instance), swap=swap)


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


def _proxies_of(instance: Instance) -> Devices:
    """Return the proxies of an instance: nobody else may get their ports while no root has them."""
    return {
        proxy.device: {
            **proxy.options,
            "type": "proxy",
            "listen": proxy.listen,
            "connect": proxy.connect,
        }
        for proxy in instance.proxies
    }


def _require_uuid(submission: Submission) -> None:
    if not submission.uuid:
        raise InvalidInput("instance", "one that has been started: LXD has given it no uuid yet")
