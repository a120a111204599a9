"""What the gateway knows of a host and of an instance, as its readers get it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from services.gateway.error_boundary import NOT_RENDERABLE
from services.gateway.fleet.capacity import NOTHING, Amount
from services.gateway.fleet.memory_budget import NOTHING_LEFT_OUT, LeftOut
from services.gateway.fleet.remote_images import RemoteImages
from shared.contracts.bounds import MOST_INSTANCES, clip
from shared.contracts.events import HostDescribed, Sampled
from shared.contracts.instances import Instance, InstanceSample
from shared.contracts.operations import Operation

# A broker that restarts keeps samples of a second's interval back for longer than three of them.
LEAST_FRESH_S = 15.0


@dataclass(frozen=True, slots=True)
class HostView:
    """One host. Ages are seconds since the thing was last heard of; None: never.

    `online`: its worker's heartbeat is in time. `lxd_connected`: and its LXD answers. `trusted`: it
    reports with the certificate it is pinned to. `clock_skew_s` is the host's clock minus ours.
    `journal_length` counts the operations in its worker's journal; None: it was not heard yet.
    `duplicates` counts its instances whose uuid another instance held first.
    `described` is what the host has for new instances, `promised` what its instances may take,
    `shelves` what its image servers have; None: it has not told. `left_out` is what it has told and
    its budget has no room for; `room` is how many more instances it has room for.
    """

    host: str
    online: bool
    lxd_connected: bool
    trusted: bool
    fingerprint: str
    server: str
    lxd: str
    server_name: str
    age_s: float | None
    inventory_age_s: float | None
    clock_skew_s: float | None
    instances: int
    sample: Sampled | None
    sample_age_s: float | None
    journal_length: int | None = None
    described: HostDescribed | None = None
    promised: Amount = NOTHING
    duplicates: int = 0
    error: str | None = None
    shelves: RemoteImages | None = None
    left_out: LeftOut = NOTHING_LEFT_OUT
    room: int = MOST_INSTANCES

    @property
    def fresh(self) -> bool:
        """Whether the sample still says how things are: no three have been missed."""
        if self.sample is None or self.sample_age_s is None:
            return False
        return self.sample_age_s <= max(LEAST_FRESH_S, 3 * self.sample.interval_s)


class Target(NamedTuple):
    """Where an instance stands, and its `volatile.uuid`, by which it is told from a namesake."""

    host: str
    project: str
    name: str
    uuid: str


@dataclass(frozen=True, slots=True)
class InstanceView:
    """One instance, with its newest sample if that is of its present run.

    `age_s` says how old the knowledge is: 0 while its host is online, else the seconds since the
    host was last heard of. `changed_at` is the Unix time of the last change of its configuration or
    state that was seen; None: it is as it was when it was first seen. `creation` is the operation
    that creates it and has not ended, or could not. `duplicate`: another instance held its uuid
    first. `note_is_anothers`: its note may be another's (see `noted`). `error` says why nothing but
    its place and state is told (see `without_details`).
    """

    host: str
    host_online: bool
    age_s: float
    instance: Instance
    sample: InstanceSample | None
    sampled_at: str | None
    duplicate: bool = False
    note_is_anothers: bool = False
    changed_at: float | None = None
    creation: Operation | None = None
    error: str | None = None

    @property
    def target(self) -> Target:
        """Return what tells the instance from all others."""
        return Target(self.host, self.instance.project, self.instance.name, self.instance.uuid)


def without_details(known: InstanceView) -> InstanceView:
    """Return an instance that cannot be rendered with nothing but its place and state."""
    instance = known.instance
    identity = Instance(
        name=clip(instance.name),
        uuid=clip(instance.uuid),
        type=clip(instance.type),
        status=clip(instance.status),
        architecture="",
        created_at="",
        project=clip(instance.project),
        display_name=clip(instance.display_name),
        ephemeral=instance.ephemeral,
    )
    return InstanceView(
        host=known.host,
        host_online=known.host_online,
        age_s=known.age_s,
        instance=identity,
        sample=None,
        sampled_at=None,
        duplicate=known.duplicate,
        error=NOT_RENDERABLE,
    )


def host_without_details(known: HostView) -> HostView:
    """Return a host that cannot be rendered with nothing that it says of itself."""
    return HostView(
        host=known.host,
        online=known.online,
        lxd_connected=known.lxd_connected,
        trusted=known.trusted,
        fingerprint="",
        server="",
        lxd="",
        server_name="",
        age_s=None,
        inventory_age_s=None,
        clock_skew_s=None,
        instances=known.instances,
        duplicates=known.duplicates,
        left_out=known.left_out,
        sample=None,
        sample_age_s=None,
        error=NOT_RENDERABLE,
    )
