"""LXD's projects, held against its double."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.testing.lxd_client import IMAGE, Client

ROOT = {"root": {"type": "disk", "path": "/", "pool": "default"}}


@pytest.fixture
async def project(client: Client, name: str) -> AsyncIterator[str]:
    """A project that shares images and profiles with the default one."""
    shared = {"features.images": "false", "features.profiles": "false"}
    await client.ask("POST", "/1.0/projects", {"name": name, "config": shared})
    yield name
    await client.carry_out("DELETE", f"/1.0/instances/{name}?project={name}")
    await client.ask("DELETE", f"/1.0/projects/{name}")


async def created(client: Client, name: str, project: str) -> dict[str, object]:
    # A container without a network: LXD takes a name on a network once only.
    wanted = {"name": name, "source": IMAGE, "profiles": [], "devices": ROOT}
    return await client.carry_out("POST", f"/1.0/instances?project={project}", wanted)


async def test_namesakes_in_two_projects_are_two_instances(
    client: Client, stopped: str, project: str
) -> None:
    await created(client, stopped, project)

    here = await client.get(f"/1.0/instances/{stopped}")
    there = await client.get(f"/1.0/instances/{stopped}?project={project}")
    listed = await client.get("/1.0/instances?recursion=1&all-projects=true")
    paths = await client.get("/1.0/instances?all-projects=true")
    default = await client.get("/1.0/instances?recursion=1")

    uuids = [each["config"]["volatile.uuid"] for each in (here, there)]
    found = {each["project"]: each for each in listed if each["name"] == stopped}
    assert uuids[0] != uuids[1]
    assert {key: each["config"]["volatile.uuid"] for key, each in found.items()} == {
        "default": uuids[0],
        project: uuids[1],
    }
    assert f"/1.0/instances/{stopped}?project={project}" in paths
    assert {each["project"] for each in default} == {"default"}


async def test_events_of_all_projects_are_heard_by_who_asks_for_them(
    client: Client, stopped: str, project: str
) -> None:
    names = (f"{stopped}?project={project}", stopped)

    async with client.events(*names, everywhere=True) as all_, client.events(*names) as default:
        await created(client, stopped, project)
        await client.ask("PATCH", f"/1.0/instances/{stopped}", {"config": {"user.note": "x"}})
        heard = await all_.until("instance-updated"), await default.until("instance-updated")

    created_there = ["instance-created" in told for told in heard]
    assert created_there == [True, False]


async def test_an_operation_is_listed_in_its_project_and_found_by_its_id_from_everywhere(
    client: Client, name: str, project: str
) -> None:
    operation = await created(client, name, project)
    path = f"/1.0/operations/{operation['id']}"

    there = await client.get(f"/1.0/operations?project={project}")
    here = await client.get("/1.0/operations")

    assert path in there["success"]
    assert path not in here.get("success", [])
    assert (await client.get(path))["id"] == operation["id"]


async def test_in_a_project_that_is_not_there_nothing_is(client: Client, name: str) -> None:
    answer = await client.ask("GET", f"/1.0/instances/{name}?project=nowhere")

    assert answer.refusal == (404, "Instance not found")
    assert await client.get("/1.0/instances?project=nowhere") == []
