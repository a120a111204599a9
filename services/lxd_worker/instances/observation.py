"""An observation of an instance: enough to find out later what has happened to it."""

from __future__ import annotations

from msgspec import Struct, field

from services.lxd_worker.instances.devices import forwards_of
from services.lxd_worker.instances.limits import first_unmet
from shared.contracts.errors import InstanceNotFound, InstanceReplaced
from shared.contracts.instance_config import NO_LIMITS, Changes, Limits
from shared.contracts.instances import Instance, Proxy
from shared.contracts.status import is_alive, is_frozen, is_running


class InitProcess(Struct, frozen=True):
    """An instance's first process on the host.

    A pid is reused, a pid with its start time never. `started` is in clock ticks since boot.
    """

    pid: int
    started: int


class InstanceConfig(Struct, frozen=True, kw_only=True):
    """The part of an instance that can be changed; its fields are those of `Instance`."""

    display_name: str = ""
    description: str = ""
    cpu_limit: str = ""
    memory_limit: int | None = None
    root_size: int | None = None
    auto_start: bool = False
    labels: dict[str, str] = {}
    proxies: tuple[Proxy, ...] = ()
    limits: Limits = NO_LIMITS

    @classmethod
    def of(cls, instance: Instance) -> InstanceConfig:
        """Return the configuration of an instance."""
        return cls(**{name: getattr(instance, name) for name in cls.__struct_fields__})

    def satisfies(self, changes: Changes) -> bool:
        """Whether nothing is left to change."""
        settings = (
            (changes.cpu, self.cpu_limit, str(changes.cpu)),
            (changes.memory, self.memory_limit, changes.memory),
            (changes.disk, self.root_size, changes.disk),
            (changes.description, self.description, changes.description),
            (changes.auto_start, self.auto_start, changes.auto_start),
            (changes.labels, self.labels, changes.labels),
            (changes.forwards, forwards_of(self.proxies), set(changes.forwards or ())),
        )
        is_unmet = (present != target for change, present, target in settings if change is not None)
        return not any(is_unmet) and first_unmet(changes.limits, self.limits) is None


class Observation(Struct, frozen=True, kw_only=True):
    """An instance as it was observed once; part of the journal.

    `init` is None if it has no process or that could not be read. `created_at` and `last_used_at`,
    which LXD updates at every start, are LXD's own texts. `complete`: LXD has finished creating it.
    `root_used` are the bytes on its root disk, None where LXD does not report them. `postponed` are
    the changes that LXD applies at the next start. `root` identifies its root, `parked_as` is the
    name under which that is hidden, see `parked_roots`. `ephemeral`: LXD deletes it when it stops.
    `pool_driver` is the driver of the storage pool that its root is in, empty where nobody asked.
    `lxd` is the process id of the LXD that answered: another one, after a restart, does not finish
    what this one had begun.
    """

    status: str
    uuid: str
    created_at: str
    last_used_at: str
    init: InitProcess | None = None
    complete: bool = True
    name: str = ""
    # Under its old name in every journal.
    config: InstanceConfig = field(default=InstanceConfig(), name="shape")
    snapshots: tuple[str, ...] = ()
    root_used: int | None = None
    postponed: tuple[str, ...] = ()
    lxd: int = 0
    root: str = ""
    parked_as: str = field(default="", name="aside")
    ephemeral: bool = False
    pool_driver: str = ""

    @property
    def stopped(self) -> bool:
        """Whether it has no process."""
        return not is_alive(self.status)

    @property
    def running(self) -> bool:
        """Whether its processes run."""
        return is_running(self.status)

    @property
    def frozen(self) -> bool:
        """Whether its processes are frozen."""
        return is_frozen(self.status)

    @property
    def active(self) -> bool:
        """Whether it is neither stopped nor frozen: running, changing, or in error."""
        return not (self.stopped or self.frozen)


def require_instance(observed: Observation | None, name: str, uuid: str) -> Observation:
    """Return the observation if it is of the instance with this uuid.

    Raises InstanceNotFound, and InstanceReplaced for a namesake that was created since.
    """
    if observed is None:
        raise InstanceNotFound(name)
    if not is_same_instance(observed, uuid, None):
        raise InstanceReplaced(name)
    return observed


def is_same_instance(observed: Observation, uuid: str, earlier: Observation | None) -> bool:
    """Whether this is the instance with this uuid, and not a namesake that was created since.

    LXD gives an instance without a uuid one when it starts; an `earlier` observation then
    identifies it by its time of creation.
    """
    if uuid:
        return observed.uuid == uuid
    return observed.created_at == earlier.created_at if earlier else not observed.uuid
