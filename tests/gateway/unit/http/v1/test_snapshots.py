from __future__ import annotations

import httpx
import pytest

from services.gateway.vms.snapshots import DescribedSnapshot
from shared.contracts.operations import Arguments, Kind
from shared.contracts.worker_api import Snapshot
from tests.support.gateway_http import FakeGateway
from tests.support.vms import code

SNAPSHOTS = "/api/v1/vms/vm-u1/snapshots"
TAKEN = Snapshot(name="backup-1", created_at="2024-01-01T12:00:00.123456Z", size=4096)


async def test_snapshots_are_listed_with_what_was_said_of_them(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    other = Snapshot(
        name="s2",
        created_at="2024-01-02T12:00:00Z",
        stateful=True,
        expires_at="2024-02-02T12:00:00Z",
    )
    gateway.snapshots.of["u1"] = [DescribedSnapshot(TAKEN, "备份"), DescribedSnapshot(other, "")]

    answer = await client.get(SNAPSHOTS)

    assert answer.json() == {
        "success": True,
        "data": {
            "snapshots": [
                {
                    "id": "backup-1",
                    "name": "backup-1",
                    "description": "备份",
                    "createdAt": "2024-01-01T12:00:00Z",
                    "size": 4096,
                    "stateful": False,
                    "expiresAt": None,
                },
                {
                    "id": "s2",
                    "name": "s2",
                    "description": "",
                    "createdAt": "2024-01-02T12:00:00Z",
                    "size": None,
                    "stateful": True,
                    "expiresAt": "2024-02-02T12:00:00Z",
                },
            ]
        },
    }


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", f"{SNAPSHOTS}/before update/restore", Kind.RESTORE),
        ("DELETE", f"{SNAPSHOTS}/before update", Kind.DELETE_SNAPSHOT),
    ],
)
async def test_one_that_is_there_is_restored_or_deleted_whatever_it_is_called(
    gateway: FakeGateway, client: httpx.AsyncClient, method: str, path: str, kind: Kind
) -> None:
    answer = await client.request(method, path)

    assert answer.status_code == 200
    assert answer.json()["data"]["snapshot"] == "before update"
    [change] = gateway.operations.submitted
    assert (change.kind, change.arguments) == (kind, Arguments(snapshot="before update"))


@pytest.mark.parametrize(
    "body",
    [
        None,
        {},
        {"name": ""},
        {"name": "a b"},
        {"name": "a/b"},
        {"name": ".hidden"},
        {"name": "x" * 64},
        {"name": "s", "description": "x" * 8193},
        {"name": "s", "stateful": "yes"},
        {"name": "s", "size": 1},
    ],
)
async def test_what_lxd_would_not_take_is_refused(
    gateway: FakeGateway, client: httpx.AsyncClient, body: dict[str, object] | None
) -> None:
    assert code(await client.post(SNAPSHOTS, json=body)) == (400, "VALIDATION_ERROR")
    assert gateway.operations.submitted == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "log"),
        ("POST", "snapshots"),
        ("POST", "snapshots/s/restore"),
        ("DELETE", "snapshots/s"),
    ],
)
async def test_an_unknown_vm_has_neither_snapshots_nor_a_log(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    body = {"name": "s"} if path == "snapshots" else None

    answer = await client.request(method, f"/api/v1/vms/nix/{path}", json=body)

    assert code(answer) == (404, "VM_NOT_FOUND")
