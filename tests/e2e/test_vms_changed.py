"""The life of VMs on a real LXD, through the VM API v1 alone."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.support.broker import Broker
from tests.support.fleet import Fleet, fleet_of_one
from tests.support.polling import wait_until

VMS = "/api/v1/vms"
MIB = 2**20


@pytest.fixture(scope="module")
def fleet(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet_of_one(broker, tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.fixture
def running(fleet: Fleet) -> Iterator[str]:
    """The id of a VM that runs."""
    name = fleet.on["h1"].launch()
    yield shown(fleet, name, "running")["id"]
    fleet.on["h1"].delete_all()


@pytest.fixture
def stopped(fleet: Fleet) -> Iterator[str]:
    """The id of a VM that is stopped."""
    name = fleet.on["h1"].create()
    yield shown(fleet, name, "stopped")["id"]
    fleet.on["h1"].delete_all()


def shown(fleet: Fleet, vm_id: str, status: str) -> dict[str, Any]:
    """Return the VM when it is shown to be in a state that somebody else brought it to."""
    wait_until(lambda: state(fleet, vm_id) == status, within_s=10)
    return one(fleet, vm_id)


def now() -> str:
    """Return the time as a VM's times are written, in whole seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def state(fleet: Fleet, vm_id: str) -> str | None:
    answer = fleet.http.get(f"{VMS}/{vm_id}/status")
    return str(answer.json()["data"]["status"]) if answer.is_success else None


def one(fleet: Fleet, vm_id: str) -> dict[str, Any]:
    return dict(fleet.http.get(f"{VMS}/{vm_id}").raise_for_status().json()["data"])


def act(fleet: Fleet, vm_id: str, action: str, **body: object) -> tuple[int, str]:
    """Return the HTTP status, and the state that the VM is in or the name of the error."""
    return told(fleet.http.post(f"{VMS}/{vm_id}/{action}", json=body))


def told(answer: httpx.Response) -> tuple[int, str]:
    body = answer.json()
    return answer.status_code, body["data"]["status"] if body["success"] else body["error"]["code"]


def lxds(fleet: Fleet, vm_id: str) -> dict[str, Any]:
    """Return what LXD itself says of the VM."""
    name = one(fleet, vm_id)["instance"]
    return dict(fleet.on["h1"].lxd.call("GET", f"/1.0/instances/{name}"))


def test_a_vm_moves_through_its_life_and_every_answer_says_where_it_is(
    fleet: Fleet, stopped: str
) -> None:
    steps = [
        (act(fleet, stopped, "stop"), (400, "VM_ALREADY_STOPPED")),
        (act(fleet, stopped, "restart"), (400, "VM_ALREADY_STOPPED")),
        (act(fleet, stopped, "pause"), (400, "VM_ALREADY_STOPPED")),
        (act(fleet, stopped, "start"), (200, "running")),
        (act(fleet, stopped, "start"), (400, "VM_ALREADY_RUNNING")),
        (act(fleet, stopped, "resume"), (400, "VM_ALREADY_RUNNING")),
        (act(fleet, stopped, "pause"), (200, "paused")),
        (act(fleet, stopped, "start"), (400, "VM_ALREADY_RUNNING")),
        (act(fleet, stopped, "resume"), (200, "running")),
        (act(fleet, stopped, "restart", force=True), (200, "running")),
        (told(fleet.http.delete(f"{VMS}/{stopped}")), (400, "VM_ALREADY_RUNNING")),
        (act(fleet, stopped, "stop", force=True), (200, "stopped")),
        (told(fleet.http.delete(f"{VMS}/{stopped}")), (200, "deleted")),
        (told(fleet.http.get(f"{VMS}/{stopped}")), (404, "VM_NOT_FOUND")),
    ]

    assert [got for got, _ in steps] == [expected for _, expected in steps]


def test_a_change_is_lxds_and_shown_at_once(fleet: Fleet, running: str) -> None:
    before = one(fleet, running)
    wait_until(lambda: now() > before["createdAt"], within_s=5)
    wanted = {"cpu": 1, "memory": 128, "description": "网站", "labels": {"env": "prod"}}

    answer = fleet.http.put(f"{VMS}/{running}", json={**before, **wanted, "autoStart": True})

    assert answer.status_code == 200, answer.text
    after = one(fleet, running)
    assert {field: after[field] for field in wanted} == wanted
    assert after["updatedAt"] > after["createdAt"]
    config = lxds(fleet, running)["config"]
    assert (config["limits.cpu"], config["limits.memory"]) == ("1", str(128 * MIB))
    assert (config["boot.autostart"], config["user.lxdfleet.label.env"]) == ("true", "prod")


