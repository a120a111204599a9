"""Limits of real containers, as the kernel keeps them: traffic between two, measured."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.changes import Changes, Limits
from shared.contracts.operations import Kind, Operation, State, Submission
from shared.testing.broker import Broker, Vhost, fresh_vhost
from shared.testing.bus_side import BusSide, submission
from shared.testing.lxd import Instances, Lxd
from shared.testing.worker_process import WorkerProcess

from .conftest import running_worker

pytestmark = pytest.mark.usefixtures("worker")

MBIT = 10**6
ALL = Limits(ingress=20 * MBIT, egress=10 * MBIT, read=3_000_000, write=2_000_000, processes=50)
PORT = 5001
# After the first burst, which a bucket lets through.
SETTLE_S = 1.5
MEASURE_S = 4.0


@pytest.fixture(scope="module")
def vhost(broker: Broker) -> Iterator[Vhost]:
    with fresh_vhost(broker) as vhost:
        yield vhost


@pytest.fixture(scope="module")
def worker(
    vhost: Vhost, lxd: Lxd, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcess]:
    overcommit = {f"FLEET_OVERCOMMIT_{what}": "1000" for what in ("CPU", "MEMORY", "DISK")}
    with running_worker(vhost, lxd, tmp_path_factory.mktemp("worker"), **overcommit) as process:
        yield process


def described(instances: Instances, name: str) -> dict[str, Any]:
    return dict(instances.lxd.call("GET", f"/1.0/instances/{name}"))


def state(instances: Instances, name: str) -> dict[str, Any]:
    return dict(instances.lxd.call("GET", f"/1.0/instances/{name}/state"))


def carried_out(bus: BusSide, order: Submission) -> Operation:
    bus.submit(order)
    operation = bus.ended(order.operation_id)
    assert operation.state is State.DONE, operation.failure
    return operation


def limited(bus: BusSide, instances: Instances, name: str, limits: Limits) -> Limits:
    """Change the limits of an instance; return those that it has then."""
    uuid = described(instances, name)["config"]["volatile.uuid"]
    arguments = {"changes": Changes(limits=limits)}
    after = carried_out(bus, submission(Kind.UPDATE, name, uuid, arguments=arguments)).after
    assert after is not None
    return after.limits


def run(instances: Instances, name: str, script: str) -> None:
    """Start a script in a container; it goes on by itself."""
    body = {"command": ["/bin/sh", "-c", f"({script}) >/dev/null 2>&1 </dev/null &"]}
    instances.lxd.call("POST", f"/1.0/instances/{name}/exec", body)


def address(instances: Instances, name: str) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for found in state(instances, name)["network"]["eth0"]["addresses"]:
            if found["family"] == "inet":
                return str(found["address"])
        time.sleep(0.1)
    raise AssertionError(f"{name} got no address")


def received(instances: Instances, name: str) -> int:
    """Return the bytes that have reached a container."""
    lines = Path(f"/proc/{state(instances, name)['pid']}/net/dev").read_text().splitlines()
    (counters,) = (line.split(":")[1] for line in lines if line.strip().startswith("eth0:"))
    return int(counters.split()[0])


def rate(instances: Instances, source: str, target: str) -> float:
    """Return how many bits a second get from one container to another that takes all it can."""
    run(instances, target, f"nc -l -p {PORT}")
    run(instances, source, f"dd if=/dev/zero bs=64k | nc {address(instances, target)} {PORT}")
    time.sleep(SETTLE_S)
    began, before = time.monotonic(), received(instances, target)
    time.sleep(MEASURE_S)
    bits = (received(instances, target) - before) * 8 / (time.monotonic() - began)
    for name in (source, target):
        run(instances, name, "killall nc dd")
    return bits


def test_traffic_between_two_containers_keeps_to_its_limits_in_both_directions(
    bus: BusSide, instances: Instances
) -> None:
    one, other = instances.launch("one"), instances.launch("other")
    free = rate(instances, one, other)

    shown = limited(bus, instances, one, Limits(ingress=40 * MBIT, egress=20 * MBIT))
    out, in_ = rate(instances, one, other), rate(instances, other, one)
    print(f"free {free / MBIT:.1f} out {out / MBIT:.2f} in {in_ / MBIT:.2f}")

    assert (shown.ingress, shown.egress) == (40 * MBIT, 20 * MBIT)
    assert free > 200 * MBIT
    assert out == pytest.approx(20 * MBIT, rel=0.1)
    assert in_ == pytest.approx(40 * MBIT, rel=0.1)

    limited(bus, instances, one, Limits(egress=0, ingress=0))

    assert rate(instances, one, other) > 200 * MBIT
    assert rate(instances, other, one) > 200 * MBIT
