"""Changes that take something of the host: what they get is decided before they are taken on."""

from __future__ import annotations

from msgspec.structs import replace

from services.lxd_worker.creation.admission import Admission
from services.lxd_worker.creation.capacity import cpus, refuse_beyond
from services.lxd_worker.creation.commitments import Commitments
from services.lxd_worker.creation.port_pool import forwarded, held
from services.lxd_worker.instances.port_forwards import forwards_in, joined, kept
from services.lxd_worker.instances.proxies import proxies_in
from services.lxd_worker.instances.validation import check_labels
from services.lxd_worker.journal.plan import AllocationPlan
from shared.contracts.changes import Changes, Forward
from shared.contracts.errors import InvalidInput, PortInUse
from shared.contracts.forwards import forward_of
from shared.contracts.hosts import CONTAINER, Capacity
from shared.contracts.instances import Instance
from shared.contracts.operations import Submission


def planned_update(
    admission: Admission, submission: Submission, instance: Instance, arrived: float
) -> tuple[Submission, AllocationPlan | None]:
    """Return the order with the ports that the host chose, and what it gives to the instance.

    The order came at `arrived`, and its caller holds the ledger's lock. Raises
    InsufficientResources, PortInUse and InvalidInput.
    """
    changes = submission.arguments.changes or Changes()
    check_labels(dict((changes.labels or {}).items() - instance.labels.items()))
    if changes.limits.processes and instance.type != CONTAINER:
        raise InvalidInput("processes", "for containers only")
    growth = _growth(changes, instance)
    if changes.forwards is None and growth == Capacity(cpu=0, memory=0, disk=0):
        return submission, None
    allotted = admission.ledger.allotted(arrived)
    refuse_growth(admission, submission.project, allotted, growth)
    if changes.forwards is None:
        return submission, None
    plan = _ports(admission, allotted, instance, changes.forwards)
    chosen = replace(changes, forwards=forwards_in(plan.devices))
    return replace(submission, arguments=replace(submission.arguments, changes=chosen)), plan


def planned_restore(
    admission: Admission, submission: Submission, instance: Instance, arrived: float
) -> AllocationPlan | None:
    """Return the ports that the instance gets back with a snapshot; else as `planned_update`.

    LXD would restore it, and find only then that it cannot start. Raises PortInUse.
    """
    wanted = submission.arguments.snapshot
    devices = admission.ledger.lxd.devices_of(submission.project, submission.instance, wanted)
    proxies = {name: device for name, device in devices.items() if device.get("type") == "proxy"}
    if not proxies:
        return None
    back = held(proxies_in(proxies)) - held(instance.proxies)
    if taken := sorted(back & admission.taken(admission.ledger.allotted(arrived))):
        raise PortInUse(admission.host, str(taken[0][1]))
    return AllocationPlan(source={}, devices=proxies)


def _growth(changes: Changes, instance: Instance) -> Capacity:
    """Return how much more than now is wanted."""
    return Capacity(
        cpu=max(0, (changes.cpu or 0) - cpus(instance.cpu_limit)),
        memory=max(0, (changes.memory or 0) - (instance.memory_limit or 0)),
        disk=max(0, (changes.disk or 0) - (instance.root_size or 0)),
    )


def refuse_growth(
    admission: Admission, project: str, allotted: Commitments, growth: Capacity
) -> None:
    """Raise InsufficientResources when the host has not so much more to promise."""
    capacity = admission.capacity(admission.offer.default_devices(project))
    refuse_beyond(admission.host, capacity, allotted.capacity(), growth)


def _ports(
    admission: Admission, allotted: Commitments, instance: Instance, forwards: tuple[Forward, ...]
) -> AllocationPlan:
    """Return the devices of all the forwards; those that are there already are not judged."""
    there, missing = kept(instance.proxies, forwards)
    # LXD forwards to a virtual machine by NAT rules only, which take an address that is fixed.
    if missing and instance.type != CONTAINER:
        raise InvalidInput("forwards", "for containers only")
    given_up = [p for p in instance.proxies if p.device not in there and forward_of(p)]
    taken = admission.taken(allotted)
    more = forwarded(admission.pool, missing, taken=taken, own=held(given_up))
    return AllocationPlan(source={}, devices=joined(there, more))
