"""What is read of LXD's answers; all else in them is ignored."""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from services.lxd_worker.instances.description import InstanceDescription
from services.lxd_worker.journal.plan import Devices
from services.lxd_worker.lxd.progress import percent
from services.lxd_worker.lxd.refusals import refusal
from services.lxd_worker.ports import LxdOperation
from shared.contracts.bounds import ExitStatus
from shared.contracts.errors import Cancelled, FleetError

_SUCCESS = 200
_CANCELLED = 401


class DiskUse(Struct, frozen=True):
    """How many bytes of a disk are in use; 0 or less where LXD does not know."""

    usage: int = 0


class LxdInstanceState(Struct, frozen=True):
    """How an instance runs; `pid` is that of its first process, 0 when it has none."""

    pid: int = 0
    disk: dict[str, DiskUse] | None = None


class SnapshotDescription(Struct, frozen=True):
    """A snapshot, with the devices it has; `size` is negative where the storage does not tell."""

    name: str
    created_at: str = ""
    expires_at: str = ""
    stateful: bool = False
    size: int = -1
    devices: Devices = {}


class InstanceDetails(InstanceDescription, frozen=True):
    """An instance with its state and snapshots, as `recursion=1` gives it for one instance."""

    state: LxdInstanceState | None = None
    snapshots: tuple[SnapshotDescription, ...] | None = None

    @property
    def root_used(self) -> int | None:
        """The bytes on its root disk, None where LXD does not tell."""
        disks = (self.state.disk if self.state else None) or {}
        used = disks.get(self.root_disk, DiskUse()).usage
        return used if used > 0 else None


class ServerEnvironment(Struct, frozen=True):
    """Who the daemon is; Incus names itself in `server`, older LXD does not.

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


class ServerAnswer(Struct, frozen=True):
    """LXD's answer to `GET /1.0`."""

    environment: ServerEnvironment = field(default_factory=ServerEnvironment)


class LxdTask(Struct, frozen=True):
    """One of LXD's operations; below 200 its code says that it is not over yet."""

    id: str
    status_code: int
    class_: str = field(default="task", name="class")
    err: str = ""
    resources: dict[str, list[str]] | None = None
    metadata: dict[str, Any] | None = None

    @property
    def progress(self) -> LxdOperation:
        """How far it is, in our words."""
        done = percent(self.metadata or {})
        if self.status_code < _SUCCESS:
            return LxdOperation(running=True, progress=done)
        return LxdOperation(running=False, error=self._error(), progress=done)

    def concerns(self, name: str) -> bool:
        """Whether it is work on this instance or a snapshot of it, `/1.0/instances/NAME/SNAPSHOT`.

        An `exec` is none, it may last for days.
        """
        paths = (self.resources or {}).get("instances") or []
        names = [path.removeprefix("/1.0/instances/").partition("?")[0] for path in paths]
        return self.class_ == "task" and name in [one.partition("/")[0] for one in names]

    def _error(self) -> FleetError | None:
        if self.status_code == _SUCCESS:
            return None
        if self.status_code == _CANCELLED:
            return Cancelled()
        return refusal(self.err)


class TerminalMetadata(Struct, frozen=True, rename={"status": "return"}):
    """What LXD tells of a terminal: the secrets of its sockets, and the process's exit status."""

    fds: dict[str, str] = {}
    status: ExitStatus | None = None


class TerminalTask(Struct, frozen=True):
    """The operation that a terminal is, or a program without one."""

    id: str
    err: str = ""
    metadata: TerminalMetadata | None = None

    @property
    def facts(self) -> TerminalMetadata:
        """What LXD tells of it."""
        return self.metadata or TerminalMetadata()
