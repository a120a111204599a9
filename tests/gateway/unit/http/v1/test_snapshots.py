from __future__ import annotations

import re

import httpx
import pytest

from services.gateway.vms.naming import display_name_of
from services.gateway.vms.snapshots import DescribedSnapshot
from shared.contracts.errors import WorkerOutdated
from shared.contracts.instance_config import SnapshotSource
from shared.contracts.operations import Arguments, Kind
from shared.contracts.worker_api import Snapshot
from tests.support.builders import a_description
from tests.support.gateway_http import FakeGateway
from tests.support.views import a_host_view
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
        policy="daily",
        protected=True,
        tags=("release",),
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
                    "policy": None,
                    "protected": False,
                    "tags": [],
                },
                {
                    "id": "s2",
                    "name": "s2",
                    "description": "",
                    "createdAt": "2024-01-02T12:00:00Z",
                    "size": None,
                    "stateful": True,
                    "expiresAt": "2024-02-02T12:00:00Z",
                    "policy": "daily",
                    "protected": True,
                    "tags": ["release"],
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
        ("PUT", "snapshots/s/marks"),
        ("POST", "snapshots/s/clone"),
    ],
)
async def test_an_unknown_vm_has_neither_snapshots_nor_a_log(
    client: httpx.AsyncClient, method: str, path: str
) -> None:
    body = {"name": "s"} if path in {"snapshots", "snapshots/s/clone"} else None
    body = {} if path.endswith("marks") else body

    answer = await client.request(method, f"/api/v1/vms/nix/{path}", json=body)

    assert code(answer) == (404, "VM_NOT_FOUND")


async def test_a_restore_may_take_a_snapshot_first_whose_name_is_told(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    generated = await client.post(f"{SNAPSHOTS}/s/restore", json={"safetySnapshot": True})
    named = await client.post(f"{SNAPSHOTS}/s/restore", json={"safetySnapshot": "mine"})
    none = await client.post(f"{SNAPSHOTS}/s/restore", json={"safetySnapshot": False})

    told = [each.json()["data"]["safetySnapshot"] for each in (generated, named, none)]
    sent = [each.arguments.safety_snapshot for each in gateway.operations.submitted]
    assert sent == [told[0], "mine", ""]
    assert told[1:] == ["mine", None]
    assert re.fullmatch(r"before-restore-\d{8}T\d{6}Z", told[0])


async def test_a_repeated_restore_is_the_first_one_with_its_safety_snapshot(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    request = {"json": {"safetySnapshot": True}, "headers": {"idempotency-key": "k"}}

    answers = [await client.post(f"{SNAPSHOTS}/s/restore", **request) for _ in range(2)]  # type: ignore[arg-type]

    assert answers[0].json() == answers[1].json()
    assert len(gateway.operations.submitted) == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "restore", {"safetySnapshot": True}),
        ("PUT", "marks", {"protected": True}),
        ("POST", "clone", {"name": "copy"}),
    ],
)
async def test_a_worker_that_would_leave_out_half_of_it_is_told_nothing(
    gateway: FakeGateway, client: httpx.AsyncClient, method: str, path: str, body: object
) -> None:
    gateway.snapshots.refusal = WorkerOutdated("h1")

    answer = await client.request(method, f"{SNAPSHOTS}/s/{path}", json=body)

    assert code(answer) == (503, "WORKER_OUTDATED")
    assert gateway.operations.submitted == []


async def test_a_plain_restore_needs_no_worker_of_this_release(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.snapshots.refusal = WorkerOutdated("h1")

    assert (await client.post(f"{SNAPSHOTS}/s/restore", json={})).status_code == 200


async def test_marks_replace_those_before(gateway: FakeGateway, client: httpx.AsyncClient) -> None:
    body = {"protected": True, "tags": ["b", "a", "b"]}
    first = await client.put(f"{SNAPSHOTS}/s/marks", json=body)
    second = await client.put(f"{SNAPSHOTS}/s/marks", json={})

    target = gateway.fleet.known_instances[0].target
    assert gateway.snapshots.marked == [
        (target, "s", True, ("b", "a")),
        (target, "s", False, ()),
    ]
    assert first.json()["data"] == {
        "id": "vm-u1",
        "snapshot": "s",
        "protected": True,
        "tags": ["b", "a"],
    }
    assert second.json()["data"]["tags"] == []


@pytest.mark.parametrize(
    "body", [None, {"tags": ["a b"]}, {"tags": "a"}, {"protected": "yes"}, {"tags": ["a"] * 257}]
)
async def test_marks_that_no_snapshot_can_have_are_refused(
    gateway: FakeGateway, client: httpx.AsyncClient, body: object
) -> None:
    assert code(await client.put(f"{SNAPSHOTS}/s/marks", json=body)) == (400, "VALIDATION_ERROR")
    assert gateway.snapshots.marked == []


async def test_a_vm_made_of_a_snapshot_is_another_one_on_the_same_host(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    source = gateway.fleet.known_instances[0]
    gateway.fleet.known_hosts = [a_host_view(resources=a_description())]

    answer = await client.post(f"{SNAPSHOTS}/s/clone", json={"name": "The Copy"})

    [change] = gateway.operations.submitted
    new = change.arguments.create
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/api/v1/vms/{answer.json()['data']['id']}"
    assert (change.kind, change.target.host, change.target.name) == (Kind.CREATE, "h1", "the-copy")
    assert change.target.uuid not in {"", source.instance.uuid}
    assert new is not None
    assert new.copy_of == SnapshotSource(
        instance=source.instance.name, uuid=source.instance.uuid, snapshot="s"
    )
    assert (new.memory, new.disk, new.auto_start, new.ports, new.ssh) == (
        source.instance.memory_limit,
        source.instance.root_size,
        False,
        0,
        False,
    )


async def test_a_copy_takes_no_name_that_is_there(
    gateway: FakeGateway, client: httpx.AsyncClient
) -> None:
    gateway.fleet.known_hosts = [a_host_view(resources=a_description())]
    name = display_name_of(gateway.fleet.known_instances[0].instance)

    answer = await client.post(f"{SNAPSHOTS}/s/clone", json={"name": name})

    assert code(answer) == (409, "VM_ALREADY_EXISTS")
    assert gateway.operations.submitted == []
