"""An entry that cannot be rendered is shown with what is known of it; all others are whole."""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from typing import Any

import pytest

from services.gateway.fleet.encoded_samples import encoded_instance
from services.gateway.vms.snapshots import DescribedSnapshot
from shared.contracts.instances import Instance
from shared.contracts.operations import State
from shared.contracts.worker_api import Snapshot
from tests.support.builders import (
    a_documented_instance,
    a_host_sample,
    an_instance_sample,
    an_operation,
)
from tests.support.gateway_http import FakeGateway
from tests.support.readers import Reading, read_everything
from tests.support.views import a_host_view, a_view, view_of

pytestmark = pytest.mark.attack

# Text to Python, but nothing that UTF-8 can carry: no contract lets it in.
HALF = "\ud800"
DETAILS = (
    "/api/instances/odd",
    "/api/instances/odd/resources",
    "/api/v1/vms/vm-uuid-odd",
    "/api/v1/vms/vm-uuid-odd/status",
    "/api/v1/vms/vm-uuid-odd/metrics",
)


def fleet_with(odd: Instance, **of_host: Any) -> FakeGateway:
    gateway = FakeGateway(monotonic=time.monotonic)
    gateway.fleet.known_hosts = [a_host_view("h1", **of_host), a_host_view("h2")]
    gateway.fleet.known_instances = [
        view_of(odd, host="h1"),
        a_view("other", host="h2"),
    ]
    return gateway


@pytest.mark.parametrize(
    "broken",
    [{"description": HALF}, {"architecture": HALF}, {"created_at": 7}],
    ids=["description", "architecture", "created_at"],
)
async def test_one_instance_costs_no_other_its_place(broken: dict[str, Any]) -> None:
    gateway = fleet_with(a_documented_instance("odd", **broken))

    searches = ("/api/instances?search=o", "/api/v1/vms?search=o")
    read = await read_everything(gateway, (*DETAILS, *searches))

    assert read.failed == []
    _check_instances_api(read)
    _check_vm_api(read)
    entries = read.streams["instances"]["entries"]
    assert entries["h1/default/odd"]["info"]["error"] == "not_renderable"
    assert "error" not in entries["h2/default/other"]["info"]
    assert 'name="other"' in read.metrics


def _check_instances_api(read: Reading) -> None:
    odd, other = read.answers["/api/instances"].json()
    assert {**odd, "error": None} == {
        "name": "odd",
        "status": "Running",
        "ipv4": None,
        "ipv6": None,
        "architecture": "",
        "created_at": odd["created_at"],
        "description": "",
        "created_at_utc": None,
        "host": "h1",
        "host_online": True,
        "age_s": 0,
        "stale": False,
        "project": "default",
        "type": "container",
        "duplicate": False,
        "ephemeral": False,
        "error": None,
    }
    assert odd["error"] == "not_renderable"
    assert (other["name"], other["ipv4"], "error" in other) == ("other", "10.0.0.100", False)
    assert read.answers["/api/instances/odd"].json()["info"] == odd
    assert [entry["name"] for entry in read.monitor["data"]["instances"]] == ["odd", "other"]
    assert read.monitor["data"]["host"]["hosts"] == 2
    found = read.answers["/api/instances?search=o"].json()
    assert [entry["name"] for entry in found] == ["odd", "other"]


def _check_vm_api(read: Reading) -> None:
    odd, other = read.answers["/api/v1/vms"].json()["data"]["vms"]
    assert (odd["id"], odd["host"], odd["status"]) == ("vm-uuid-odd", "h1", "running")
    assert (odd["error"], odd["cpu"], "cpu" in odd["unknown"]) == ("not_renderable", 0, True)
    assert (other["id"], other["error"], other["cpu"]) == ("vm-uuid-other", None, 4)
    assert read.answers["/api/v1/vms/vm-uuid-odd"].json()["data"] == odd
    assert len(read.answers["/api/v1/vms?search=o"].json()["data"]["vms"]) == 2


async def test_one_instance_whose_ports_nobody_can_read_does_not_stop_the_monitor() -> None:
    gateway = fleet_with(a_documented_instance("odd", user={"nat_ports": None}))

    read = await read_everything(gateway, DETAILS)

    assert read.failed == []
    odd, other = read.monitor["data"]["instances"]
    assert (odd["name"], odd["status"], odd["error"]) == ("odd", "Running", "not_renderable")
    assert {*odd["resources"]["unknown"]} == odd["resources"].keys() - {"unknown", "sampled_at_utc"}
    assert (other["ipv4"], "error" in other) == ("10.0.0.100", False)
    assert read.answers["/api/instances/odd"].json()["info"]["error"] == "not_renderable"


