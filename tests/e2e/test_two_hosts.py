"""A fleet of two hosts, seen through HTTP and WebSocket alone."""

import json
import time
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from tests.support.documents import INSTANCES_API, code_blocks, shape, without_additions
from tests.support.fleet import Fleet
from tests.support.lxd_project import Project
from tests.support.polling import wait_until

HOSTS = ["h1", "h2"]
STREAM = "4. WebSocket实时监控"


def status(fleet: Fleet, name: str) -> str | None:
    answer = fleet.http.get(f"/api/instances/{name}")
    return str(answer.json()["info"]["status"]) if answer.is_success else None


def listed(fleet: Fleet, name: str) -> dict[str, Any]:
    """Return the instance as the list has it; it must be there."""
    (found,) = (one for one in fleet.http.get("/api/instances").json() if one["name"] == name)
    return dict(found)


def stops(fleet: Fleet, name: str) -> bool:
    return fleet.http.post(f"/api/instances/{name}/stop").is_success


def becomes(fleet: Fleet, name: str, wanted: str | None, *, within_s: float) -> bool:
    return wait_until(lambda: status(fleet, name) == wanted, within_s=within_s)


def listed_as(fleet: Fleet, name: str) -> str | None:
    instances = fleet.http.get("/api/instances").json()
    return next((str(one["status"]) for one in instances if one["name"] == name), None)


def becomes_listed_as(fleet: Fleet, name: str, wanted: str | None) -> None:
    """Wait a second at most until the list shows it; print the time, for `pytest -rP`."""
    began = time.monotonic()
    wait_until(lambda: listed_as(fleet, name) == wanted, within_s=1, every_s=0.01)
    print(f"{name} is listed as {wanted} after {time.monotonic() - began:.3f} s")


def has_address(fleet: Fleet, name: str) -> bool:
    return status(fleet, name) == "Running" and listed(fleet, name)["ipv4"] is not None


def of_one_instance(update: Any, name: str, example: Any) -> Any:
    """Return what the document's example has of the update, with this instance alone."""
    documented = without_additions(update, example)
    data = documented["data"]
    mine = [one for one in data["instances"] if one["name"] == name]
    return documented | {"data": data | {"instances": mine}}


@pytest.mark.parametrize("host", HOSTS)
def test_what_happens_behind_our_back_is_listed_within_a_second(fleet: Fleet, host: str) -> None:
    name = fleet.on[host].launch("seen")

    becomes_listed_as(fleet, name, "Running")

    fleet.on[host].set_state(name, "stop", force=True)

    becomes_listed_as(fleet, name, "Stopped")

    fleet.on[host].delete(name)

    becomes_listed_as(fleet, name, None)


@pytest.mark.parametrize("host", HOSTS)
def test_an_instance_is_started_stopped_and_deleted_on_its_host(fleet: Fleet, host: str) -> None:
    name = fleet.on[host].create("driven")
    assert becomes(fleet, name, "Stopped", within_s=1)

    started = fleet.http.post(f"/api/instances/{name}/start")

    assert started.json()["success"] is True
    assert status(fleet, name) == fleet.on[host].status(name) == "Running"

    stopped = fleet.http.post(f"/api/instances/{name}/stop")

    assert stopped.json()["success"] is True
    assert status(fleet, name) == fleet.on[host].status(name) == "Stopped"

    deleted = fleet.http.delete(f"/api/instances/{name}")

    assert deleted.json()["success"] is True
    assert status(fleet, name) is None


def test_namesakes_in_two_projects_of_a_host_are_told_apart(
    fleet: Fleet, lxd_project: Project
) -> None:
    name = fleet.on["h1"].create("twin")
    lxd_project.create(name)
    path, theirs = f"/api/instances/{name}", {"project": lxd_project.name}
    ours = {"project": "default"}
    wait_until(lambda: fleet.http.get(path, params=theirs).is_success, within_s=5)
    wait_until(lambda: fleet.http.get(path, params=ours).is_success, within_s=5)

    ambiguous = fleet.http.get(path)
    started = fleet.http.post(f"{path}/start", params=theirs)
    theirs_now = fleet.http.get(path, params=theirs).json()["info"]
    ours_now = fleet.http.get(path, params=ours).json()["info"]
    inside = fleet.http.get("/api/instances", params=theirs).json()
    operations = fleet.http.get("/api/operations", params=theirs | {"instance": name}).json()
    deleted = fleet.http.delete(path, params=theirs | {"force": "true"})

    assert (ambiguous.status_code, ambiguous.json()["code"]) == (409, "ambiguous_project")
    assert "?project=" in ambiguous.json()["detail"]
    assert started.json()["success"] is True
    assert (theirs_now["project"], theirs_now["status"]) == (lxd_project.name, "Running")
    assert (ours_now["project"], ours_now["status"]) == ("default", "Stopped")
    assert [one["name"] for one in inside] == [name]
    assert [one["kind"] for one in operations] == ["start"]
    assert deleted.json()["success"] is True
    assert fleet.http.get(path).json()["info"]["project"] == "default"
    assert fleet.on["h1"].status(name) == "Stopped"


