"""Reads who LXD is and what instances it has: for the fleet, and for the operations on them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from services.lxd_worker.instances.description import (
    InstanceDescription,
    abridge,
    to_instance,
    to_utc,
)
from services.lxd_worker.instances.devices import Devices
from services.lxd_worker.instances.observation import InitProcess, InstanceConfig, Observation
from services.lxd_worker.instances.parked_roots import ROOT, parked_name, parked_root, trash_of
from services.lxd_worker.omissions import Omission, Omit
from services.lxd_worker.protocols import (
    InstanceAnswer,
    LxdServer,
    ObservedInstance,
    ParkedRoots,
    RootOwner,
)
from shared.contracts.errors import FleetError, LxdRefused, LxdUnavailable
from shared.contracts.instances import Instance
from shared.contracts.sanitizer import Unfit, fit_message
from shared.contracts.worker_api import Snapshot
from shared.lxd.client import LxdClient
from shared.lxd.errors import LxdNotFound
from shared.lxd.models import (
    BriefInstanceState,
    DiskState,
    PoolDescription,
    ServerInfo,
    SnapshotContent,
    SnapshotDescription,
)
from shared.lxd.scope import LxdScope
from shared.platform.run.process_start import start_ticks

T = TypeVar("T")
S = TypeVar("S", bound=SnapshotDescription)

_PROBE_S = 5.0
# For an answer that takes 50 ms unless the guest prevents it.
_GUEST_S = 10.0
# For half a second after a failed start Incus calls an instance running, but has no state of it.
_TRANSITION_S = 1.5
_TRY_AGAIN_S = 0.1
_ALL: dict[str, object] = {"recursion": 1, "all-projects": "true"}


class InstanceDetails(InstanceDescription, frozen=True):
    """An instance with its state and snapshots, as `recursion=1` gives it for one instance."""

    state: BriefInstanceState | None = None
    snapshots: tuple[SnapshotDescription, ...] | None = None

    @property
    def root_used(self) -> int | None:
        """The bytes on its root disk, None if LXD does not report them."""
        disks = (self.state.disk if self.state else None) or {}
        used = disks.get(self.root_disk, DiskState()).usage
        return used if used > 0 else None


class LxdReader:
    """The part of `ports.Lxd` that changes nothing.

    `host_memory` is what a memory limit in percent is a share of, in bytes.
    """

    def __init__(self, client: LxdClient, host_memory: int, scope: LxdScope, omit: Omit) -> None:
        self._client = client
        self._host_memory = host_memory
        self._scope = scope
        self._omit = omit
        self._pid = 0
        self._revisions = count(1)
        self._reading = threading.Lock()
        self._cached: dict[tuple[str, str], Instance] | None = None
        self._pool_drivers: dict[str, str] = {}

    def server(self) -> LxdServer:
        """See `Lxd.server`."""
        with refusal_is_unavailability(self._client.host):
            environment = self._client.get(ServerInfo, answer_s=_PROBE_S).environment
        self._scope.learn(environment.server_name, clustered=environment.server_clustered)
        self._pid = environment.server_pid
        return LxdServer(
            fingerprint=environment.certificate_fingerprint,
            version=environment.server_version,
            kind=environment.server,
            name=environment.server_name,
        )

    def instances(self) -> list[Instance]:
        """See `Lxd.instances`."""
        self._introduce()
        with self._one_reading() as revision:
            found = self._client.get(list[InstanceDescription], "instances", params=_ALL)
            ours = (self._instance(one, revision) for one in found if self._is_reported(one))
            instances = [one for one in ours if one]
            self._cached = {(one.project, one.name): one for one in instances}
        return instances

    def instance(self, project: str, name: str) -> ObservedInstance:
        """See `Lxd.instance`."""
        reported, _ = self._read(project, name)
        return reported

    def read(self, project: str, name: str) -> InstanceAnswer:
        """See `Lxd.read`."""
        self._introduce()
        reported, found = self._read(project, name)
        is_ours = found and self._is_ours(found)
        return InstanceAnswer(reported, self._observation(found) if found and is_ours else None)

    def cached_instances(self) -> Mapping[tuple[str, str], Instance] | None:
        """See `Lxd.cached_instances`."""
        return self._cached

    def parked_roots(self) -> ParkedRoots:
        """See `Lxd.parked_roots`."""
        self._introduce()
        with refusal_is_unavailability(self._client.host):
            found = self._client.get(list[InstanceDescription], "instances", params=_ALL)
        ours = [one for one in found if self._is_ours(one)]
        owners = {
            (one.project, one.name, one.uuid): trash_of(one.expanded_config)
            for one in ours
            if self._is_reported(one)
        }
        roots = (parked_root(one.project, one.name, one.expanded_config) for one in ours)
        return ParkedRoots(
            roots=tuple(one for one in roots if one),
            owners=tuple(RootOwner(*place, trash) for place, trash in owners.items()),
        )

    def observe(self, project: str, name: str) -> Observation | None:
        """See `Lxd.observe`."""
        observed = self.observe_briefly(project, name)
        return self.observe_init(observed, project) if observed else None

    def observe_init(self, observed: Observation, project: str) -> Observation | None:
        """See `Lxd.observe_init`."""
        ends_at, found = time.monotonic() + _TRANSITION_S, observed
        while not found.stopped:
            path = ("instances", observed.name, "state")
            try:
                state = self._from_guest(BriefInstanceState, *path, project=project)
            except LxdNotFound:
                return None
            if state or time.monotonic() > ends_at:
                return replace(found, init=init_process(state.pid) if state else None)
            time.sleep(_TRY_AGAIN_S)
            again = self.observe_briefly(project, observed.name)
            if again is None:
                return None
            found = again
        return found

    def observe_briefly(self, project: str, name: str) -> Observation | None:
        """See `Lxd.observe_briefly`."""
        self._introduce()
        with refusal_is_unavailability(self._client.host):
            found = self._get(project, name)
        return self._observation(found) if found and self._is_ours(found) else None

    def observe_fully(self, project: str, name: str) -> Observation | None:
        """See `Lxd.observe_fully`."""
        found = self._details(project, name)
        if found is None:
            return None
        return replace(
            self._observation(found),
            init=init_process(found.state.pid) if found.state else None,
            snapshots=tuple(snapshot.name for snapshot in found.snapshots or ()),
            root_used=found.root_used,
            pool_driver=self._pool_driver(found),
        )

    def observe_snapshots(self, project: str, name: str) -> Observation | None:
        """See `Lxd.observe_snapshots`."""
        observed = self.observe_briefly(project, name)
        if observed is None:
            return None
        listed = self._listed(list[SnapshotDescription], project, name)
        return replace(observed, snapshots=tuple(snapshot.name for snapshot in listed))

    def snapshots(self, project: str, name: str) -> list[Snapshot]:
        """See `Lxd.snapshots`."""
        described = self._listed(list[SnapshotDescription], project, name)
        return [one for one in (self._snapshot(name, each) for each in described) if one]

    def snapshot_devices(self, project: str, name: str, snapshot: str) -> Devices:
        """See `Lxd.snapshot_devices`."""
        found = self._details(project, name)
        described = (found and found.snapshots) or ()
        return next((one.devices for one in described if one.name == snapshot), {})

    def snapshot_content(self, project: str, name: str, snapshot: str) -> SnapshotContent | None:
        """See `Lxd.snapshot_content`."""
        listed = self._listed(list[SnapshotContent], project, name)
        return next((one for one in listed if one.name == snapshot), None)

    def _listed(self, kind: type[list[S]], project: str, name: str) -> list[S]:
        """Return an instance's snapshots under their own names, without a look into the guest."""
        self._introduce()
        path, params = ("instances", name, "snapshots"), {"project": project, "recursion": 1}
        with refusal_is_unavailability(self._client.host):
            try:
                listed = self._client.get(kind, *path, params=params)
            except LxdNotFound:
                return []
        return [replace(one, name=one.name.rpartition("/")[2]) for one in listed]

    def _introduce(self) -> None:
        """Ask who LXD is, unless it has said so already."""
        if self._pid == 0:
            self.server()

    def _read(self, project: str, name: str) -> tuple[ObservedInstance, InstanceDescription | None]:
        with self._one_reading() as revision:
            found = self._get(project, name)
            is_reported = found and self._is_reported(found)
            instance = self._instance(found, revision) if found and is_reported else None
            self._cache(project, name, instance)
        return ObservedInstance(revision, instance), found

    def _pool_driver(self, found: InstanceDescription) -> str:
        """Return the driver of the pool of an instance's root, which stays as it is; empty: none.

        Raises LxdUnavailable.
        """
        pool = found.expanded_devices.get(found.root_disk, {}).get("pool", "")
        if pool and pool not in self._pool_drivers:
            try:
                described = self._client.get(PoolDescription, "storage-pools", pool)
            except (LxdNotFound, LxdRefused):
                return ""
            self._pool_drivers[pool] = described.driver
        return self._pool_drivers.get(pool, "")

    def _get(self, project: str, name: str) -> InstanceDescription | None:
        try:
            params = {"project": project}
            return self._client.get(InstanceDescription, "instances", name, params=params)
        except LxdNotFound:
            return None

    def _details(self, project: str, name: str) -> InstanceDetails | None:
        self._introduce()
        path = ("instances", name)
        try:
            found = self._from_guest(InstanceDetails, *path, project=project, recursion=1)
            found = found or self._without_state(project, name)
        except LxdNotFound:
            return None
        return found if self._is_ours(found) else None

    def _from_guest(self, kind: type[T], *path: str, **params: object) -> T | None:
        """Return an answer for which LXD looks into the guest; None if the guest prevents that.

        It may have more addresses than LXD can list in time, or an agent that never answers. Nobody
        is to escape an operation by that. Raises LxdNotFound, and LxdUnavailable if LXD itself does
        not answer.
        """
        try:
            return self._client.get(kind, *path, params=params, answer_s=_GUEST_S)
        except LxdRefused:
            return None
        except LxdUnavailable:
            self.server()
            return None

    def _without_state(self, project: str, name: str) -> InstanceDetails:
        path, params = ("instances", name), {"project": project}
        with refusal_is_unavailability(self._client.host):
            found = self._client.get(InstanceDetails, *path, params=params)
        return replace(
            found, snapshots=tuple(self._listed(list[SnapshotDescription], project, name))
        )

    def _is_ours(self, found: InstanceDescription) -> bool:
        return self._scope.covers(found.project, found.location)

    def _is_reported(self, found: InstanceDescription) -> bool:
        """Whether it is an instance of its own, and no parked root."""
        root = parked_root(found.project, found.name, found.expanded_config)
        return self._is_ours(found) and root is None

    def _observation(self, found: InstanceDescription) -> Observation:
        pending_quota = f"volatile.{found.root_disk}.apply_quota"
        return Observation(
            status=found.status,
            uuid=found.uuid,
            created_at=found.created_at,
            last_used_at=found.last_used_at,
            complete=found.complete,
            name=found.name,
            config=self._config(found),
            postponed=("disk",) if pending_quota in found.expanded_config else (),
            lxd=self._pid,
            root=found.expanded_config.get(ROOT, ""),
            parked_as=parked_name(found.expanded_config),
            ephemeral=found.ephemeral,
        )

    def _instance(self, described: InstanceDescription, revision: int) -> Instance | None:
        """Return an instance as it is reported to the fleet; None if no message can name it."""
        subject = f"{described.project}/{described.name}"
        try:
            whole, left_out = to_instance(
                described, revision=revision, host_memory=self._host_memory
            )
        except Unfit as exc:
            self._omit(Omission.INSTANCE, subject, str(exc))
            return None
        instance, cut = abridge(whole)
        if left_out or cut:
            self._omit(Omission.FIELDS, subject, ", ".join((*left_out, *cut)))
        return instance

    def _config(self, described: InstanceDescription) -> InstanceConfig:
        """Return an instance's configuration; of a large one more than is reported to the fleet."""
        try:
            whole, _ = to_instance(described, revision=0, host_memory=self._host_memory)
        except Unfit as exc:
            raise LxdUnavailable(self._client.host) from exc
        return InstanceConfig.of(whole)

    def _snapshot(self, instance: str, found: SnapshotDescription) -> Snapshot | None:
        """Return a snapshot as it is reported; None if no message can hold its name."""
        snapshot, left_out = fit_message(
            Snapshot(
                name=found.name,
                created_at=to_utc(found.created_at),
                stateful=found.stateful,
                size=found.size if found.size >= 0 else None,
                expires_at=to_utc(found.expires_at),
            )
        )
        if left_out:
            self._omit(Omission.FIELDS, f"{instance}/{snapshot.name}", ", ".join(left_out))
        return None if "name" in left_out else snapshot

    def _cache(self, project: str, name: str, instance: Instance | None) -> None:
        if self._cached is None:
            return
        if instance is None:
            self._cached.pop((project, name), None)
        else:
            self._cached[project, name] = instance

    @contextmanager
    def _one_reading(self) -> Iterator[int]:
        """Yield the next revision; one reading at a time, or their order would mean nothing."""
        with self._reading, refusal_is_unavailability(self._client.host):
            try:
                yield next(self._revisions)
            except FleetError:
                self._cached = None
                raise


@contextmanager
def refusal_is_unavailability(host: str) -> Iterator[None]:
    """Raise LxdUnavailable for LxdRefused: an LXD that refuses a question may answer it later."""
    try:
        yield
    except LxdRefused as exc:
        raise LxdUnavailable(host) from exc


def init_process(pid: int, proc: Path = Path("/proc")) -> InitProcess | None:
    """Return a process with its start time; None if there is none, or it cannot be read."""
    ticks = start_ticks(pid, proc)
    return None if ticks is None else InitProcess(pid, ticks)
