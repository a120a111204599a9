"""LXD's projects, held against its double."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.lxd_client import IMAGE, Client

ROOT = {"root": {"type": "disk", "path": "/", "pool": "default"}}


@pytest.fixture
async def project(client: Client, name: str) -> AsyncIterator[str]:
    """A project that shares images and profiles with the default one."""
    shared = {"features.images": "false", "features.profiles": "false"}
    await client.ask("POST", "/1.0/projects", {"name": name, "config": shared})
    yield name
    path = f"/1.0/instances/{name}?project={name}"
    if (await client.ask("GET", path)).status == 200:
        await client.carry_out("DELETE", path)
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


async def test_projects_are_listed_and_told(client: Client, project: str) -> None:
    paths = await client.get("/1.0/projects")
    full = await client.get("/1.0/projects?recursion=1")
    one = await client.get(f"/1.0/projects/{project}")

    assert {"/1.0/projects/default", f"/1.0/projects/{project}"} <= set(paths)
    assert {each["name"]: each for each in full}[project] == one
    assert one == {
        "config": {
            "features.images": "false",
            "features.profiles": "false",
            "features.storage.volumes": "true",
        },
        "description": "",
        "name": project,
        "used_by": [],
    }


async def test_the_default_project_has_all_features(client: Client) -> None:
    default = await client.get("/1.0/projects/default")

    assert default["description"] == "Default LXD project"
    assert default["config"]["features.images"] == "true"
    assert "/1.0/profiles/default" in default["used_by"]


async def test_a_project_with_an_instance_in_it_stays(
    client: Client, name: str, project: str
) -> None:
    await created(client, name, project)

    deleted = await client.ask("DELETE", f"/1.0/projects/{project}")

    assert deleted.refusal == (500, "Only empty projects can be removed")
    told = await client.get(f"/1.0/projects/{project}")
    assert told["used_by"] == [f"/1.0/instances/{name}?project={project}"]


@pytest.mark.parametrize(
    ("method", "path", "body", "refusal"),
    [
        ("GET", "/nowhere", None, (404, "Project not found")),
        ("DELETE", "/nowhere", None, (404, 'Fetch project "nowhere": Project not found')),
        ("DELETE", "/default", None, (403, "The 'default' project cannot be deleted")),
        ("POST", "", {"name": ""}, (400, "No name provided")),
        ("POST", "", {"name": "a/b"}, (400, "Project names may not contain slashes")),
        (
            "POST",
            "",
            {"name": "default"},
            (
                409,
                'Failed creating project "default": Failed adding database record: This "projects" '
                "entry already exists",
            ),
        ),
    ],
)
async def test_a_project_that_cannot_be_is_refused_in_lxd_s_words(
    client: Client, method: str, path: str, body: object, refusal: tuple[int, str]
) -> None:
    answer = await client.ask(method, f"/1.0/projects{path}", body)

    assert answer.refusal == refusal
