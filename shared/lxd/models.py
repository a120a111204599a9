"""LXD's JSON as structs; fields that nobody reads are ignored.

The fields have LXD's names. Whatever LXD may leave out, or answer with null, has a default. A size
has none: if it cannot be read it is unknown, not zero.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote

from msgspec import Struct, field

from shared.contracts.bounds import Count, ExitStatus
from shared.contracts.errors import Cancelled, FleetError
from shared.contracts.hosts import CONTAINER
from shared.contracts.instances import DEFAULT_PROJECT
from shared.lxd.errors import to_refusal

Devices = dict[str, dict[str, str]]

_SUCCESS = 200
_CANCELLED = 401
# The resources of an operation that name instances, and snapshots of them.
_INSTANCES = ("instances",)
_WITH_SNAPSHOTS = ("instances", "instances_snapshots")
# What LXD calls the operations of programs and consoles in an instance.
_OF_PEOPLE = ("Executing command", "Showing console")


def is_root_disk(device: Mapping[str, str]) -> bool:
    """Whether a device holds the root file system."""
    return device.get("type") == "disk" and device.get("path") == "/"


def identity_in(path: str, project: str = "") -> tuple[str, str]:
    """Return the project and name of the instance at `/1.0/instances/NAME?project=PROJECT`.

    The project is the given one, else that of the path, else the default one.
    """
    place, _, query = path.partition("?")
    project = project or parse_qs(query).get("project", [DEFAULT_PROJECT])[0]
    return project, unquote(place.rpartition("/")[2])


class ServerEnvironment(Struct, frozen=True):
    """Who the daemon is; Incus names itself in `server`, an older LXD does not.

    The first of `architectures` is its own; `driver` is `lxc`, `qemu`, or both as `lxc | qemu`.
    """

    architectures: tuple[str, ...] = ()
    certificate_fingerprint: str = ""
    driver: str = ""
    server: str = "lxd"
    server_clustered: bool = False
    server_pid: int = 0
    server_name: str = ""
    server_version: str = ""


class ServerInfo(Struct, frozen=True):
    """The answer to `GET /1.0`."""

    environment: ServerEnvironment = field(default_factory=ServerEnvironment)


class LxdInstance(Struct, frozen=True):
    """The fields of an instance that both services read.

    `expanded_*` is the instance's own configuration over that of its profiles.
    """

    name: str
    type: str = ""
    project: str = DEFAULT_PROJECT
    location: str = ""
    expanded_config: dict[str, str] = {}
    expanded_devices: Devices = {}

    @property
    def uuid(self) -> str:
        """What tells the instance from a namesake; empty until LXD gives it one."""
        return self.expanded_config.get("volatile.uuid", "")

    @property
    def root_disk(self) -> str:
        """The name of the device that holds the root file system; empty if there is none."""
        roots = (name for name, device in self.expanded_devices.items() if is_root_disk(device))
        return next(roots, "")


class CpuState(Struct, frozen=True):
    """`usage` is CPU time in nanoseconds since the instance was started."""

    usage: int = 0


class MemoryState(Struct, frozen=True):
    """`usage` is in bytes and counts what LXD counts, the page cache included."""

    usage: int = 0


class DiskState(Struct, frozen=True):
    """One disk device, in bytes; `usage` is 0 or less if LXD does not know.

    `total` is the quota, 0 without one.
    """

    usage: int = -1
    total: int = 0


class NetworkAddress(Struct, frozen=True):
    """One address of an interface."""

    family: str
    address: str
    scope: str


class NetworkCounters(Struct, frozen=True):
    """Bytes and packets since the start, as counted inside; old LXDs count bytes only."""

    bytes_received: int | None = None
    bytes_sent: int | None = None
    packets_received: int | None = None
    packets_sent: int | None = None
    errors_received: int | None = None
    errors_sent: int | None = None
    packets_dropped_inbound: int | None = None
    packets_dropped_outbound: int | None = None


class InterfaceState(Struct, frozen=True):
    """One interface inside the instance; `type` is `loopback` for `lo`.

    `host_name` is its end on the host, empty if it has none.
    """

    type: str = ""
    addresses: tuple[NetworkAddress, ...] | None = ()
    counters: NetworkCounters = NetworkCounters()
    hwaddr: str = ""
    host_name: str = ""


class BriefInstanceState(Struct, frozen=True):
    """The state of an instance without its network, which a guest can make endless.

    `pid` is that of the init (a virtual machine's own) process on the host, 0 when stopped.
    """

    pid: int = 0
    disk: dict[str, DiskState] | None = None


class InstanceState(BriefInstanceState, frozen=True):
    """The whole state; `processes` is -1 if nobody inside can count them."""

    processes: int = -1
    cpu: CpuState = CpuState()
    memory: MemoryState = MemoryState()
    network: dict[str, InterfaceState] | None = None


class SnapshotDescription(Struct, frozen=True):
    """A snapshot with its devices; `size` is negative if the storage does not report it."""

    name: str
    created_at: str = ""
    expires_at: str = ""
    stateful: bool = False
    size: int = -1
    devices: Devices = {}


class SnapshotContent(SnapshotDescription, frozen=True):
    """A snapshot with all that an instance made of it would have; `expanded_*` as elsewhere."""

    architecture: str = ""
    config: dict[str, str] = {}
    profiles: tuple[str, ...] | None = ()
    expanded_config: dict[str, str] = {}
    expanded_devices: Devices = {}


class Total(Struct, frozen=True):
    """How much there is of something."""

    total: Count


class MachineResources(Struct, frozen=True):
    """The answer to `GET /1.0/resources`."""

    cpu: Total
    memory: Total


class PoolSpace(Struct, frozen=True):
    """The bytes of a storage pool; `used` is None if LXD does not know."""

    total: Count
    used: Count | None = None


class PoolDescription(Struct, frozen=True):
    """The answer to `GET /1.0/storage-pools/POOL`."""

    driver: str = ""


class PoolResources(Struct, frozen=True):
    """The answer to `GET /1.0/storage-pools/POOL/resources`."""

    space: PoolSpace


class Profile(Struct, frozen=True):
    """A profile."""

    devices: Devices = {}


class Named(Struct, frozen=True):
    """A storage pool or a project, of which nothing but the name is read."""

    name: str


class ImageAlias(Struct, frozen=True):
    """A name of an image; `target`, its fingerprint, is set in LXD's answer for a name."""

    name: str
    target: str = ""
    type: str = CONTAINER


class LxdImage(Struct, frozen=True):
    """An image."""

    fingerprint: str
    aliases: tuple[ImageAlias, ...] = ()
    type: str = CONTAINER
    architecture: str = ""
    size: int = 0
    properties: dict[str, str] = {}


class LxdTask(Struct, frozen=True):
    """One of LXD's operations; a status code below 200 means that it has not ended."""

    id: str
    status_code: int
    class_: str = field(default="task", name="class")
    description: str = ""
    err: str = ""
    resources: dict[str, list[str]] | None = None
    metadata: dict[str, Any] | None = None

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self.status_code < _SUCCESS

    @property
    def error(self) -> FleetError | None:
        """Why it ended without success; None while it runs, and after success."""
        if self.status_code <= _SUCCESS:
            return None
        return Cancelled() if self.status_code == _CANCELLED else to_refusal(self.err)

    def concerns(self, name: str) -> bool:
        """Whether it is work on this instance or a snapshot of it, `/1.0/instances/NAME/SNAPSHOT`.

        An `exec` is not; it may last for days.
        """
        return self.class_ == "task" and self._is_about(name, _INSTANCES)

    def uses(self, project: str, name: str) -> bool:
        """Whether it works with this instance or a snapshot of it, be it to send it elsewhere.

        LXD 5.0 does not tell the project of what it works with: then it may be this one.
        """
        return self.description not in _OF_PEOPLE and self._is_about(name, _WITH_SNAPSHOTS, project)

    def _is_about(self, name: str, kinds: tuple[str, ...], project: str = "") -> bool:
        resources = self.resources or {}
        paths = [path for kind in kinds for path in resources.get(kind) or []]
        parts = [path.removeprefix("/1.0/instances/").partition("?") for path in paths]
        named = [parse_qs(query) for place, _, query in parts if place.partition("/")[0] == name]
        return any(not project or one.get("project", [project]) == [project] for one in named)


class ExecMetadata(Struct, frozen=True, rename={"status": "return"}):
    """The secrets of a process's sockets, and its exit status."""

    fds: dict[str, str] = {}
    status: ExitStatus | None = None


class ExecTask(Struct, frozen=True):
    """The operation of a terminal, or of a program without one."""

    id: str
    err: str = ""
    metadata: ExecMetadata | None = None

    @property
    def facts(self) -> ExecMetadata:
        """Its metadata, empty if there are none."""
        return self.metadata or ExecMetadata()


class LifecycleMetadata(Struct, frozen=True):
    """The part of an event that says what happened to what."""

    action: str = ""
    source: str = ""
    context: dict[str, object] | None = None


class LifecycleEvent(Struct, frozen=True):
    """One event as LXD sends it."""

    metadata: LifecycleMetadata = field(default_factory=LifecycleMetadata)
    project: str = DEFAULT_PROJECT
    location: str = ""

    @property
    def identity(self) -> tuple[str, str]:
        """The project and name of the instance that it is about."""
        return identity_in(self.metadata.source, self.project or DEFAULT_PROJECT)
