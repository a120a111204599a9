"""What became of changes of VMs, as the VM API v1 shows it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from services.gateway.bilingual import both
from services.gateway.responses.errors import VmError
from services.gateway.responses.fields import described, one_of
from services.gateway.responses.vms import STATUSES, VmStatus, VmTrash

DELETED = "deleted"

_ID = "vm-9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11"
_NAME = "Web Server"


class VmCreated(Struct, frozen=True, kw_only=True):
    """A VM that is being created; `operation` tells its progress.

    正在创建的虚拟机；进度见 `operation`。
    """

    id: str
    name: str
    status: VmStatus
    progress: Annotated[int, Meta(ge=0, le=100)]
    host: str
    operation: str

    @classmethod
    def examples(cls) -> list[VmCreated]:
        """Return examples for OpenAPI."""
        return [
            VmCreated(
                id=_ID,
                name="my-vm",
                status="creating",
                progress=0,
                host="h1",
                operation="9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
            )
        ]


class VmResult(Struct, frozen=True, kw_only=True, rename="camel"):
    """The VM that was changed; with 202 as it stands while the change goes on.

    被更改的虚拟机；202 时为更改完成之前的状态。
    """

    id: str
    name: str
    status: Annotated[str, one_of(*STATUSES, DELETED)]

    @classmethod
    def examples(cls) -> list[VmResult]:
        """Return examples for OpenAPI."""
        return [VmResult(id=_ID, name=_NAME, status="running")]


class VmUpdated(VmResult, frozen=True, kw_only=True, rename="camel"):
    """The VM that was changed, and which of the changes count from its next start.

    被更改的虚拟机，以及下次启动后才生效的更改。
    """

    needs_restart: list[str]

    @classmethod
    def examples(cls) -> list[VmResult]:
        """Return examples for OpenAPI."""
        return [VmUpdated(id=_ID, name=_NAME, status="running", needs_restart=["cpu"])]


class VmPasswordSet(VmResult, frozen=True, kw_only=True, rename="camel"):
    """The VM whose password was set; with 202 it may not be in force yet.

    设置了密码的虚拟机；202 时密码可能尚未生效。
    """

    password: Annotated[
        str | None,
        described(
            "生成的密码，只显示一次；由请求给出时为 null",
            "The generated password, shown only once; null if the request gave one",
        ),
    ]

    @classmethod
    def examples(cls) -> list[VmResult]:
        """Return examples for OpenAPI."""
        generated = "pV3xT0Zk1mQ9sYb2cW8d"
        return [VmPasswordSet(id=_ID, name=_NAME, status="running", password=generated)]


class VmRebuilt(VmResult, frozen=True, kw_only=True, rename="camel"):
    """The VM with its new root file system, and what is kept of the old one.

    更换了系统的虚拟机，以及保留的旧系统。
    """

    message: str
    trash: Annotated[
        VmTrash | None,
        described("保留的旧系统；尚未完成时为 null", "The old root; null while it is unfinished"),
    ]

    @classmethod
    def examples(cls) -> list[VmResult]:
        """Return examples for OpenAPI."""
        message = both(
            "实例 web-server 重装成功；原系统及其快照可在保留期内恢复",
            "Instance web-server was rebuilt; its former system and snapshots can be restored for "
            "a day",
        )
        trash = VmTrash.examples()[0]
        return [VmRebuilt(id=_ID, name=_NAME, status="running", message=message, trash=trash)]


class VmSnapshotResult(VmResult, frozen=True, kw_only=True, rename="camel"):
    """The VM whose snapshot was made, restored or deleted.

    创建、恢复或删除了快照的虚拟机。
    """

    snapshot: str

    @classmethod
    def examples(cls) -> list[VmResult]:
        """Return examples for OpenAPI."""
        snapshot = "backup-2024-01-01"
        return [VmSnapshotResult(id=_ID, name=_NAME, status="running", snapshot=snapshot)]


class VmRestored(VmSnapshotResult, frozen=True, kw_only=True, rename="camel"):
    """The VM that was restored to a snapshot.

    恢复到快照的虚拟机。
    """

    safety_snapshot: Annotated[
        str | None,
        described(
            "恢复之前先创建的快照；未要求时为 null",
            "The snapshot that was taken before, null if none was asked for",
        ),
    ]

    @classmethod
    def examples(cls) -> list[VmResult]:
        """Return examples for OpenAPI."""
        return [
            VmRestored(
                id=_ID,
                name=_NAME,
                status="running",
                snapshot="backup-2024-01-01",
                safety_snapshot="before-restore-20240102T120000Z",
            )
        ]


class VmActionResult(Struct, frozen=True, kw_only=True):
    """What became of an action on one VM; `state` is its operation's, null where there is none.

    一台虚拟机的结果；`state` 为其操作的状态，没有操作时为 null。
    """

    id: str
    name: str
    success: bool
    status: Annotated[str, one_of(*STATUSES, DELETED)] | None
    operation: str | None
    state: str | None
    error: VmError | None


class VmActionResults(Struct, frozen=True, kw_only=True):
    """A result for each VM, in the order of the request; each of them was tried.

    每台虚拟机的结果，顺序与请求相同；每台都已尝试。
    """

    results: list[VmActionResult]
    succeeded: int
    failed: int
    unfinished: Annotated[int, described("已受理，尚未完成", "Accepted, and not finished yet")]

    @classmethod
    def examples(cls) -> list[VmActionResults]:
        """Return examples for OpenAPI."""
        done = VmActionResult(
            id=_ID,
            name=_NAME,
            success=True,
            status="running",
            operation="0b6e3a52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
            state="done",
            error=None,
        )
        return [VmActionResults(results=[done], succeeded=1, failed=0, unfinished=0)]
