"""Snapshots as LXD takes, lists, restores and deletes them, held against its double."""

from __future__ import annotations

import pytest

from tests.support.lxd_client import Client

SNAPSHOT = {
    "architecture",
    "config",
    "created_at",
    "devices",
    "ephemeral",
    "expanded_config",
    "expanded_devices",
    "expires_at",
    "last_used_at",
    "name",
    "profiles",
    "size",
    "stateful",
}


def path_of(name: str) -> str:
    return f"/1.0/instances/{name}/snapshots"


async def test_a_snapshot_is_told_and_listed_with_its_instance(
    client: Client, stopped: str
) -> None:
    async with client.events(stopped) as events:
        taken = await client.carry_out("POST", path_of(stopped), {"name": "s1"})
        await events.until("Snapshotting instance: Success")

    listed = await client.get(f"{path_of(stopped)}?recursion=1")
    full = await client.get(f"/1.0/instances/{stopped}?recursion=1")
    assert taken["resources"]["instances"] == [f"/1.0/instances/{stopped}"]
    assert await client.get(path_of(stopped)) == [f"{path_of(stopped)}/s1"]
    assert [set(each) for each in listed] == [SNAPSHOT]
    assert full["snapshots"] == listed
    assert (listed[0]["name"], listed[0]["stateful"], listed[0]["expires_at"]) == (
        "s1",
        False,
        "0001-01-01T00:00:00Z",
    )


async def test_without_snapshots_an_instance_has_none(client: Client, stopped: str) -> None:
    full = await client.get(f"/1.0/instances/{stopped}?recursion=1")

    assert full["snapshots"] is None
    assert await client.get(path_of(stopped)) == []


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        ({"name": "there"}, 'This "instances_snapshots" entry already exists'),
        ({"name": "a b"}, "Cannot contain space or / characters"),
        ({"name": "s1", "stateful": True}, "The instance isn't running"),
    ],
)
async def test_a_snapshot_that_cannot_be_fails_inside_the_operation(
    client: Client, stopped: str, wanted: dict[str, object], words: str
) -> None:
    await client.carry_out("POST", path_of(stopped), {"name": "there"})

    operation = await client.carry_out("POST", path_of(stopped), wanted)

    assert (operation["status"], operation["status_code"]) == ("Failure", 400)
    assert operation["err"].endswith(words)


@pytest.mark.parametrize("character", ["/", "?", "+", "&"])
async def test_what_has_a_meaning_in_an_address_is_in_no_snapshots_name(
    client: Client, stopped: str, character: str
) -> None:
    answer = await client.ask("POST", path_of(stopped), {"name": f"a{character}b"})

    assert answer.refusal == (400, f'Invalid snapshot name: Cannot contain "{character}"')


async def test_a_snapshots_name_in_a_path_is_unescaped_twice(client: Client, stopped: str) -> None:
    for name in ("x1", "x%31"):
        await client.carry_out("POST", path_of(stopped), {"name": name})

    found = [await client.get(f"{path_of(stopped)}/{name}") for name in ("x%2531", "x%252531")]
    deleted = await client.carry_out("DELETE", f"{path_of(stopped)}/x%2531")
    left = await client.get(f"{path_of(stopped)}?recursion=1")

    assert [each["name"] for each in found] == ["x1", "x%31"]
    assert deleted["status"] == "Success"
    assert [each["name"] for each in left] == ["x%31"]


@pytest.mark.parametrize(("path", "wrong"), [("50%25", "%"), ("a%25zb", "%zb"), ("a%25", "%")])
async def test_what_cannot_be_unescaped_a_second_time_is_an_error(
    client: Client, stopped: str, path: str, wrong: str
) -> None:
    answer = await client.ask("GET", f"{path_of(stopped)}/{path}")

    assert answer.refusal == (500, f'invalid URL escape "{wrong}"')


async def test_what_is_restored_has_its_old_settings_and_no_description(
    client: Client, stopped: str
) -> None:
    path = f"/1.0/instances/{stopped}"
    await client.ask("PATCH", path, {"config": {"user.note": "old"}, "description": "mine"})
    await client.carry_out("POST", path_of(stopped), {"name": "s1"})
    before = await client.get(path)
    await client.ask("PATCH", path, {"config": {"user.note": "new"}, "description": "mine"})

    async with client.events(stopped) as events:
        restored = await client.carry_out("PUT", path, {"restore": "s1"})
        told = await events.until("instance-restored", "Restoring snapshot: Success")

    after = await client.get(path)
    assert restored["status"] == "Success"
    assert "instance-started" not in told
    assert (before["description"], after["description"]) == ("mine", "")
    assert after["config"] == before["config"]


async def test_a_running_container_is_restored_by_a_restart(client: Client, running: str) -> None:
    await client.carry_out("POST", path_of(running), {"name": "s1"})
    before = await client.get(f"/1.0/instances/{running}/state")

    async with client.events(running) as events:
        await client.carry_out("PUT", f"/1.0/instances/{running}", {"restore": "s1"})
        await events.until("instance-started", "instance-restored")

    after = await client.get(f"/1.0/instances/{running}/state")
    assert after["status"] == "Running"
    assert after["pid"] != before["pid"]


async def test_a_snapshot_that_is_not_there_is_neither_restored_nor_deleted(
    client: Client, stopped: str
) -> None:
    restored = await client.carry_out("PUT", f"/1.0/instances/{stopped}", {"restore": "nix"})
    deleted = await client.ask("DELETE", f"{path_of(stopped)}/nix")

    assert restored["err"] == f"Snapshot {stopped}/nix does not exist"
    assert deleted.refusal == (
        404,
        f'Failed to fetch snapshot "nix" of instance "{stopped}" in project "default": '
        "InstanceSnapshot not found",
    )


async def test_a_deleted_snapshot_is_gone(client: Client, stopped: str) -> None:
    await client.carry_out("POST", path_of(stopped), {"name": "s1"})

    deleted = await client.carry_out("DELETE", f"{path_of(stopped)}/s1")

    assert deleted["status"] == "Success"
    assert deleted["resources"]["instances"] == [f"/1.0/instances/{stopped}/s1"]
    assert await client.get(path_of(stopped)) == []