def test_a_change_of_what_has_changed_since_is_refused(fleet: Fleet, stopped: str) -> None:
    tag = fleet.http.get(f"{VMS}/{stopped}").headers["etag"]
    guarded = {"If-Match": tag}

    first = fleet.http.put(f"{VMS}/{stopped}", json={"memory": 100}, headers=guarded)
    second = fleet.http.put(f"{VMS}/{stopped}", json={"memory": 200}, headers=guarded)

    assert first.status_code == 200, first.text
    assert told(second) == (412, "PRECONDITION_FAILED")
    assert one(fleet, stopped)["memory"] == 100


def test_a_vm_is_renamed_and_keeps_its_id(fleet: Fleet, stopped: str) -> None:
    answer = fleet.http.post(f"{VMS}/{stopped}/rename", json={"name": "网站 Web Server"})

    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["id"] == stopped
    after = one(fleet, stopped)
    assert (after["name"], after["instance"]) == ("网站 Web Server", "web-server")
    assert one(fleet, "h1:web-server")["id"] == stopped
    assert lxds(fleet, stopped)["config"]["user.lxdfleet.name"] == "网站 Web Server"
    assert told(fleet.http.delete(f"{VMS}/{stopped}")) == (200, "deleted")


def test_a_running_one_gets_another_name_to_show_only(fleet: Fleet, running: str) -> None:
    name = one(fleet, running)["instance"]

    assert act(fleet, running, "rename", name=name.upper()) == (200, "running")
    assert act(fleet, running, "rename", name="other") == (400, "VM_ALREADY_RUNNING")
    assert (one(fleet, running)["name"], one(fleet, running)["instance"]) == (name.upper(), name)


def snapshots(fleet: Fleet, vm_id: str) -> list[dict[str, Any]]:
    answer = fleet.http.get(f"{VMS}/{vm_id}/snapshots").raise_for_status()
    return list(answer.json()["data"]["snapshots"])


def test_a_snapshot_brings_the_vm_back_and_keeps_its_description(
    fleet: Fleet, stopped: str
) -> None:
    wanted = {"name": "backup-2024-01-01", "description": "系统更新前的备份"}
    made = fleet.http.post(f"{VMS}/{stopped}/snapshots", json=wanted)
    again = fleet.http.post(f"{VMS}/{stopped}/snapshots", json=wanted)
    fleet.http.put(f"{VMS}/{stopped}", json={"memory": 100}).raise_for_status()

    restored = fleet.http.post(f"{VMS}/{stopped}/snapshots/backup-2024-01-01/restore")

    assert (told(made), told(restored)) == ((200, "stopped"), (200, "stopped"))
    assert told(again) == (409, "SNAPSHOT_ALREADY_EXISTS")
    assert "limits.memory" not in lxds(fleet, stopped)["config"]
    (listed,) = snapshots(fleet, stopped)
    assert (listed["id"], listed["description"]) == tuple(wanted.values())


def test_a_deleted_snapshot_is_gone(fleet: Fleet, stopped: str) -> None:
    fleet.http.post(f"{VMS}/{stopped}/snapshots", json={"name": "s1"}).raise_for_status()

    deleted = fleet.http.delete(f"{VMS}/{stopped}/snapshots/s1")
    again = fleet.http.delete(f"{VMS}/{stopped}/snapshots/s1")

    assert told(deleted) == (200, "stopped")
    assert told(again) == (404, "SNAPSHOT_NOT_FOUND")
    assert snapshots(fleet, stopped) == []


def test_a_gateway_that_was_killed_tells_of_changes_and_snapshots_as_before(
    fleet: Fleet, stopped: str
) -> None:
    said = {"name": "s1", "description": "before"}
    fleet.http.post(f"{VMS}/{stopped}/snapshots", json=said).raise_for_status()

    fleet.processes["gateway"].restart()
    fleet.wait_until_ready()

    (listed,) = snapshots(fleet, stopped)
    assert listed["description"] == "before"


def test_what_a_running_vm_uses_is_told(fleet: Fleet, running: str) -> None:
    def measured() -> dict[str, Any]:
        answer = fleet.http.get(f"{VMS}/{running}/metrics").raise_for_status()
        return dict(answer.json()["data"])

    wait_until(lambda: measured()["cpu"]["history"], within_s=20)
    assert measured()["memory"]["used"] > 0


