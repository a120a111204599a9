"""LXD's answers as structs; fields that we do not read are ignored."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from services.lxd_worker.instances.description import InstanceDescription
from services.lxd_worker.instances.devices import Devices
from services.lxd_worker.ports import LxdOperation
from shared.contracts.bounds import ExitStatus, clip
from shared.contracts.errors import Cancelled, FleetError, LxdBusy, LxdRefused

_SUCCESS = 200
_CANCELLED = 401

# What LXD and Incus answer about an instance that they still start, stop or restore, also by
# themselves: after a failed start they clean up for a second.
_BUSY = re.compile(r'busy running an? "?[\w -]+"? operation')

_DOWNLOAD = re.compile(r"\w+: (\d{1,3})%")
_PERCENT = re.compile(r"\d{1,9}")
# As far as anybody can know, the download of an image takes as long as unpacking it.
_DOWNLOADED = 50


class DiskUse(Struct, frozen=True):
    """How many bytes of a disk are in use; 0 or less if LXD does not know."""

    usage: int = 0


class LxdInstanceState(Struct, frozen=True):
    """How an instance runs; `pid` is that of its first process, 0 when it has none."""

    pid: int = 0
    disk: dict[str, DiskUse] | None = None


class SnapshotDescription(Struct, frozen=True):
    """A snapshot with its devices; `size` is negative if the storage does not report it."""

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
        """The bytes on its root disk, None if LXD does not report them."""
        disks = (self.state.disk if self.state else None) or {}
        used = disks.get(self.root_disk, DiskUse()).usage
        return used if used > 0 else None


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


class ServerAnswer(Struct, frozen=True):
    """LXD's answer to `GET /1.0`."""

    environment: ServerEnvironment = field(default_factory=ServerEnvironment)


class LxdTask(Struct, frozen=True):
    """One of LXD's operations; a status code below 200 means that it has not ended."""

    id: str
    status_code: int
    class_: str = field(default="task", name="class")
    err: str = ""
    resources: dict[str, list[str]] | None = None
    metadata: dict[str, Any] | None = None

    @property
    def progress(self) -> LxdOperation:
        """How far LXD is with it."""
        done = progress_percent(self.metadata or {})
        if self.status_code < _SUCCESS:
            return LxdOperation(running=True, progress=done)
        return LxdOperation(running=False, error=self._error(), progress=done)

    def concerns(self, name: str) -> bool:
        """Whether it is work on this instance or a snapshot of it, `/1.0/instances/NAME/SNAPSHOT`.

        An `exec` is not; it may last for days.
        """
        paths = (self.resources or {}).get("instances") or []
        names = [path.removeprefix("/1.0/instances/").partition("?")[0] for path in paths]
        return self.class_ == "task" and name in [one.partition("/")[0] for one in names]

    def _error(self) -> FleetError | None:
        if self.status_code == _SUCCESS:
            return None
        if self.status_code == _CANCELLED:
            return Cancelled()
        return to_refusal(self.err)


class TerminalMetadata(Struct, frozen=True, rename={"status": "return"}):
    """The secrets of a terminal's sockets, and the exit status of its process."""

    fds: dict[str, str] = {}
    status: ExitStatus | None = None


class TerminalTask(Struct, frozen=True):
    """The operation of a terminal, or of a program without one."""

    id: str
    err: str = ""
    metadata: TerminalMetadata | None = None

    @property
    def facts(self) -> TerminalMetadata:
        """Its metadata, empty if there are none."""
        return self.metadata or TerminalMetadata()


def to_refusal(reason: str) -> FleetError:
    """Return LXD's refusal as an error: LxdBusy if it may soon accept, else LxdRefused."""
    return (LxdBusy if _BUSY.search(reason) else LxdRefused)(clip(reason))


def progress_percent(metadata: Mapping[str, object]) -> int | None:
    """Return how far LXD is with a new instance; None if the metadata do not say.

    LXD reports the download alone, then the unpacking alone, and still lists the former then.
    """
    unpacked = _unpacked_percent(metadata.get("progress"))
    downloaded = _DOWNLOAD.match(str(metadata.get("download_progress", "")))
    if downloaded is None:
        return unpacked
    if unpacked is None:
        return min(100, int(downloaded[1])) * _DOWNLOADED // 100
    return _DOWNLOADED + unpacked * (100 - _DOWNLOADED) // 100


def _unpacked_percent(progress: object) -> int | None:
    text = str(progress.get("percent", "")) if isinstance(progress, dict) else ""
    return min(100, int(text)) if _PERCENT.fullmatch(text) else None
