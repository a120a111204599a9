"""Immutable views of hosts and instances, as the rest of the gateway reads them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import Raw

from services.gateway.error_boundary import NOT_RENDERABLE
from services.gateway.fleet.capacity import NOTHING, Amount
from services.gateway.fleet.encoded_samples import EncodedSample, addresses, instance_sample
from services.gateway.fleet.memory_budget import NOTHING_LEFT_OUT, LeftOut
from services.gateway.fleet.port_forwards import Nat, nat
from services.gateway.fleet.reachable import Reachable, reachable
from services.gateway.fleet.remote_images import RemoteImages
from shared.contracts.bounds import MOST_INSTANCES, clip
from shared.contracts.events import HostDescribed
from shared.contracts.instances import Instance
from shared.contracts.operations import Operation
from shared.contracts.samples import InstanceSample

# A broker restart delays samples longer than three intervals of a second.
LEAST_FRESH_S = 15.0


@dataclass(frozen=True, slots=True)
class HostView:
    """One host. Ages are seconds since the last report; None: never.

    `online`: its worker's heartbeat is in time. `lxd_connected`: and its LXD answers. `trusted`: it
    reports with the certificate it is pinned to. `clock_skew_s` is the host's clock minus ours.
    `journal_length` counts the operations in its worker's journal; None: not reported yet.
    `duplicates` counts its instances whose uuid another instance held first. `resources` is what
    the host offers new instances, `remote_images` the images of its image servers (None: not
    reported yet), `commitment` the sum of its instances' limits. `left_out` is what it reported
    beyond its budget; `headroom` is how many more instances the budget admits.
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
    sample: EncodedSample | None
    sample_age_s: float | None
    journal_length: int | None = None
    resources: HostDescribed | None = None
    commitment: Amount = NOTHING
    duplicates: int = 0
    error: str | None = None
    remote_images: RemoteImages | None = None
    left_out: LeftOut = NOTHING_LEFT_OUT
    headroom: int = MOST_INSTANCES

    @property
    def stale(self) -> bool:
        """Whether what is known of the host and its instances may no longer be so."""
        return not (self.online and self.lxd_connected)

    @property
    def part(self) -> HostPart:
        """What the entries of its instances show of it."""
        return host_part(self.sample, online=self.online, lxd_connected=self.lxd_connected)

    @property
    def fresh(self) -> bool:
        """Whether the sample is current: fewer than three were missed."""
        if self.sample is None or self.sample_age_s is None:
            return False
        return self.sample_age_s <= max(LEAST_FRESH_S, 3 * self.sample.interval_s)


class Availability(NamedTuple):
    """Whether a host can be worked with, as in its `HostView`."""

    host: str
    online: bool
    lxd_connected: bool


class HostPart(NamedTuple):
    """What the entries of instances show of their host, but for its age.

    `totals` are the sizes of its memory and disk in bytes; None: not sampled yet.
    """

    online: bool
    lxd_connected: bool
    totals: tuple[int, int] | None


class Target(NamedTuple):
    """The host, project and name of an instance, and its `volatile.uuid`."""

    host: str
    project: str
    name: str
    uuid: str


@dataclass(slots=True)
class Derived:
    """What was found out about an instance; None: it was not asked for yet."""

    nat: Nat | None = None
    reachable: Reachable | None = None


@dataclass(frozen=True, slots=True)
class InstanceView:
    """One instance, with the newest sample of its present run.

    Whether its host is online, and how old the data is if not, is in the `HostView`: a host that
    falls silent changes, and its instances do not. `changed_at` is the Unix time of the last change
    of its configuration or state; None: none was seen. `creation` is the operation that creates it
    and has not ended, or failed. `duplicate`: another instance held its uuid first. `foreign_note`:
    its note may belong to another instance (see `note_ownership`). `error` says why the view has no
    details (see `without_details`). `derived` is what was found out about it: views that differ in
    the figures of the sample only share it.
    """

    host: str
    instance: Instance
    encoded_sample: Raw | None
    sampled_at: str | None
    duplicate: bool = False
    foreign_note: bool = False
    changed_at: float | None = None
    creation: Operation | None = None
    error: str | None = None
    derived: Derived = field(default_factory=Derived, compare=False, repr=False)

    @property
    def nat(self) -> Nat:
        """How the instance is reached through NAT."""
        if self.derived.nat is None:
            self.derived.nat = nat(self.instance, foreign_note=self.foreign_note)
        return self.derived.nat

    @property
    def sample(self) -> InstanceSample | None:
        """The newest sample of its present run; it is decoded at each access."""
        return None if self.encoded_sample is None else instance_sample(self.encoded_sample)

    @property
    def reachable(self) -> Reachable:
        """Where the instance is reached, by its sample."""
        if self.derived.reachable is None:
            sampled = () if self.encoded_sample is None else addresses(self.encoded_sample)
            self.derived.reachable = reachable(self.instance, sampled)
        return self.derived.reachable

    @property
    def target(self) -> Target:
        """Return what identifies the instance."""
        return Target(self.host, self.instance.project, self.instance.name, self.instance.uuid)


def host_part(sample: EncodedSample | None, *, online: bool, lxd_connected: bool) -> HostPart:
    """Return what the entries of a host's instances show of it."""
    totals = (sample.host.memory_total, sample.host.disk_total) if sample else None
    return HostPart(online, lxd_connected, totals)


def without_details(view: InstanceView) -> InstanceView:
    """Return an instance that cannot be rendered, with only its identity and state."""
    instance = view.instance
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
        host=view.host,
        instance=identity,
        encoded_sample=None,
        sampled_at=None,
        duplicate=view.duplicate,
        error=NOT_RENDERABLE,
    )


def host_without_details(view: HostView) -> HostView:
    """Return a host that cannot be rendered, without anything that it reports as text."""
    return HostView(
        host=view.host,
        online=view.online,
        lxd_connected=view.lxd_connected,
        trusted=view.trusted,
        fingerprint="",
        server="",
        lxd="",
        server_name="",
        age_s=None,
        inventory_age_s=None,
        clock_skew_s=None,
        instances=view.instances,
        duplicates=view.duplicates,
        left_out=view.left_out,
        sample=None,
        sample_age_s=None,
        error=NOT_RENDERABLE,
    )