def test_limits_are_set_on_a_running_vm_shown_and_taken_away(fleet: Fleet, running: str) -> None:
    limits = {
        "network": {"ingressMbit": 1.5, "egressMbit": None},
        "disk": {"readMbyte": 30, "writeMbyte": 10},
        "processes": 100,
    }

    answer = fleet.http.put(f"{VMS}/{running}", json={"limits": limits})

    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["needsRestart"] == []
    assert one(fleet, running)["limits"] == limits
    found = lxds(fleet, running)
    assert found["config"]["limits.processes"] == "100"
    assert found["devices"]["eth0"]["limits.ingress"] == "1500000"
    assert found["devices"]["root"]["limits.write"] == "10000000"

    freed = {"network": {"ingressMbit": 0}, "disk": {"readMbyte": None}, "processes": None}
    fleet.http.put(f"{VMS}/{running}", json={"limits": freed}).raise_for_status()

    assert one(fleet, running)["limits"] == {
        "network": {"ingressMbit": None, "egressMbit": None},
        "disk": {"readMbyte": None, "writeMbyte": 10},
        "processes": None,
    }


def test_roots_password_is_set_inside_shown_once_and_noted(fleet: Fleet, running: str) -> None:
    name = one(fleet, running)["instance"]
    lxd = fleet.on["h1"].lxd
    patch = {"config": {"user.description": f"{name} 20144 old 30100 30125"}}
    lxd.call("PATCH", f"/1.0/instances/{name}", patch)
    assert told(fleet.http.post(f"{VMS}/{running}/password")) == (409, "PASSWORD_NOT_SET")
    script = "mkdir -p /usr/sbin; printf '#!/bin/sh\\ncat >/root/given\\n' >/usr/sbin/chpasswd"
    command = ["/bin/sh", "-c", f"{script}; chmod 755 /usr/sbin/chpasswd"]
    lxd.call("POST", f"/1.0/instances/{name}/exec", {"command": command})

    answer = fleet.http.post(f"{VMS}/{running}/password")

    assert told(answer) == (200, "running"), answer.text
    password = answer.json()["data"]["password"]
    assert len(password) == 20
    check = ["/bin/sh", "-c", f"test \"$(cat /root/given)\" = 'root:{password}'"]
    checked = lxd.call("POST", f"/1.0/instances/{name}/exec", {"command": check})
    assert checked["return"] == 0
    detail = fleet.http.get(f"/api/instances/{name}").json()
    assert detail["root_password"] == password
    assert (detail["ssh_port"], detail["nat_ports"]) == (20144, "30100-30125")
    operation = fleet.http.get(answer.headers["Location"]).json()
    assert (operation["kind"], operation["state"]) == ("password", "done")
    assert password not in str(operation["failure"])


def test_a_stopped_vm_takes_no_password(fleet: Fleet, stopped: str) -> None:
    answer = fleet.http.post(f"{VMS}/{stopped}/password", json={"password": "n3w-Passw0rd"})

    assert told(answer) == (400, "VM_ALREADY_STOPPED")


def rebuilt(fleet: Fleet, vm_id: str, path: str = "", **body: object) -> dict[str, Any]:
    answer = fleet.http.post(f"{VMS}/{vm_id}/rebuild{path}", json=body or None, timeout=90)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


def test_a_rebuilt_vm_is_the_same_to_its_owner_and_can_be_what_it_was(
    fleet: Fleet, running: str
) -> None:
    before, wait = one(fleet, running), fleet.http
    wait.post(f"{VMS}/{running}/snapshots", json={"name": "s1"}).raise_for_status()
    misses: list[int] = []
    over = threading.Event()

    def look() -> None:
        with httpx.Client(base_url=fleet.url) as client:
            while not over.wait(0.01):
                answer = client.get(f"{VMS}/{running}")
                if not answer.is_success:
                    misses.append(answer.status_code)

    looking = threading.Thread(target=look)
    looking.start()
    new = rebuilt(fleet, running, template="busybox")
    as_new = one(fleet, running)
    old = rebuilt(fleet, running, "/revert")
    over.set()
    looking.join()

    same = ("id", "name", "instance", "cpu", "memory", "disk", "labels", "description", "autoStart")
    assert {field: as_new[field] for field in same} == {field: before[field] for field in same}
    assert (new["status"], old["status"]) == ("running", "running")
    assert new["trash"] == as_new["trash"]
    assert old["trash"]["instance"] != new["trash"]["instance"]
    assert misses == []
    listed = fleet.http.get(VMS).json()["data"]["vms"]
    assert [vm["id"] for vm in listed if vm["instance"] == before["instance"]] == [running]
    assert not [vm for vm in listed if vm["instance"].startswith(("new-", "trash-"))]
    snapshots = fleet.http.get(f"{VMS}/{running}/snapshots").json()["data"]["snapshots"]
    assert [each["id"] for each in snapshots] == ["s1"]


def test_what_was_never_rebuilt_has_nothing_to_go_back_to(fleet: Fleet, stopped: str) -> None:
    assert act(fleet, stopped, "rebuild/revert") == (404, "TRASH_NOT_FOUND")
    assert act(fleet, stopped, "rebuild", template="nix") == (400, "VALIDATION_ERROR")