def test_a_host_that_refuses_a_creation_is_left_for_the_next(fleet: Fleet) -> None:
    # The gateway cannot know that h2's only port for SSH is taken; it prefers h2, which has more
    # CPUs to promise.
    wait_until(lambda: has_the_image(fleet), within_s=20)
    assert create(fleet, "filler", host="h1", cpu=100).status_code == 201
    assert create(fleet, "first", host="h2", ssh=True).status_code == 201

    moved = create(fleet, "second", placement="most_free_cpu", ssh=True)
    nowhere = create(fleet, "third", placement="most_free_cpu", ssh=True)
    named = create(fleet, "fourth", host="h2", ssh=True)

    vm = moved.json()["data"]
    operation = fleet.http.get(f"/api/operations/{vm['operation']}?wait=30").json()
    assert (moved.status_code, vm["host"], vm["id"]) == (201, "h1", f"vm-{vm['operation']}")
    assert (operation["state"], operation["host"]) == ("done", "h1")
    assert "on h1, of 1 able; refused by h2: ports (1 > 0)" in operation["placement"]
    assert nowhere.status_code == named.status_code == 400
    lacks = nowhere.json()["error"]["details"]["lacks"]
    assert lacks == {host: [{"what": "ports", "wanted": 1, "free": 0}] for host in HOSTS}
    assert named.json()["error"]["details"]["host"] == "h2"


def has_the_image(fleet: Fleet) -> bool:
    """Tell whether both hosts have said that they have the image `busybox`."""
    listed = fleet.http.get("/api/v1/templates").json()["data"]["templates"]
    return any((one["id"], one["hosts"]) == ("busybox", HOSTS) for one in listed)


def create(fleet: Fleet, name: str, host: str | None = None, **wanted: object) -> httpx.Response:
    """Ask for a small VM that is deleted after the module."""
    small = {"template": "busybox", "cpu": 1, "memory": 64, "disk": 1, "host": host}
    named = {"name": fleet.on[host or "h1"].name(name)} | small
    return fleet.http.post("/api/v1/vms", json=named | wanted)


def test_the_live_stream_shows_both_hosts_at_once(fleet: Fleet) -> None:
    names = {fleet.on[host].launch("live") for host in HOSTS}
    assert all(becomes(fleet, name, "Running", within_s=5) for name in names)

    with connect(f"{fleet.ws_url}/ws/monitor") as stream:
        first = json.loads(stream.recv(timeout=1))

    assert first["type"] == "update"
    assert names <= {instance["name"] for instance in first["data"]["instances"]}


def test_the_live_stream_speaks_at_once_and_then_every_five_seconds(fleet: Fleet) -> None:
    name = fleet.on["h1"].name("watched")
    fleet.on["h1"].launch("watched", description=f"{name} 20001 password123 30000 30025")
    wait_until(lambda: has_address(fleet, name), within_s=10)

    with connect(f"{fleet.ws_url}/ws/monitor") as stream:
        first, first_at = json.loads(stream.recv(timeout=3)), time.monotonic()
        second, second_at = json.loads(stream.recv(timeout=10)), time.monotonic()

    assert second_at - first_at > 4
    [example] = code_blocks(INSTANCES_API, language="json", heading=STREAM)
    for update in (first, second):
        assert shape(of_one_instance(update, name, example.json())) == shape(example.json())


def test_a_worker_that_was_killed_is_missed_at_once_and_back_by_itself(fleet: Fleet) -> None:
    name = fleet.on["h2"].launch("missed")
    assert becomes(fleet, name, "Running", within_s=5)

    fleet.processes["worker-h2"].kill()
    refused = fleet.http.post(f"/api/instances/{name}/stop")
    fleet.processes["worker-h2"].start()

    assert refused.status_code == 503
    wait_until(lambda: stops(fleet, name), within_s=10)
    assert fleet.on["h2"].status(name) == "Stopped"


def test_an_absent_host_keeps_its_instances_and_slows_nobody(fleet: Fleet) -> None:
    name = fleet.on["h2"].launch("kept")
    assert becomes(fleet, name, "Running", within_s=5)

    fleet.processes["worker-h2"].kill()

    wait_until(lambda: not listed(fleet, name)["host_online"], within_s=15)
    answer = fleet.http.get("/api/instances")
    assert answer.elapsed.total_seconds() < 2

    fleet.processes["worker-h2"].start()

    wait_until(lambda: listed(fleet, name)["host_online"], within_s=15)


def test_a_gateway_that_was_killed_knows_its_hosts_again(fleet: Fleet) -> None:
    name = fleet.on["h1"].launch("known")
    assert becomes(fleet, name, "Running", within_s=5)

    fleet.processes["gateway"].restart()

    fleet.wait_until_ready()
    assert becomes(fleet, name, "Running", within_s=5)
