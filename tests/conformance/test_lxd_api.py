"""What the double claims of LXD, held against LXD itself: every test runs on both.

A name says what LXD does; where LXD leaves an order open, so do the assertions.
"""

from __future__ import annotations

import asyncio
import platform

import pytest

from tests.support.lxd_client import IMAGE, Client

ENVELOPE = {"type", "status", "status_code", "operation", "error_code", "error", "metadata"}
NOTHING = "00000000-0000-0000-0000-000000000000"


async def test_the_server_names_itself_and_its_certificate(client: Client) -> None:
    server = await client.get("/1.0")

    assert server["api_version"] == "1.0"
    assert server["auth"] == "trusted"
    assert server["environment"]["server"] == "lxd"
    assert server["environment"]["server_version"]
    assert server["environment"]["architectures"][0] == platform.machine()
    assert "lxc" in server["environment"]["driver"].split(" | ")
    assert len(bytes.fromhex(server["environment"]["certificate_fingerprint"])) == 32


@pytest.mark.parametrize(
    ("method", "path", "refusal"),
    [
        ("GET", "/1.0/nothing", (404, "not found")),
        ("GET", "/1.0/instances/nobody", (404, "Instance not found")),
        ("GET", "/1.0/instances/nobody/state", (404, "Instance not found")),
        ("DELETE", "/1.0/instances/nobody", (404, "Instance not found")),
        ("GET", f"/1.0/operations/{NOTHING}", (404, "Operation not found")),
        ("GET", f"/1.0/operations/{NOTHING}/wait", (404, "Operation not found")),
        ("DELETE", f"/1.0/operations/{NOTHING}", (404, "Operation not found")),
        ("GET", "/1.0/images/aliases/nothing", (404, "Image alias not found")),
        ("GET", f"/1.0/images/{'0' * 64}", (404, "Image not found")),
        ("GET", "/1.0/networks/nothing", (404, "Network not found")),
        ("GET", "/1.0/instances/nobody/logs", (404, "Instance not found")),
        (
            "GET",
            "/1.0/instances/nobody/logs/lxc.log",
            (404, 'Failed to fetch instance "nobody" in project "default": Instance not found'),
        ),
        ("GET", "/1.0/storage-pools/nothing", (404, "Storage pool not found")),
        ("GET", "/1.0/storage-pools/nothing/resources", (500, "Storage pool not found")),
        ("PATCH", "/1.0/instances", (501, "not implemented")),
    ],
)
async def test_what_is_not_there_is_refused_in_lxd_s_words(
    client: Client, method: str, path: str, refusal: tuple[int, str]
) -> None:
    answer = await client.ask(method, path)

    assert answer.refusal == refusal
    assert set(answer.body) == ENVELOPE


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        (
            {"name": "a_b", "source": IMAGE},
            (
                400,
                "Invalid instance name: Name can only contain alphanumeric and hyphen characters",
            ),
        ),
        (
            {"name": "-a", "source": IMAGE},
            (400, 'Invalid instance name: Name must not start with "-" character'),
        ),
        (
            {"name": "1a", "source": IMAGE},
            (400, "Invalid instance name: Name must not start with a number"),
        ),
        (
            {"name": "a-", "source": IMAGE},
            (400, 'Invalid instance name: Name must not end with "-" character'),
        ),
        (
            {"name": "a" * 64, "source": IMAGE},
            (400, "Invalid instance name: Name must be 1-63 characters long"),
        ),
        ({"name": "nobody"}, (400, "Unknown source type ")),
        (
            {"name": "nobody", "source": {"type": "image", "alias": "nothing"}},
            (404, "Image alias not found"),
        ),
        (
            {"name": "nobody", "source": IMAGE, "profiles": ["nothing"]},
            (500, 'Requested profile "nothing" doesn\'t exist'),
        ),
    ],
)
async def test_a_wrong_description_of_an_instance_is_refused_at_once(
    client: Client, body: object, refusal: tuple[int, str]
) -> None:
    answer = await client.ask("POST", "/1.0/instances", body)

    assert answer.refusal == refusal


