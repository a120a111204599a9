"""What a rebuild or a revert takes from the host: decided before it is accepted."""

from __future__ import annotations

from services.lxd_worker.creation.admission import Admission
from services.lxd_worker.instances.devices import Devices
from services.lxd_worker.instances.observation import is_same_instance
from services.lxd_worker.instances.parked_roots import names_for
from services.lxd_worker.journal.entry import AllocationPlan, RootSwapPlan
from services.lxd_worker.ports import Lxd
from shared.contracts.changes import ImageSource
from shared.contracts.errors import InvalidInput, TrashNotFound
from shared.contracts.hosts import Capacity
from shared.contracts.instances import Instance
from shared.contracts.operations import Submission

# How long a rebuild can be reverted.
KEEP_S = 24 * 3600


def plan_rebuild(
    admission: Admission, submission: Submission, instance: Instance, arrived: float, now: float
) -> AllocationPlan:
    """Return how the instance gets a new root; the caller holds the allocations' lock.

    The host keeps both for a day. Raises ImageNotFound, InsufficientResources and InvalidInput.
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
    return AllocationPlan(source=source, devices=_proxies(instance), swap=swap)


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
    return AllocationPlan(devices=_proxies(instance), swap=swap)


def _proxies(instance: Instance) -> Devices:
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
