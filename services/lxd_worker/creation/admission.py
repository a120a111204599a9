"""A new instance: what it is given is decided before it is taken on, and LXD is asked once.

LXD finds out only in the middle of its work, if at all, that something cannot be had: it checks no
capacity, and takes seconds to see that a port is in use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.lxd_worker.creation import devices, port_pool
from services.lxd_worker.creation.allocations import Allocations
from services.lxd_worker.creation.capacity import Overcommit, offered, refuse_beyond, share
from services.lxd_worker.creation.commitments import Commitments
from services.lxd_worker.creation.images import Remotes, local_source, remote_source
from services.lxd_worker.creation.port_pool import NatPool, Ports
from services.lxd_worker.creation.request import request
from services.lxd_worker.creation.validation import checked
from services.lxd_worker.instances.limits import has_nic, limited
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.journal.plan import AllocationPlan, Devices
from services.lxd_worker.ports import HostResources, Lxd
from services.lxd_worker.transitions.steps import Step
from shared.contracts.changes import ImageSource, NewInstance
from shared.contracts.errors import InstanceExists, InvalidInput, StepInterrupted
from shared.contracts.hosts import Capacity
from shared.contracts.operations import Submission
from shared.contracts.truncation import first_few

# What only memory holds of the operations that LXD has not been asked for yet, by their ids.
Secrets = dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class HostOffer:
    """What the host has of all that an order wants, but for what others may want as well.

    `root` is the name and the settings of the root disk, `nics` are the NICs that are not left to
    the profile, `capacity` is what may be promised in all.
    """

    wanted: NewInstance
    source: dict[str, str]
    root: tuple[str, dict[str, str]]
    nics: Devices
    capacity: Capacity


@dataclass(frozen=True, slots=True)
class Admission:
    """Decides whether the host takes another instance, and what it gives to it.

    `in_use` returns the ports of the host that nothing else can listen on.
    """

    host: str
    offer: HostResources
    ledger: Allocations
    pool: NatPool
    overcommit: Overcommit
    remotes: Remotes
    in_use: Callable[[], Ports]

    def look_into(self, submission: Submission) -> HostOffer:
        """Return what there is for an order; raises ImageNotFound and InvalidInput."""
        wanted = checked(submission)
        profile = self.offer.default_devices(submission.project)
        name, root = devices.root(profile)
        own = {name: root} | self._nic(profile, wanted.network)
        nics = limited(own, profile | own, wanted.limits)
        if (wanted.limits.ingress or wanted.limits.egress) and not has_nic(profile | own):
            raise InvalidInput("network", "a network for what shall be limited")
        return HostOffer(
            wanted=wanted,
            source=self.source(submission.project, wanted.image, wanted.type),
            root=(name, nics.pop(name)),
            nics=nics,
            capacity=self.capacity(profile),
        )

    def plan(
        self, submission: Submission, offered: HostOffer, allotted: Commitments, *, secret: bool
    ) -> AllocationPlan:
        """Return what the new instance is given; the caller holds the ledger's lock.

        Raises InstanceExists, InsufficientResources and InvalidInput.
        """
        wanted = offered.wanted
        if allotted.has(submission.project, submission.instance):
            raise InstanceExists(submission.instance)
        refuse_beyond(self.host, offered.capacity, allotted.capacity(), share(wanted))
        name, root = offered.root
        disk = root | {"pool": self._pool(root), "size": str(wanted.disk)}
        return AllocationPlan(
            source=offered.source,
            devices={name: disk} | offered.nics | self._proxies(wanted, allotted),
            secret=secret,
        )

    def capacity(self, profile: Devices) -> Capacity:
        """Return what may be promised in all to instances with this profile's root disk."""
        _, root = devices.root(profile)
        size = self.offer.pool_size(self._pool(root))
        return offered(self.offer.machine(), size, self.overcommit)

    def source(self, project: str, image: ImageSource, kind: str) -> dict[str, str]:
        """Return an image for an instance of a type in LXD's words.

        Raises ImageNotFound, and InvalidInput where it is for another type.
        """
        if image.remote:
            return remote_source(image, self.remotes)
        return local_source(image, kind, self.offer.image(project, image))

    def taken(self, allotted: Commitments) -> Ports:
        """Return the ports of the host that cannot be given out."""
        return allotted.ports() | self.in_use()

    def _pool(self, root: dict[str, str]) -> str:
        return root.get("pool") or self.offer.default_pool()

    def _nic(self, profile: Devices, name: str) -> Devices:
        if not name:
            return {}
        network = self.offer.network(name)
        if network is None or not devices.joinable(network):
            there = first_few([one.name for one in self.offer.networks()])
            raise InvalidInput("network", f"one of: {there}")
        return devices.nic(profile, network)

    def _proxies(self, wanted: NewInstance, allotted: Commitments) -> Devices:
        if not (wanted.ssh or wanted.ports):
            return {}
        taken = self.taken(allotted)
        return port_pool.given(self.pool, ssh=wanted.ssh, ports=wanted.ports, taken=taken)


def ask_to_create(entry: JournalEntry, lxd: Lxd, secrets: Secrets) -> str:
    """Ask LXD for the instance of an entry and return LXD's id of that; errors as `Lxd.ask`.

    Raises StepInterrupted when the secrets that it takes went with an earlier run of this worker.
    """
    wanted, plan = entry.operation.arguments.create, entry.plan
    kept = secrets.pop(entry.operation.operation_id, {})
    if wanted is None or plan is None or (plan.secret and not kept):
        raise StepInterrupted(Step.CREATE.value)
    body = request(entry.operation, wanted, plan, kept)
    return lxd.create(entry.operation.project, body)