async def test_an_unknown_image_or_a_taken_name_fails_inside_the_operation(
    client: Client, stopped: str
) -> None:
    unknown = {"type": "image", "fingerprint": "abcdef123456"}

    no_image = await client.carry_out(
        "POST", "/1.0/instances", {"name": f"{stopped}-2", "source": unknown}
    )
    taken = await client.create(stopped)

    assert (no_image["status"], no_image["status_code"]) == ("Failure", 400)
    assert no_image["err"] == "Image not provided for instance creation"
    assert taken["err"].endswith('This "instances" entry already exists')


async def test_creating_is_told_with_its_progress(client: Client, name: str) -> None:
    async with client.events(name) as events:
        created = await client.create(name)

        told = await events.until("instance-created", "Creating instance: Success")

    assert created["status"] == "Success"
    assert created["metadata"]["progress"]["percent"] == "100"
    assert set(told) == {
        "Creating instance: Pending",
        "Creating instance: Running",
        "instance-created",
        "Creating instance: Success",
    }


async def test_an_instance_is_listed_more_fully_with_each_recursion(
    client: Client, running: str
) -> None:
    urls = await client.get("/1.0/instances")
    described = _one(await client.get("/1.0/instances?recursion=1"), running)
    full = _one(await client.get("/1.0/instances?recursion=2"), running)
    alone = await client.get(f"/1.0/instances/{running}")

    assert f"/1.0/instances/{running}" in urls
    assert set(described) == set(alone) == DESCRIBED
    assert set(full) == DESCRIBED | {"backups", "state", "snapshots"}
    assert set(full["state"]) == STATE
    assert (full["status"], full["status_code"]) == ("Running", 103)


async def test_the_state_of_a_running_container_is_measured(client: Client, running: str) -> None:
    state = await client.get(f"/1.0/instances/{running}/state")

    assert set(state) == STATE
    assert state["pid"] > 1
    assert state["processes"] > 0
    assert state["memory"]["usage"] > 0
    assert set(state["network"]) == {"eth0", "lo"}
    assert state["network"]["lo"]["type"] == "loopback"
    assert set(state["network"]["eth0"]) == NIC
    assert set(state["network"]["lo"]["addresses"][0]) == ADDRESS


async def test_the_state_of_a_stopped_container_is_all_zero(client: Client, stopped: str) -> None:
    state = await client.get(f"/1.0/instances/{stopped}/state")

    assert state == {
        "status": "Stopped",
        "status_code": 102,
        "disk": {},
        "memory": {"usage": 0, "usage_peak": 0, "swap_usage": 0, "swap_usage_peak": 0},
        "network": None,
        "pid": 0,
        "processes": 0,
        "cpu": {"usage": 0},
    }


@pytest.mark.parametrize(
    ("action", "words"),
    [
        ("stop", "The instance is already stopped"),
        ("restart", "The instance is already stopped"),
        ("freeze", "The container isn't running"),
        ("unfreeze", "The container isn't running"),
    ],
)
async def test_what_a_stopped_container_cannot_do_fails_inside_the_operation(
    client: Client, stopped: str, action: str, words: str
) -> None:
    operation = await client.change(stopped, action)

    assert (operation["status"], operation["status_code"]) == ("Failure", 400)
    assert operation["err"] == words


async def test_what_a_running_container_cannot_do_is_refused(client: Client, running: str) -> None:
    start = await client.change(running, "start")
    unfreeze = await client.change(running, "unfreeze")
    delete = await client.ask("DELETE", f"/1.0/instances/{running}")
    rename = await client.carry_out("POST", f"/1.0/instances/{running}", {"name": f"{running}-2"})

    assert start["err"] == "The instance is already running"
    assert unfreeze["err"] == "The container is already running"
    assert delete.refusal == (400, "Instance is running")
    assert rename["err"] == "Renaming of running container not allowed"


