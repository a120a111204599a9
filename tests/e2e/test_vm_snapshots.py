"""What people and policies do with snapshots of VMs on a real LXD, through the API alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.broker import Broker
from tests.support.fleet import Fleet, fleet_of_one
from tests.support.polling import wait_until

VMS, POLICIES = "/api/v1/vms", "/api/v1/policies"


@pytest.fixture(scope="module")
def fleet(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet_of_one(broker, tmp_path_factory.mktemp("fleet")) as running:
        yield running


@pytest.fixture
def vm(fleet: Fleet) -> Iterator[str]:
    """The id of a VM that is stopped and has a snapshot `s1`."""
    name = fleet.on["h1"].create()
    wait_until(lambda: fleet.http.get(f"{VMS}/{name}").is_success, within_s=10)
    vm_id = str(data(fleet, "GET", f"{VMS}/{name}")["id"])
    data(fleet, "POST", f"{VMS}/{vm_id}/snapshots", json={"name": "s1"})
    yield vm_id
    fleet.on["h1"].delete_all()


def data(fleet: Fleet, method: str, path: str, **more: Any) -> dict[str, Any]:
    answer = fleet.http.request(method, path, **more)
    assert answer.is_success, answer.text
    return dict(answer.json()["data"])


def snapshots(fleet: Fleet, vm: str) -> dict[str, dict[str, Any]]:
    listed = data(fleet, "GET", f"{VMS}/{vm}/snapshots")["snapshots"]
    return {each["id"]: each for each in listed}


def test_marks_of_a_snapshot_are_kept(fleet: Fleet, vm: str) -> None:
    marks = {"protected": True, "tags": ["release"]}

    data(fleet, "PUT", f"{VMS}/{vm}/snapshots/s1/marks", json=marks)
    missing = fleet.http.put(f"{VMS}/{vm}/snapshots/nix/marks", json=marks)

    assert {key: snapshots(fleet, vm)["s1"][key] for key in marks} == marks
    assert missing.status_code == 404


def test_a_restore_takes_a_snapshot_of_what_is_there_first(fleet: Fleet, vm: str) -> None:
    restored = data(
        fleet, "POST", f"{VMS}/{vm}/snapshots/s1/restore", json={"safetySnapshot": True}
    )
    named = data(fleet, "POST", f"{VMS}/{vm}/snapshots/s1/restore", json={"safetySnapshot": "mine"})

    assert named["safetySnapshot"] == "mine"
    assert snapshots(fleet, vm).keys() == {"s1", restored["safetySnapshot"], "mine"}


def test_a_vm_made_of_a_snapshot_is_another_one(fleet: Fleet, vm: str) -> None:
    made = data(fleet, "POST", f"{VMS}/{vm}/snapshots/s1/clone", json={"name": f"copy-{vm[-6:]}"})
    try:
        done = fleet.http.get(f"/api/operations/{made['operation']}?wait=30").json()
        assert (done["state"], made["host"]) == ("done", "h1"), done
        copy = data(fleet, "GET", f"{VMS}/{made['id']}")
        assert (copy["id"], copy["status"]) == (made["id"], "stopped")
        assert made["id"] != vm
        assert snapshots(fleet, vm).keys() == {"s1"}
    finally:
        data(fleet, "DELETE", f"{VMS}/{made['id']}?force=true")


def test_a_policy_that_is_run_protects_its_vm(fleet: Fleet, vm: str) -> None:
    name = data(fleet, "GET", f"{VMS}/{vm}")["instance"]
    wait_until(
        lambda: fleet.http.get(POLICIES).is_success,
        within_s=20,
        seen=lambda: fleet.http.get(POLICIES).text,
    )
    body = {
        "name": "often",
        "schedule": {"cron": "0 0 1 1 *"},
        "selection": {"names": [name]},
        "retention": {"keepLast": 2},
    }
    policy = data(fleet, "POST", POLICIES, json=body)

    def has_plan() -> bool:
        plans = data(fleet, "GET", f"{POLICIES}/plans")["plans"]
        return any(each["host"] == "h1" and each["current"] for each in plans)

    wait_until(has_plan, within_s=30, seen=lambda: data(fleet, "GET", f"{POLICIES}/plans"))
    begun = data(fleet, "POST", f"{POLICIES}/{policy['id']}/run")

    def state() -> str:
        entries = data(fleet, "GET", "/api/v1/protection?limit=100")["instances"]
        return str(next(each["state"] for each in entries if each["id"] == vm))

    def runs() -> list[dict[str, Any]]:
        return list(data(fleet, "GET", f"{POLICIES}/{policy['id']}/runs")["runs"])

    wait_until(lambda: state() == "protected", within_s=30, seen=state)
    wait_until(lambda: [each["state"] for each in runs()] == ["taken"], within_s=30, seen=runs)
    assert [host["state"] for host in begun["hosts"]] == ["answered"]
    assert begun["started"] == 1
    [run] = runs()
    assert snapshots(fleet, vm)[run["snapshot"]]["policy"] == "often"
    simulated = data(fleet, "GET", f"{POLICIES}/{policy['id']}/simulate?days=800&vm={vm}")
    [shown] = simulated["hosts"][0]["vms"]
    assert [event["action"] for event in shown["events"]][:1] == ["take"]
    assert {each["snapshot"]: each["owned"] for each in shown["snapshots"]}["s1"] is False
    series = f'lxdfleet_snapshot_age_seconds{{host="h1",project="default",name="{name}"}}'
    wait_until(lambda: series in fleet.http.get("/metrics/gateway").text, within_s=20)
    data(fleet, "DELETE", f"{POLICIES}/{policy['id']}")
