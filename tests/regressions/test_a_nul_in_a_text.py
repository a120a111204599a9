"""A description with a NUL was cut at it without a word, and sometimes LXD wrote nothing at all.

On PostgreSQL, which takes no NUL, a snapshot that was described so was made and its outcome lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.gateway.persistence.database import Database
from services.gateway.persistence.operation_store import SqlOperationStore
from services.gateway.persistence.snapshot_notes import SqlSnapshotNotes
from services.gateway.vms.snapshots import SnapshotNote
from shared.contracts.operations import Arguments, Kind, State
from tests.support.builders import an_operation
from tests.support.postgresql import fresh_database
from tests.support.views import a_view
from tests.support.vms import gateway_of_vms

VM = "/api/v1/vms/vm-u1"
NEW = {"name": "a", "template": "busybox", "cpu": 1, "memory": 64, "disk": 1}


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", VM, {"description": "a\0b"}),
        ("PUT", VM, {"labels": {"tier": "a\0b"}}),
        ("POST", f"{VM}/rename", {"name": "a\0b"}),
        ("POST", f"{VM}/snapshots", {"name": "s1", "description": "a\0b"}),
        ("POST", "/api/v1/vms", {**NEW, "cloudInit": "#cloud-config\n\0"}),
        ("POST", "/api/v1/vms", {**NEW, "description": "a\0b"}),
        ("GET", "/api/v1/vms?search=a%00b", None),
        ("GET", "/api/v1/vms?label=a%00b", None),
    ],
)
async def test_a_nul_is_refused_and_nothing_is_begun(
    method: str, path: str, body: dict[str, object] | None
) -> None:
    gateway = gateway_of_vms()
    async with gateway.client() as client:
        answer = await client.request(method, path, json=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "VALIDATION_ERROR")
    assert gateway.operations.submitted == []


async def test_what_an_instance_has_of_them_already_is_shown_and_in_nobodys_way() -> None:
    gateway = gateway_of_vms()
    odd = "rings\x07\r\nand is \x9b1mbold"
    gateway.fleet.known_instances = [a_view(uuid="u1", description=odd)]
    async with gateway.client() as client:
        listed = await client.get("/api/instances")
        shown = await client.get(VM)
        changed = await client.put(VM, json={"cpu": 4})

    assert [entry["description"] for entry in listed.json()] == [odd]
    assert shown.json()["data"]["description"] == odd
    assert changed.status_code == 200


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite:///{tmp_path}/gateway.db"
    if request.param == "postgresql":
        url = await asyncio.to_thread(fresh_database, request.getfixturevalue("postgresql"))
    database = Database(url)
    await database.migrate()
    yield database
    await database.close()


async def test_the_outcome_of_an_operation_with_a_nul_is_kept(database: Database) -> None:
    store = SqlOperationStore(database)
    ended = an_operation(
        kind=Kind.SNAPSHOT,
        state=State.DONE,
        sequence=3,
        project="shop\0",
        arguments=Arguments(snapshot="s\0", description="a\0b"),
        finished_at="2026-11-20T10:00:00Z",
    )

    await store.merge([ended])

    assert await store.get(ended.operation_id) == ended
    notes = await SqlSnapshotNotes(database).of(ended.host, ended.uuid)
    assert notes == {"s\ufffd": SnapshotNote("a\ufffdb", "2026-11-20T10:00:00Z")}
