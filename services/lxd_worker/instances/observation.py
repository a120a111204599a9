"""What was seen of an instance at one moment: enough to tell later what has happened to it."""

from __future__ import annotations

from msgspec import Struct

from services.lxd_worker.instances.config import InstanceConfig
from shared.contracts.errors import InstanceNotFound, InstanceReplaced
from shared.contracts.status import is_alive, is_frozen, is_running


class InitProcess(Struct, frozen=True):
    """An instance's first process on the host; pids come again, a pid with its start time never.

    `started` is in the kernel's clock ticks since boot.
    """

    pid: int
    started: int


class Observation(Struct, frozen=True, kw_only=True):
    """One look at an instance. `init` is None when it has none or it could not be read.

    `created_at` and `last_used_at` (LXD renews it at every start) are LXD's own texts. `complete`:
    LXD has finished to make it. `snapshots` are the names of its snapshots, `root_used` the bytes
    on its root disk, None where LXD does not tell. `postponed` are the changes that LXD makes at
    the next start. `root` is the mark of its root, `aside` the name under which it is in no list;
    see `aside`. `ephemeral`: LXD deletes it when it stops. `lxd` is the process id of the LXD that
    was asked: another one has not finished what this one had begun.
    """

    status: str
    uuid: str
    created_at: str
    last_used_at: str
    init: InitProcess | None = None
    complete: bool = True
    name: str = ""
    shape: InstanceConfig = InstanceConfig()
    snapshots: tuple[str, ...] = ()
    root_used: int | None = None
    postponed: tuple[str, ...] = ()
    lxd: int = 0
    root: str = ""
    aside: str = ""
    ephemeral: bool = False

    @property
    def stopped(self) -> bool:
        """Whether no process of it runs."""
        return not is_alive(self.status)

    @property
    def running(self) -> bool:
        """Whether its processes run."""
        return is_running(self.status)

    @property
    def frozen(self) -> bool:
        """Whether its processes stand still."""
        return is_frozen(self.status)

    @property
    def active(self) -> bool:
        """Whether it is neither stopped nor frozen: running, changing, or in error."""
        return not (self.stopped or self.frozen)


def meant(seen: Observation | None, name: str, uuid: str) -> Observation:
    """Return what was seen if it is the instance that a call means.

    Raises InstanceNotFound, and InstanceReplaced for a re-created namesake.
    """
    if seen is None:
        raise InstanceNotFound(name)
    if not is_meant(seen, uuid, None):
        raise InstanceReplaced(name)
    return seen


def is_meant(seen: Observation, uuid: str, earlier: Observation | None) -> bool:
    """Return whether this is the instance that an operation meant, and no re-created namesake.

    LXD gives an instance without a uuid one when it starts; `earlier`, a look before that, knows
    it by its birth.
    """
    if uuid:
        return seen.uuid == uuid
    return seen.created_at == earlier.created_at if earlier else not seen.uuid