async def test_a_frozen_container_counts_as_running(client: Client, running: str) -> None:
    await client.change(running, "freeze")

    state = await client.get(f"/1.0/instances/{running}/state")
    freeze = await client.change(running, "freeze")
    start = await client.change(running, "start")
    delete = await client.ask("DELETE", f"/1.0/instances/{running}")

    assert (state["status"], state["status_code"]) == ("Frozen", 110)
    assert state["memory"]["usage"] > 0
    assert freeze["err"] == "The container is already frozen"
    assert start["err"] == "The instance is already running"
    assert delete.refusal == (400, "Instance is running")


async def test_an_unknown_action_is_refused_at_once(client: Client, stopped: str) -> None:
    answer = await client.ask("PUT", f"/1.0/instances/{stopped}/state", {"action": "dance"})

    assert answer.refusal == (400, "Unknown action: 'dance'")


@pytest.mark.parametrize(
    ("action", "force", "doing", "event"),
    [
        ("stop", False, "Stopping", "instance-shutdown"),
        ("stop", True, "Stopping", "instance-stopped"),
        ("restart", False, "Restarting", "instance-restarted"),
        ("restart", True, "Restarting", "instance-restarted"),
        ("freeze", False, "Freezing", "instance-paused"),
    ],
)
async def test_a_change_of_state_is_told_by_one_lifecycle_event(
    client: Client, running: str, action: str, force: bool, doing: str, event: str
) -> None:
    async with client.events(running) as events:
        operation = await client.change(running, action, force=force)

        told = await events.until(event, f"{doing} instance: Success")

    assert (operation["status"], operation["err"]) == ("Success", "")
    assert sorted(told) == sorted(
        [
            f"{doing} instance: Pending",
            f"{doing} instance: Running",
            f"{doing} instance: Success",
            event,
        ]
    )


async def test_start_and_resume_are_told_by_their_own_events(client: Client, stopped: str) -> None:
    async with client.events(stopped) as events:
        await client.change(stopped, "start")
        started = await events.until("instance-started", "Starting instance: Success")
        await client.until_ready(stopped)
        await client.change(stopped, "freeze")
        await client.change(stopped, "unfreeze")
        resumed = await events.until("instance-resumed", "Unfreezing instance: Success")

    assert "Starting instance: Pending" in started
    assert "instance-paused" in resumed
    assert await client.status(stopped) == "Running"


async def test_starts_at_the_same_time_are_one_start(client: Client, stopped: str) -> None:
    operations = await asyncio.gather(*(client.change(stopped, "start") for _ in range(3)))

    assert [each["status"] for each in operations] == ["Success"] * 3
    assert await client.status(stopped) == "Running"


async def test_a_restart_gives_a_new_process(client: Client, running: str) -> None:
    before = await client.get(f"/1.0/instances/{running}/state")

    await client.change(running, "restart", force=True)

    after = await client.get(f"/1.0/instances/{running}/state")
    assert after["status"] == "Running"
    assert after["pid"] != before["pid"]


async def test_deleting_is_told_after_it_happened(client: Client, stopped: str) -> None:
    async with client.events(stopped) as events:
        deleted = await client.carry_out("DELETE", f"/1.0/instances/{stopped}")

        # "Pending" may come after "Success": LXD's operation events keep no order.
        await events.until("instance-deleted", "Deleting instance: Success")

    assert deleted["resources"]["instances"] == [f"/1.0/instances/{stopped}"]
    assert (await client.ask("GET", f"/1.0/instances/{stopped}")).status == 404


async def test_a_rename_keeps_the_uuid_and_tells_the_old_name(client: Client, stopped: str) -> None:
    before = await client.get(f"/1.0/instances/{stopped}")

    async with client.events(f"{stopped}-2") as events:
        renamed = await client.carry_out(
            "POST", f"/1.0/instances/{stopped}", {"name": f"{stopped}-2"}
        )
        await events.until("instance-renamed")

    after = await client.get(f"/1.0/instances/{stopped}-2")
    assert renamed["status"] == "Success"
    assert after["config"]["volatile.uuid"] == before["config"]["volatile.uuid"]
    assert (await client.ask("GET", f"/1.0/instances/{stopped}")).status == 404


