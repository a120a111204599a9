"""What the worker reads of the instances of a real LXD or Incus."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from services.lxd_worker.instances.config import InstanceConfig, shape_of
from services.lxd_worker.instances.description import (
    InstanceDescription,
    abridged,
    instance_of,
    utc,
)
from services.lxd_worker.instances.observation import InitProcess, Observation
from services.lxd_worker.instances.parked_roots import (
    ROOT,
    aside_name,
    aside_of,
    trash_of,
)
from services.lxd_worker.instances.start_log import readable
from services.lxd_worker.journal.plan import Devices
from services.lxd_worker.ports import (
    LxdServer,
    ObservedInstance,
    Omission,
    Omit,
    ParkedRoots,
    RootOwner,
)
from shared.contracts.errors import FleetError, LxdRefused, LxdUnavailable
from shared.contracts.fitting import Unfit, fit_message
from shared.contracts.instances import Instance
from shared.contracts.worker_api import MOST_LOG, Snapshot
from shared.lxd.client import LxdClient
from shared.lxd.errors import LxdNotFound
from shared.lxd.models import (
    BriefInstanceState,
    DiskState,
    ServerInfo,
    SnapshotDescription,
)
from shared.lxd.scope import LxdScope
from shared.platform.run.process_start import start_ticks

T = TypeVar("T")

# Of a container, and of a virtual machine.
_LOGS = ("lxc.log", "qemu.log")
# More than is told, so that it is seen to be more; a character has four bytes at the most.
_LOG_BYTES = 4 * MOST_LOG + 4
_PROBE_S = 5.0
# For an answer that takes 50 ms while the guest does not prevent it.
_GUEST_S = 10.0
# Incus calls an instance running, and cannot tell its state, for half a second after a start of it
# has failed.
_TRANSITION_S = 1.5
_LOOK_AGAIN_S = 0.1


def init_of(pid: int, proc: Path = Path("/proc")) -> InitProcess | None:
    """Return an instance's first process with its start time, as the host's kernel knows it.

    None when there is none, or its line is no such.
    """
    ticks = start_ticks(pid, proc)
    return None if ticks is None else InitProcess(pid, ticks)


class InstanceDetails(InstanceDescription, frozen=True):
    """An instance with its state and snapshots, as `recursion=1` gives it for one instance."""

    state: BriefInstanceState | None = None
    snapshots: tuple[SnapshotDescription, ...] | None = None

    @property
    def root_used(self) -> int | None:
        """The bytes on its root disk, None where LXD does not tell."""
        disks = (self.state.disk if self.state else None) or {}
        used = disks.get(self.root_disk, DiskState()).usage
        return used if used > 0 else None


class InstanceReader:
    """The instances of one daemon.

    `host_memory` is what a memory limit in percent is a share of, in bytes.
    """

    def __init__(self, client: LxdClient, host_memory: int, scope: LxdScope, omit: Omit) -> None:
        self._client = client
        self._host_memory = host_memory
        self._scope = scope
        self._omit = omit
        self._revisions = count(1)
        self._pid = 0
        self._reading = threading.Lock()
        self._remembered: dict[tuple[str, str], Instance] | None = None

    def server(self) -> LxdServer:
        """See `Lxd.server`."""
        with self._only_reading():
            about = self._client.get(ServerInfo, answer_s=_PROBE_S).environment
        self._scope.learn(about.server_name, clustered=about.server_clustered)
        self._pid = about.server_pid
        return LxdServer(
            fingerprint=about.certificate_fingerprint,
            version=about.server_version,
            kind=about.server,
            name=about.server_name,
        )

    def instances(self) -> list[Instance]:
        """See `Lxd.instances`."""
        self._introduce()
        params = {"recursion": 1, "all-projects": "true"}
        with self._one_reading() as revision:
            found = self._client.get(list[InstanceDescription], "instances", params=params)
            ours = (self._instance(one, revision) for one in found if self._is_told(one))
            instances = [one for one in ours if one]
            self._remembered = {(one.project, one.name): one for one in instances}
        return instances

    def instance(self, project: str, name: str) -> ObservedInstance:
        """See `Lxd.instance`."""
        with self._one_reading() as revision:
            found = self._described(project, name)
            instance = self._instance(found, revision) if found and self._is_told(found) else None
            self._remember(project, name, instance)
        return ObservedInstance(revision, instance)

    def remembered(self) -> Mapping[tuple[str, str], Instance] | None:
        """See `Lxd.remembered`."""
        return self._remembered

    def asides(self) -> ParkedRoots:
        """See `Lxd.asides`."""
        self._introduce()
        params = {"recursion": 1, "all-projects": "true"}
        with self._only_reading():
            found = self._client.get(list[InstanceDescription], "instances", params=params)
        ours = [one for one in found if self._is_ours(one)]
        kept = {
            (one.project, one.name, one.uuid): trash_of(one.expanded_config)
            for one in ours
            if self._is_told(one)
        }
        aside = (aside_of(one.project, one.name, one.expanded_config) for one in ours)
        return ParkedRoots(
            aside=tuple(one for one in aside if one),
            owners=tuple(RootOwner(*place, trash) for place, trash in kept.items()),
        )

    def look(self, project: str, name: str) -> Observation | None:
        """See `Lxd.look`."""
        ends_at = time.monotonic() + _TRANSITION_S
        while True:
            seen = self.glance(project, name)
            if seen is None or seen.stopped:
                return seen
            try:
                state = self._from_guest(
                    BriefInstanceState, "instances", name, "state", project=project
                )
            except LxdNotFound:
                return None
            if state or time.monotonic() > ends_at:
                return replace(seen, init=init_of(state.pid) if state else None)
            time.sleep(_LOOK_AGAIN_S)

    def glance(self, project: str, name: str) -> Observation | None:
        """See `Lxd.glance`."""
        found = self._one(project, name)
        return None if found is None else self._glimpsed(found)

    def examine(self, project: str, name: str) -> Observation | None:
        """See `Lxd.examine`."""
        found = self._full(project, name)
        if found is None:
            return None
        return replace(
            self._glimpsed(found),
            init=init_of(found.state.pid) if found.state else None,
            snapshots=tuple(snapshot.name for snapshot in found.snapshots or ()),
            root_used=found.root_used,
        )

    def snapshots(self, project: str, name: str) -> list[Snapshot]:
        """See `Lxd.snapshots`."""
        found = self._full(project, name)
        listed = (found and found.snapshots) or ()
        return [one for one in (self._snapshot(name, each) for each in listed) if one]

    def log(self, project: str, name: str) -> str | None:
        """See `Lxd.log`."""
        path, params = ("instances", name, "logs"), {"project": project}
        with self._only_reading():
            try:
                # Of a file that is not there LXD says that it is broken itself.
                listed = self._client.get(list[str], *path, params=params)
            except LxdNotFound:
                return None
            there = {each.rpartition("/")[2].partition("?")[0] for each in listed}
            for file in there.intersection(_LOGS):
                raw = self._client.get_end(*path, file, params=params, most_bytes=_LOG_BYTES)
                return readable(raw)
        return None

    def devices_of(self, project: str, name: str, snapshot: str) -> Devices:
        """See `Lxd.devices_of`."""
        found = self._full(project, name)
        listed = (found and found.snapshots) or ()
        return next((one.devices for one in listed if one.name == snapshot), {})

    def _introduce(self) -> None:
        """Ask who LXD is, unless it has said so already."""
        if self._pid == 0:
            self.server()

    def _full(self, project: str, name: str) -> InstanceDetails | None:
        self._introduce()
        try:
            found = self._from_guest(
                InstanceDetails, "instances", name, project=project, recursion=1
            )
            found = found or self._without_state(project, name)
        except LxdNotFound:
            return None
        return found if self._is_ours(found) else None

    def _from_guest(self, kind: type[T], *path: str, **params: object) -> T | None:
        """Return an answer for which LXD looks into the guest; None where that one prevents it.

        It may have more addresses than LXD can list in time, or an agent that never answers. Nobody
        shall escape an operation by that. Raises LxdNotFound, and LxdUnavailable when LXD itself
        does not answer.
        """
        try:
            return self._client.get(kind, *path, params=params, answer_s=_GUEST_S)
        except LxdRefused:
            return None
        except LxdUnavailable:
            self.server()
            return None

    def _without_state(self, project: str, name: str) -> InstanceDetails:
        params = {"project": project}
        with self._only_reading():
            found = self._client.get(InstanceDetails, "instances", name, params=params)
            listed = self._client.get(
                list[SnapshotDescription],
                "instances",
                name,
                "snapshots",
                params={**params, "recursion": 1},
            )
        own = (replace(one, name=one.name.rpartition("/")[2]) for one in listed)
        return replace(found, snapshots=tuple(own))

    def _one(self, project: str, name: str) -> InstanceDescription | None:
        self._introduce()
        with self._only_reading():
            found = self._described(project, name)
        return found if found and self._is_ours(found) else None

    def _described(self, project: str, name: str) -> InstanceDescription | None:
        params = {"project": project}
        with suppress(LxdNotFound):
            return self._client.get(InstanceDescription, "instances", name, params=params)
        return None

    def _is_ours(self, found: InstanceDescription) -> bool:
        return self._scope.covers(found.project, found.location)

    def _is_told(self, found: InstanceDescription) -> bool:
        """Whether it is an instance of its own, and no root beside another one."""
        aside = aside_of(found.project, found.name, found.expanded_config)
        return self._is_ours(found) and aside is None

    def _glimpsed(self, found: InstanceDescription) -> Observation:
        quota_to_come = f"volatile.{found.root_disk}.apply_quota"
        return Observation(
            status=found.status,
            uuid=found.uuid,
            created_at=found.created_at,
            last_used_at=found.last_used_at,
            complete=found.complete,
            name=found.name,
            shape=self._shape(found),
            postponed=("disk",) if quota_to_come in found.expanded_config else (),
            lxd=self._pid,
            root=found.expanded_config.get(ROOT, ""),
            aside=aside_name(found.expanded_config),
            ephemeral=found.ephemeral,
        )

    def _instance(self, described: InstanceDescription, revision: int) -> Instance | None:
        """Return an instance as it is told; None for one that no message can name."""
        subject = f"{described.project}/{described.name}"
        try:
            whole, left_out = instance_of(
                described, revision=revision, host_memory=self._host_memory
            )
        except Unfit as exc:
            self._omit(Omission.INSTANCE, subject, str(exc))
            return None
        instance, cut = abridged(whole)
        if left_out or cut:
            self._omit(Omission.FIELDS, subject, ", ".join((*left_out, *cut)))
        return instance

    def _shape(self, described: InstanceDescription) -> InstanceConfig:
        """Return what can be changed of an instance; more of it than is told of a large one."""
        try:
            whole, _ = instance_of(described, revision=0, host_memory=self._host_memory)
        except Unfit as exc:
            raise LxdUnavailable(self._client.host) from exc
        return shape_of(whole)

    def _snapshot(self, instance: str, found: SnapshotDescription) -> Snapshot | None:
        """Return a snapshot as it is told; None where its name would not be its name any more."""
        snapshot, left_out = fit_message(
            Snapshot(
                name=found.name,
                created_at=utc(found.created_at),
                stateful=found.stateful,
                size=found.size if found.size >= 0 else None,
                expires_at=utc(found.expires_at),
            )
        )
        if left_out:
            self._omit(Omission.FIELDS, f"{instance}/{snapshot.name}", ", ".join(left_out))
        return None if "name" in left_out else snapshot

    def _remember(self, project: str, name: str, instance: Instance | None) -> None:
        if self._remembered is None:
            return
        if instance is None:
            self._remembered.pop((project, name), None)
        else:
            self._remembered[project, name] = instance

    @contextmanager
    def _only_reading(self) -> Iterator[None]:
        """An LXD that says no to a question is not well; it may answer later."""
        try:
            yield
        except LxdRefused as exc:
            raise LxdUnavailable(self._client.host) from exc

    @contextmanager
    def _one_reading(self) -> Iterator[int]:
        """Yield the next revision; one reading at a time, else their order would say nothing."""
        with self._reading, self._only_reading():
            try:
                yield next(self._revisions)
            except FleetError:
                self._remembered = None
                raise
