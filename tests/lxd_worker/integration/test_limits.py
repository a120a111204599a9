"""Limits of real containers, as the kernel keeps them: traffic between two, measured."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.instance_config import Changes, Limits
from shared.contracts.operations import Kind, Operation, State
from tests.support.bus_side import BusSide, creation
from tests.support.lxd import Instances
from tests.support.polling import wait_until

from .conftest import carried_out, module_fixtures

pytestmark = pytest.mark.usefixtures("worker")

MBIT = 10**6
ALL = Limits(ingress=20 * MBIT, egress=10 * MBIT, read=3_000_000, write=2_000_000, processes=50)
PORT = 5001
# After the first burst, which a bucket lets through.
SETTLE_S = 1.5
MEASURE_S = 4.0
FLOOD = """
import socket, sys
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
while True:
    try:
        sender.sendto(bytes(1400), (sys.argv[1], 9))
    except OSError:
        pass
"""


overcommit = {f"FLEET_OVERCOMMIT_{what}": "1000" for what in ("CPU", "MEMORY", "DISK")}
vhost, worker = module_fixtures(**overcommit)


def described(instances: Instances, name: str) -> dict[str, Any]:
    return dict(instances.lxd.call("GET", f"/1.0/instances/{name}"))


def state(instances: Instances, name: str) -> dict[str, Any]:
    return dict(instances.lxd.call("GET", f"/1.0/instances/{name}/state"))


def ended(bus: BusSide, instances: Instances, name: str, limits: Limits) -> Operation:
    """Change the limits of an instance; return the operation at its end."""
    return carried_out(bus, instances, Kind.UPDATE, name, changes=Changes(limits=limits))


def limited(bus: BusSide, instances: Instances, name: str, limits: Limits) -> Limits:
    """Change the limits of an instance; return those that it has then."""
    operation = ended(bus, instances, name, limits)
    assert operation.state is State.DONE, operation.failure
    assert operation.after is not None
    return operation.after.limits


def run(instances: Instances, name: str, script: str) -> None:
    """Start a script in a container; it goes on by itself."""
    body = {"command": ["/bin/sh", "-c", f"({script}) >/dev/null 2>&1 </dev/null &"]}
    instances.lxd.call("POST", f"/1.0/instances/{name}/exec", body)


def address(instances: Instances, name: str) -> str:
    def found() -> list[str]:
        addresses = state(instances, name)["network"]["eth0"]["addresses"]
        return [str(each["address"]) for each in addresses if each["family"] == "inet"]

    return wait_until(found, within_s=20)[0]


def received(instances: Instances, name: str) -> int:
    """Return the bytes that have reached a container."""
    lines = Path(f"/proc/{state(instances, name)['pid']}/net/dev").read_text().splitlines()
    (counters,) = (line.split(":")[1] for line in lines if line.strip().startswith("eth0:"))
    return int(counters.split()[0])


def measured(instances: Instances, target: str) -> float:
    """Return how many bits a second reach a container, once a first burst is over."""
    time.sleep(SETTLE_S)
    began, before = time.monotonic(), received(instances, target)
    time.sleep(MEASURE_S)
    return (received(instances, target) - before) * 8 / (time.monotonic() - began)


def rate(instances: Instances, source: str, target: str) -> float:
    """Return how many bits a second get from one container to another over one connection."""
    # It ends with its input.
    run(instances, target, f"sleep 60 | nc -l -p {PORT}")
    run(instances, source, f"dd if=/dev/zero bs=64k | nc {address(instances, target)} {PORT}")
    try:
        return measured(instances, target)
    finally:
        for name in (source, target):
            run(instances, name, "killall nc dd sleep")


def seconds(instances: Instances, name: str, script: str) -> float:
    """Return how long a script takes in a container."""
    body = {"command": ["/bin/sh", "-c", script]}
    began = time.monotonic()
    assert instances.lxd.call("POST", f"/1.0/instances/{name}/exec", body)["return"] == 0
    return time.monotonic() - began


def flood(instances: Instances, source: str, target: str) -> float:
    """Return the same of packets that are sent whether they arrive or not."""
    inside = ["nsenter", "--net", "--target", str(state(instances, source)["pid"])]
    command = [*inside, sys.executable, "-c", FLOOD, address(instances, target)]
    with subprocess.Popen(command) as sender:
        try:
            return measured(instances, target)
        finally:
            sender.kill()


def ingress_of(bus: BusSide, instances: Instances, name: str, mbit: int) -> int | None:
    """Limit what gets to a container; return the limit that is shown then."""
    return limited(bus, instances, name, Limits(ingress=mbit * MBIT)).ingress


def test_traffic_between_two_containers_keeps_to_its_limits_in_both_directions(
    bus: BusSide, instances: Instances
) -> None:
    one, other = instances.launch("one"), instances.launch("other")

    shown = [ingress_of(bus, instances, one, 40), ingress_of(bus, instances, other, 20)]
    there, back = rate(instances, one, other), rate(instances, other, one)

    assert shown == [40 * MBIT, 20 * MBIT]
    assert there == pytest.approx(20 * MBIT, rel=0.1)
    assert back == pytest.approx(40 * MBIT, rel=0.1)

    freed = [ingress_of(bus, instances, name, 0) for name in (one, other)]

    assert freed == [None, None]
    assert min(rate(instances, one, other), rate(instances, other, one)) > 50 * MBIT


def test_what_a_container_sends_keeps_to_its_limit_or_the_kernel_says_that_it_cannot(
    bus: BusSide, instances: Instances
) -> None:
    one, other = instances.launch("one"), instances.launch("other")
    ingress_of(bus, instances, other, 20)
    received_20 = flood(instances, one, other)
    ingress_of(bus, instances, other, 0)

    operation = ended(bus, instances, one, Limits(egress=20 * MBIT))

    assert received_20 == pytest.approx(20 * MBIT, rel=0.1)
    if operation.state is State.FAILED:
        assert operation.failure is not None
        assert "Failed to load TC action module" in operation.failure.values[0]
        assert operation.after is not None
        assert operation.after.limits == Limits()
        pytest.skip("this kernel polices no traffic (CONFIG_NET_ACT_POLICE), so LXD refuses it")
    assert flood(instances, one, other) == pytest.approx(20 * MBIT, rel=0.1)


def test_a_disk_is_read_and_written_as_fast_as_it_may_be(
    bus: BusSide, instances: Instances
) -> None:
    name = instances.launch()
    limits = Limits(read=3_000_000, write=2_000_000)

    shown = limited(bus, instances, name, limits)
    written = seconds(instances, name, "dd if=/dev/zero of=/root/x bs=100k count=60 oflag=direct")
    read = seconds(instances, name, "dd if=/root/x of=/dev/null bs=100k iflag=direct")

    assert shown == limits
    assert written == pytest.approx(60 * 102_400 / 2_000_000, rel=0.15)
    assert read == pytest.approx(60 * 102_400 / 3_000_000, rel=0.15)


def test_a_container_has_no_more_processes_than_it_may(bus: BusSide, instances: Instances) -> None:
    name = instances.launch()

    shown = limited(bus, instances, name, Limits(processes=20))
    run(instances, name, "for i in $(seq 60); do sleep 5 & done")
    time.sleep(1)

    assert shown == Limits(processes=20)
    assert 10 < state(instances, name)["processes"] <= 20


def test_a_new_instance_begins_with_its_limits(bus: BusSide, instances: Instances) -> None:
    name = instances.name("new")
    limits = Limits(ingress=20 * MBIT, read=3_000_000, write=2_000_000, processes=20)

    operation = bus.carry_out(creation(name, auto_start=True, limits=limits))

    after = operation.after
    assert after is not None
    assert (after.status, after.limits) == ("Running", limits)


def test_all_limits_of_a_stopped_one_are_lxds_own_settings_and_can_be_taken_away(
    bus: BusSide, instances: Instances
) -> None:
    name = instances.create()
    before = described(instances, name)

    shown = limited(bus, instances, name, ALL)

    after = described(instances, name)
    assert shown == ALL
    assert after["config"]["limits.processes"] == "50"
    profile = before["expanded_devices"]
    assert after["devices"]["eth0"] == profile["eth0"] | {
        "limits.ingress": "20000000",
        "limits.egress": "10000000",
    }
    assert after["devices"]["root"] == profile["root"] | {
        "limits.read": "3000000",
        "limits.write": "2000000",
    }

    none = Limits(ingress=0, egress=0, read=0, write=0, processes=0)

    assert limited(bus, instances, name, none) == Limits()
    assert described(instances, name)["expanded_devices"] == profile


def test_a_limit_of_processes_that_a_profile_sets_is_not_said_to_be_gone(
    bus: BusSide, instances: Instances
) -> None:
    profile = instances.name("limited")
    body = {"name": profile, "config": {"limits.processes": "50"}}
    instances.lxd.call("POST", "/1.0/profiles", body)
    try:
        name = instances.create(profiles=["default", profile])
        operation = ended(bus, instances, name, Limits(processes=0))
        instances.delete(name)
    finally:
        instances.lxd.call("DELETE", f"/1.0/profiles/{profile}")

    assert operation.state is State.FAILED
    assert operation.failure is not None
    assert operation.failure.values == ["processes", "set by a profile of the instance"]