async def test_a_name_in_use_cannot_be_taken_by_a_rename(client: Client, stopped: str) -> None:
    await client.create(f"{stopped}-2")

    answer = await client.ask("POST", f"/1.0/instances/{stopped}", {"name": f"{stopped}-2"})

    assert answer.refusal == (409, f'Name "{stopped}-2" already in use')


async def test_a_namesake_made_anew_has_another_uuid(client: Client, stopped: str) -> None:
    before = await client.get(f"/1.0/instances/{stopped}")
    await client.carry_out("DELETE", f"/1.0/instances/{stopped}")

    await client.create(stopped)

    after = await client.get(f"/1.0/instances/{stopped}")
    assert after["config"]["volatile.uuid"] != before["config"]["volatile.uuid"]


async def test_a_patch_merges_and_a_stale_etag_is_refused(client: Client, stopped: str) -> None:
    path = f"/1.0/instances/{stopped}"
    etag = (await client.ask("GET", path)).headers["Etag"]

    merged = await client.ask("PATCH", path, {"config": {"user.note": "x"}}, etag)
    stale = await client.ask("PATCH", path, {"config": {"user.note": "y"}}, etag)

    assert merged.status == 200
    assert stale.refusal[0] == 412
    assert stale.refusal[1].startswith("ETag doesn't match: ")
    assert (await client.get(path))["config"]["user.note"] == "x"


async def test_an_empty_value_takes_a_key_away(client: Client, stopped: str) -> None:
    path = f"/1.0/instances/{stopped}"
    await client.ask("PATCH", path, {"config": {"user.note": "x"}})

    await client.ask("PATCH", path, {"config": {"user.note": ""}})

    assert "user.note" not in (await client.get(path))["config"]


async def test_a_patch_that_names_no_description_takes_it_away(
    client: Client, stopped: str
) -> None:
    path = f"/1.0/instances/{stopped}"
    await client.ask("PATCH", path, {"description": "mine"})
    before = await client.get(path)

    await client.ask("PATCH", path, {"config": {"user.note": "x"}})

    assert before["description"] == "mine"
    assert (await client.get(path))["description"] == ""


async def test_a_put_replaces_all_that_can_be_written(client: Client, stopped: str) -> None:
    path = f"/1.0/instances/{stopped}"
    proxy = {"type": "proxy", "listen": "tcp:127.0.0.1:8", "connect": "tcp:127.0.0.1:8"}
    await client.ask("PATCH", path, {"config": {"user.note": "x"}, "devices": {"p": proxy}})
    found = await client.get(path)
    kept = {key: found[key] for key in ("architecture", "ephemeral", "profiles", "devices")}
    config = {key: text for key, text in found["config"].items() if key != "user.note"}
    wanted = kept | {"config": config, "devices": {}, "description": "new"}

    operation = await client.carry_out("PUT", path, wanted)

    after = await client.get(path)
    assert operation["description"] == "Updating instance"
    assert (after["config"], after["devices"], after["description"]) == (config, {}, "new")


async def test_less_memory_than_is_in_use_is_refused_and_nothing_changed(
    client: Client, running: str
) -> None:
    path = f"/1.0/instances/{running}"
    before = await client.get(path)
    keys = ("architecture", "config", "devices", "ephemeral", "profiles", "description")
    wanted = {key: before[key] for key in keys}

    operation = await client.carry_out(
        "PUT", path, wanted | {"config": before["config"] | {"limits.memory": "4096"}}
    )

    assert (operation["status"], operation["err"]) == (
        "Failure",
        "setting cgroup item for the container failed",
    )
    assert "limits.memory" not in (await client.get(path))["config"]


