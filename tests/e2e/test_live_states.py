"""What is shown of instances that are paused, ephemeral, or have interfaces of their own making."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.sync.client import connect

from tests.support.broker import Broker
from tests.support.fleet import Fleet, fleet_of_one
from tests.support.polling import wait_until

VMS = "/api/v1/vms"
PATIENCE_S = 20.0
# Several rounds of the sampler, which takes a sample each second here.
ROUNDS = 4
DOCKER0 = """
ip link add name docker0 type bridge
ip addr add 172.17.0.1/16 dev docker0
ip link set docker0 up
"""
# As a virtual machine's guest would call the NIC that LXD calls `eth0`.
RENAMED = """
ip link set eth0 down
ip link set eth0 name enp5s0
ip link set enp5s0 up
"""
ONLY_IPV6 = """
ip -4 addr flush dev enp5s0
ip -6 addr add fd42:5::7/64 dev enp5s0
"""


@pytest.fixture(scope="module")
def fleet(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet_of_one(
        broker, tmp_path_factory.mktemp("fleet"), FLEET_SAMPLE_INTERVAL_S="1"
    ) as running:
        yield running


@pytest.fixture
def name(fleet: Fleet) -> Iterator[str]:
    """A container that runs, has an address and was measured."""
    name = fleet.on["h1"].launch()
    wait_until(lambda: is_measured(fleet, name), within_s=PATIENCE_S)
    yield name
    fleet.on["h1"].delete_all()


def is_measured(fleet: Fleet, name: str) -> bool:
    answer = fleet.http.get(f"/api/instances/{name}")
    return answer.is_success and bool(
        answer.json()["info"]["ipv4"] and answer.json()["resources"]["network_rx"] is not None
    )


def detail(fleet: Fleet, name: str) -> dict[str, Any]:
    return dict(fleet.http.get(f"/api/instances/{name}").raise_for_status().json())


def vm(fleet: Fleet, name: str) -> dict[str, Any]:
    return dict(fleet.http.get(f"{VMS}/{name}").raise_for_status().json()["data"])


def listed(fleet: Fleet) -> set[str]:
    of_v1 = fleet.http.get(VMS, params={"limit": 1000}).json()["data"]["vms"]
    of_instances = fleet.http.get("/api/instances").json()
    return {one["instance"] for one in of_v1} | {one["name"] for one in of_instances}


def inside(fleet: Fleet, name: str, script: str) -> None:
    """Run a script as root of the container, and have LXD asked for what it is like then."""
    lxd = fleet.on["h1"].lxd
    body = {"command": ["sh", "-ec", script], "wait-for-websocket": False}
    ended = lxd.call("POST", f"/1.0/instances/{name}/exec", body)
    assert ended["return"] == 0
    lxd.call("PATCH", f"/1.0/instances/{name}", {"config": {"user.seen": script[-20:]}})


def becomes(fleet: Fleet, name: str, wanted: list[str]) -> bool:
    return wait_until(lambda: detail(fleet, name)["addresses"] == wanted, within_s=PATIENCE_S)


def test_a_paused_instance_keeps_its_address_its_values_and_its_series(
    fleet: Fleet, name: str
) -> None:
    inside(fleet, name, "dd if=/dev/zero of=/root/cached bs=1M count=8")
    before = detail(fleet, name)

    assert fleet.http.post(f"/api/instances/{name}/pause").is_success
    paused = detail(fleet, name)
    sampled = {detail(fleet, name)["resources"]["sampled_at_utc"]}
    wait_until(
        lambda: (
            sampled.add(detail(fleet, name)["resources"]["sampled_at_utc"])
            or len(sampled) >= ROUNDS
        ),
        within_s=PATIENCE_S,
    )
    later, of_v1 = detail(fleet, name), vm(fleet, name)
    with connect(f"{fleet.ws_url}/ws/monitor") as monitor:
        instances = json.loads(monitor.recv(timeout=10))["data"]["instances"]
    series = fleet.http.get("/metrics").text
    metrics = fleet.http.get(f"{VMS}/{name}/metrics").json()["data"]

    assert len(sampled) >= ROUNDS
    for shown in (paused, later):
        assert shown["info"]["status"] == "Frozen"
        assert shown["info"]["ipv4"] == before["info"]["ipv4"]
        assert shown["resources"]["memory_used"] > 0
        assert "network_rx" not in shown["resources"]["unknown"]
    assert (of_v1["status"], of_v1["ip"]) == ("paused", before["info"]["ipv4"])
    assert metrics["memory"]["used"] > 0
    assert metrics["network"]["rx"] > 0
    [live] = [one for one in instances if one["name"] == name]
    assert live["ipv4"] == before["info"]["ipv4"]
    assert live["resources"]["memory_used"] > 0
    assert f'name="{name}"' in series
    assert fleet.http.post(f"/api/instances/{name}/resume").is_success
    assert detail(fleet, name)["info"]["ipv4"] == before["info"]["ipv4"]


def test_the_address_is_that_of_the_nic_whatever_it_is_called_and_whatever_is_beside_it(
    fleet: Fleet, name: str
) -> None:
    ipv4 = detail(fleet, name)["info"]["ipv4"]

    inside(fleet, name, DOCKER0 + RENAMED)
    assert becomes(fleet, name, [ipv4])
    renamed, of_v1 = detail(fleet, name), vm(fleet, name)
    inside(fleet, name, ONLY_IPV6)
    assert becomes(fleet, name, ["fd42:5::7"])
    only_ipv6, of_v1_too = detail(fleet, name), vm(fleet, name)
    inside(fleet, name, "ip -6 addr flush dev enp5s0")
    assert becomes(fleet, name, ["172.17.0.1"])
    others = detail(fleet, name)

    assert (renamed["info"]["ipv4"], of_v1["ip"]) == (ipv4, ipv4)
    assert (only_ipv6["info"]["ipv4"], only_ipv6["info"]["ipv6"]) == (None, "fd42:5::7")
    assert (of_v1_too["ip"], of_v1_too["ipv6"]) == ("fd42:5::7", "fd42:5::7")
    assert (others["info"]["ipv4"], vm(fleet, name)["ip"]) == (None, "")


def test_an_ephemeral_instance_is_gone_when_it_was_stopped(fleet: Fleet) -> None:
    on = fleet.on["h1"]
    names = [on.launch(each, ephemeral=True) for each in ("a", "b")]
    wait_until(lambda: set(names) <= listed(fleet), within_s=PATIENCE_S)
    shown, of_v1 = detail(fleet, names[0]), vm(fleet, names[1])
    assert fleet.http.post(f"/api/instances/{names[0]}/restart?force=true").is_success

    english = {"Accept-Language": "en"}
    stopped = fleet.http.post(f"/api/instances/{names[0]}/stop", headers=english)
    left_a = listed(fleet)
    forced = fleet.http.post(f"{VMS}/{of_v1['id']}/stop", json={"force": True})
    left_b = listed(fleet)

    assert (shown["info"]["ephemeral"], of_v1["ephemeral"]) == (True, True)
    message = f"Instance {names[0]} is ephemeral: it stopped and was deleted"
    assert stopped.json() == {"success": True, "message": message, "data": None}
    operation = fleet.http.get(stopped.headers["location"]).json()
    assert (operation["state"], operation["changed"], operation["gone"]) == ("done", True, True)
    assert (forced.status_code, forced.json()["data"]["status"]) == (200, "deleted")
    assert names[0] not in left_a
    assert names[1] not in left_b
    assert fleet.http.get(f"/api/instances/{names[0]}").status_code == 404
