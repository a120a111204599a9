"""Whether the host takes another instance, and what it gives to it: decided before LXD is asked.

LXD itself notices only in the middle of its work, if at all, that something is missing: it checks
no capacity, and takes seconds to see that a port is in use.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from services.lxd_worker.creation.allocations import Allocations, Commitments
from services.lxd_worker.creation.capacity import (
    Overcommit,
    demand,
    require_capacity,
    total_capacity,
)
from services.lxd_worker.creation.copies import copied_devices, copied_root, copy_plan
from services.lxd_worker.creation.port_pool import HostPorts, NatPool, assign_ports
from services.lxd_worker.creation.request import Remotes, local_source, remote_source, validate
from services.lxd_worker.instances.devices import (
    Devices,
    is_joinable,
    is_nic,
    nic_for,
    root_disk,
)
from services.lxd_worker.instances.limits import with_limits
from services.lxd_worker.instances.validation import check_name
from services.lxd_worker.journal.entry import AllocationPlan, CopyPlan
from services.lxd_worker.protocols import HostResources
from shared.contracts.errors import (
    InstanceExists,
    InstanceNotFound,
    InstanceReplaced,
    InvalidInput,
    SnapshotNotFound,
)
from shared.contracts.hosts import Capacity
from shared.contracts.instance_config import ImageSource, NewInstance, SnapshotSource
from shared.contracts.operations import Submission
from shared.contracts.truncation import first_few


@dataclass(frozen=True, slots=True)
class HostOffer:
    """What the host has for a new instance, apart from what other commands may take as well.

    `root` is the name and the settings of the root disk, `nics` are the NICs that are not left to
    the profile, `capacity` is what may be committed in all. `copy_plan` belongs to an instance made
    of a snapshot, whose other devices are among the `nics`.
    """

    new: NewInstance
    source: dict[str, str]
    root: tuple[str, dict[str, str]]
    nics: Devices
    capacity: Capacity
    copy_plan: CopyPlan | None = None


@dataclass(frozen=True, slots=True)
class Admission:
    """Decides what the host gives out.

    `ports_in_use` returns the ports of the host that nobody can listen on now.
    """

    host: str
    resources: HostResources
    allocations: Allocations
    pool: NatPool
    overcommit: Overcommit
    remotes: Remotes
    ports_in_use: Callable[[], HostPorts]

    def offer(self, submission: Submission) -> HostOffer:
        """Return what there is for a new instance; raises ImageNotFound and InvalidInput.

        For one made of a snapshot: InstanceNotFound, InstanceReplaced and SnapshotNotFound.
        """
        new = validate(submission)
        if new.copy_of:
            return self._offer_copy(submission.project, new, new.copy_of)
        profile = self.resources.default_devices(submission.project)
        name, root = root_disk(profile)
        own = {name: root} | self._nic(profile, new.network)
        nics = with_limits(own, profile | own, new.limits)
        has_nic = any(map(is_nic, (profile | own).values()))
        if (new.limits.ingress or new.limits.egress) and not has_nic:
            raise InvalidInput("network", "a network for what shall be limited")
        return HostOffer(
            new=new,
            source=self.image_source(submission.project, new.image, new.type),
            root=(name, nics.pop(name)),
            nics=nics,
            capacity=self._capacity(profile),
        )

    def plan(
        self, submission: Submission, offer: HostOffer, commitments: Commitments, *, secret: bool
    ) -> AllocationPlan:
        """Return what the new instance is given; the caller holds the allocations' lock.

        Raises InstanceExists, InsufficientResources and InvalidInput.
        """
        new = offer.new
        if secret and offer.copy_plan:
            raise InvalidInput("secrets", "none, as it is copied")
        if commitments.has(submission.project, submission.instance):
            raise InstanceExists(submission.instance)
        require_capacity(self.host, offer.capacity, commitments.capacity(), demand(new))
        name, root = offer.root
        size = {"size": str(new.disk)} if new.disk else {}
        disk = root | {"pool": self._pool(root)} | size
        return AllocationPlan(
            source=offer.source,
            devices={name: disk} | offer.nics | self._forwards(new, commitments),
            secret=secret,
            copy_plan=offer.copy_plan,
        )

    def require_growth(self, project: str, commitments: Commitments, growth: Capacity) -> None:
        """Raise InsufficientResources if the host cannot commit that much more."""
        capacity = self._capacity(self.resources.default_devices(project))
        require_capacity(self.host, capacity, commitments.capacity(), growth)

    def image_source(self, project: str, image: ImageSource, kind: str) -> dict[str, str]:
        """Return LXD's source for an image for a type of instance.

        Raises ImageNotFound, and InvalidInput if it is for another type.
        """
        if image.remote:
            return remote_source(image, self.remotes)
        return local_source(image, kind, self.resources.image(project, image))

    def taken_ports(self, commitments: Commitments) -> HostPorts:
        """Return the ports of the host that cannot be given out."""
        return commitments.ports() | self.ports_in_use()

    def _offer_copy(self, project: str, new: NewInstance, source: SnapshotSource) -> HostOffer:
        lxd = self.allocations.lxd
        check_name(source.instance)
        found = lxd.instance(project, source.instance).instance
        if found is None:
            raise InstanceNotFound(source.instance)
        if found.uuid != source.uuid:
            raise InstanceReplaced(source.instance)
        if found.type != new.type:
            raise InvalidInput("type", f"that of the other one, {found.type}")
        content = lxd.snapshot_content(project, source.instance, source.snapshot)
        if content is None:
            raise SnapshotNotFound(source.instance, source.snapshot)
        root = copied_root(content)
        if root is None:
            raise InvalidInput("copy_of", "a snapshot with a root disk")
        return HostOffer(
            new=new,
            source={"type": "copy", "source": f"{source.instance}/{source.snapshot}"},
            root=root,
            nics=copied_devices(content) | self._nic(content.expanded_devices, new.network),
            capacity=self._capacity(dict([root])),
            copy_plan=copy_plan(content, new),
        )

    def _capacity(self, profile: Devices) -> Capacity:
        """Return what may be committed in all to instances with this profile's root disk."""
        _, root = root_disk(profile)
        size = self.resources.pool_size(self._pool(root))
        return total_capacity(self.resources.machine(), size, self.overcommit)

    def _pool(self, root: dict[str, str]) -> str:
        return root.get("pool") or self.resources.default_pool()

    def _nic(self, profile: Devices, name: str) -> Devices:
        if not name:
            return {}
        network = self.resources.network(name)
        if network is None or not is_joinable(network):
            names = first_few([one.name for one in self.resources.networks()])
            raise InvalidInput("network", f"one of: {names}")
        return nic_for(profile, network)

    def _forwards(self, new: NewInstance, commitments: Commitments) -> Devices:
        if not (new.ssh or new.ports):
            return {}
        taken = self.taken_ports(commitments)
        return assign_ports(self.pool, ssh=new.ssh, ports=new.ports, taken=taken)