async def test_an_operation_runs_is_waited_for_and_cannot_be_cancelled(
    client: Client, running: str
) -> None:
    operation = await client.begin(
        "PUT", f"/1.0/instances/{running}/state", {"action": "stop", "timeout": 20}
    )

    at_first = await client.get(operation)
    waited_in_vain = await client.ended(operation, timeout_s=0)
    listed = await client.get("/1.0/operations")
    refused = await client.ask("DELETE", operation)
    ended = await client.ended(operation)

    assert (at_first["status"], at_first["status_code"]) == ("Running", 103)
    assert at_first["class"] == "task"
    assert at_first["may_cancel"] is False
    assert set(at_first) == OPERATION
    assert waited_in_vain["status"] == "Running"
    assert operation in listed["running"]
    assert refused.refusal == (400, "This operation can't be cancelled")
    assert (ended["status"], ended["status_code"]) == ("Success", 200)


async def test_a_guest_that_needs_longer_than_the_time_out_stops_later_all_the_same(
    client: Client, running: str
) -> None:
    async with client.events(running) as events:
        operation = await client.change(running, "stop", timeout_s=1)
        at_the_time_out = await client.status(running)
        await client.until_status(running, "Stopped")
        told = await events.until("instance-shutdown")

    assert operation["status"] == "Failure"
    assert operation["err"] == (
        'Failed shutting down instance, status is "Running": shutting down the container failed'
    )
    assert at_the_time_out == "Running"
    assert told.index("Stopping instance: Failure") < told.index("instance-shutdown")


async def test_force_ends_a_clean_stop_that_still_waits(client: Client, running: str) -> None:
    path = f"/1.0/instances/{running}/state"
    clean = await client.begin("PUT", path, {"action": "stop", "timeout": 20})

    forced = await client.change(running, "stop", force=True)

    assert forced["status"] == "Success"
    assert (await client.ended(clean))["status"] == "Success"
    assert await client.status(running) == "Stopped"


async def test_a_clean_stop_wakes_a_frozen_container_first(client: Client, running: str) -> None:
    await client.change(running, "freeze")

    async with client.events(running) as events:
        operation = await client.change(running, "stop")
        told = await events.until("instance-shutdown")

    assert operation["status"] == "Success"
    assert told.index("instance-resumed") < told.index("instance-shutdown")


async def test_the_pool_tells_its_space(client: Client) -> None:
    pools = await client.get("/1.0/storage-pools?recursion=1")

    resources = await client.get(f"/1.0/storage-pools/{pools[0]['name']}/resources")

    assert {"name", "driver", "config", "used_by", "status"} <= set(pools[0])
    assert 0 < resources["space"]["used"] < resources["space"]["total"]


async def test_the_default_profile_gives_a_root_disk_and_a_nic(client: Client) -> None:
    profile = await client.get("/1.0/profiles/default")

    assert profile["devices"]["root"]["type"] == "disk"
    assert profile["devices"]["eth0"]["type"] == "nic"


DESCRIBED = {
    "architecture",
    "config",
    "created_at",
    "description",
    "devices",
    "ephemeral",
    "expanded_config",
    "expanded_devices",
    "last_used_at",
    "location",
    "name",
    "profiles",
    "project",
    "stateful",
    "status",
    "status_code",
    "type",
}
STATE = {"status", "status_code", "disk", "memory", "network", "pid", "processes", "cpu"}
NIC = {"addresses", "counters", "hwaddr", "host_name", "mtu", "state", "type"}
ADDRESS = {"family", "address", "netmask", "scope"}
OPERATION = {
    "id",
    "class",
    "description",
    "created_at",
    "updated_at",
    "status",
    "status_code",
    "resources",
    "metadata",
    "may_cancel",
    "err",
    "location",
}


def _one(instances: list[dict[str, object]], name: str) -> dict[str, object]:
    [found] = [instance for instance in instances if instance["name"] == name]
    return found