async def test_one_host_costs_no_other_its_place() -> None:
    sample = a_host_sample()
    bad = a_host_view("h1", sample=a_host_sample(cpu_cores=None), server_name=HALF)
    gateway = fleet_with(a_documented_instance("odd"), sample=bad.sample, server_name=HALF)

    read = await read_everything(gateway, ("/api/hosts/h1", "/api/hosts/h2"))

    assert read.failed == []
    odd, other = read.answers["/api/hosts"].json()
    assert (odd["host"], odd["error"], odd["online"], odd["server_name"]) == (
        "h1",
        "not_renderable",
        True,
        "",
    )
    assert (other["host"], "error" in other, other["resources"]["cpu_cores"]) == ("h2", False, 4)
    assert read.answers["/api/host/info"].json()["cpu_cores"] == sample.host.cpu_cores
    assert read.monitor["data"]["host"]["hosts"] == 1
    assert read.streams["hosts"]["entries"]["h1"]["error"] == "not_renderable"
    assert "error" not in read.streams["hosts"]["entries"]["h2"]
    assert 'lxdfleet_host_online{host="h2"} 1.0' in read.metrics


async def test_one_operation_costs_no_other_its_place() -> None:
    gateway = fleet_with(a_documented_instance("odd"))
    gateway.operations.record(an_operation("op-1", step=HALF))
    gateway.operations.record(an_operation("op-2", state=State.DONE))

    read = await read_everything(gateway, ("/api/operations/op-1",))

    assert read.failed == []
    listed = {entry["id"]: entry for entry in read.answers["/api/operations"].json()}
    assert (listed["op-1"]["error"], listed["op-1"]["state"]) == ("not_renderable", "running")
    assert "error" not in listed["op-2"]
    streamed = read.streams["operations"]["entries"]
    assert streamed["op-1"] == listed["op-1"] == read.answers["/api/operations/op-1"].json()


async def test_one_snapshot_costs_no_other_its_place() -> None:
    gateway = fleet_with(a_documented_instance("odd"))
    taken = [Snapshot(name=name, created_at="2026-01-20T10:00:00Z") for name in (HALF, "good")]
    gateway.snapshots.of["uuid-odd"] = [DescribedSnapshot(each, "") for each in taken]

    read = await read_everything(gateway, ("/api/v1/vms/vm-uuid-odd/snapshots",))

    bad, good = read.answers["/api/v1/vms/vm-uuid-odd/snapshots"].json()["data"]["snapshots"]
    assert (bad["id"], bad["error"]) == ("\ufffd", "not_renderable")
    assert (good["id"], "error" in good) == ("good", False)


async def test_one_sample_costs_no_other_its_series() -> None:
    gateway = fleet_with(a_documented_instance("odd"))
    bad = an_instance_sample("odd", memory_used="much", memory_total=1)
    gateway.fleet.known_instances[0] = replace(
        gateway.fleet.known_instances[0], encoded_sample=encoded_instance(bad)
    )

    read = await read_everything(gateway)

    assert 'lxd_memory_MemFree_bytes{host="h2",name="other"' in read.metrics
    assert 'name="odd"' not in read.metrics


async def test_a_bad_entry_is_logged_and_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    gateway = fleet_with(a_documented_instance("odd", description=HALF))

    async with gateway.client() as client:
        for _ in range(3):
            await client.get("/api/instances")
            await client.get("/api/v1/vms")
        metrics = (await client.get("/metrics/gateway")).text

    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [(vars(each)["host"], vars(each)["entry"]) for each in errors] == [("h1", "default/odd")]
    assert 'lxdfleet_entries_not_rendered_total{kind="instance"} 1.0' in metrics


async def test_the_error_of_a_bad_entry_can_be_asked_for() -> None:
    gateway = fleet_with(a_documented_instance("odd", description=HALF))

    async with gateway.client() as client:
        listed = (await client.get("/api/instances?fields=name,error")).json()

    assert listed == [{"name": "odd", "error": "not_renderable"}, {"name": "other"}]
