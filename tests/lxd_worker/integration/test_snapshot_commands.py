"""Commands in real guests around a snapshot, and a snapshot before a restore."""

from __future__ import annotations

import time
from typing import Any

import pytest

from shared.contracts.codec import to_wire
from shared.contracts.instance_config import GuestCommand
from shared.contracts.operations import Kind, Operation, State
from tests.lxd_worker.integration.conftest import carried_out, module_fixtures, order
from tests.support.bus_side import BusSide
from tests.support.lxd import Instances
from tests.support.lxd_worker.bench import outcome
from tests.support.worker_process import Prepare, WorkerProcess

vhost, worker = module_fixtures()


def sh(script: str, timeout_s: float = 20.0) -> GuestCommand:
    return GuestCommand(command=("sh", "-c", script), timeout_s=timeout_s)


def snapshots(instances: Instances, name: str) -> set[str]:
    listed = instances.lxd.call("GET", f"/1.0/instances/{name}/snapshots")
    return {path.rpartition("/")[2] for path in listed}


def taken(bus: BusSide, instances: Instances, name: str, **arguments: Any) -> Operation:
    return carried_out(bus, instances, Kind.SNAPSHOT, name, snapshot="s", **arguments)


def status_of(instances: Instances, name: str, script: str) -> int:
    body = {"command": ["sh", "-c", script], "environment": {}}
    return int(instances.lxd.call("POST", f"/1.0/instances/{name}/exec", body)["return"])


def test_both_run_as_root_in_order_and_what_they_print_is_nothing_to_anybody(
    worker: WorkerProcess, bus: BusSide, instances: Instances
) -> None:
    name = instances.launch()
    flood = "head -c 3000000 /dev/zero; "
    pre, post = sh(flood + "id -u > /root/one"), sh(flood + "cat /root/one > /root/two")

    operation = taken(bus, instances, name, pre=pre, post=post)

    assert outcome(operation) == (State.DONE, None)
    assert snapshots(instances, name) == {"s"}
    assert status_of(instances, name, 'test "$(cat /root/two)" = 0') == 0


@pytest.mark.parametrize(
    ("pre", "reason"),
    [
        (sh("exit 3"), "it ended with status 3"),
        (GuestCommand(command=("nope",)), "there is no such program in it"),
        (sh("sleep 77", timeout_s=1.0), "it was killed after 1 s"),
        (sh("cat /dev/zero", timeout_s=60.0), "it was killed after printing 16 MiB"),
        (sh("cat /dev/zero; true", timeout_s=60.0), "it was killed after printing 16 MiB"),
    ],
)
def test_one_that_fails_vetoes_the_snapshot_and_the_other_runs(
    worker: WorkerProcess,
    bus: BusSide,
    instances: Instances,
    pre: GuestCommand,
    reason: str,
) -> None:
    name = instances.launch()

    operation = taken(bus, instances, name, pre=pre, post=sh("touch /root/thawed"))

    assert outcome(operation) == (State.FAILED, "command_failed")
    assert operation.failure is not None
    assert operation.failure.values == [name, pre.command[0], reason]
    assert snapshots(instances, name) == set()
    assert status_of(instances, name, "test -e /root/thawed") == 0


def test_one_after_it_that_fails_leaves_the_snapshot_good(
    worker: WorkerProcess, bus: BusSide, instances: Instances
) -> None:
    name = instances.launch()

    operation = taken(bus, instances, name, post=sh("exit 1"))

    assert outcome(operation) == (State.DONE, None)
    assert snapshots(instances, name) == {"s"}


def test_a_worker_killed_in_a_command_ends_it_and_never_repeats_it(
    bus: BusSide, instances: Instances, prepare: Prepare, worker: WorkerProcess
) -> None:
    worker.kill()
    name = instances.launch()
    doomed = prepare(instances.lxd.socket)
    doomed.start()
    bus.reach()
    pre = GuestCommand(command=("sh", "-c", "echo x >> /root/begun; exec sleep 78"))
    request = order(
        instances, Kind.SNAPSHOT, name, snapshot="s", pre=pre, post=sh("touch /root/thawed")
    )
    bus.call("submit", to_wire(request))
    bus.until(lambda: status_of(instances, name, "test -e /root/begun") == 0)

    doomed.kill()
    time.sleep(0.5)
    runs = status_of(instances, name, "ps | grep -q '[s]leep 78'")
    prepare(instances.lxd.socket).start()
    operation = bus.ended(request.operation_id)

    assert runs == 1
    assert outcome(operation) == (State.FAILED, "step_interrupted")
    assert snapshots(instances, name) == set()
    assert status_of(instances, name, 'test "$(wc -l < /root/begun)" = 1') == 0
    assert status_of(instances, name, "test -e /root/thawed") == 0
    worker.start()


def test_a_restore_can_be_taken_back(
    worker: WorkerProcess, bus: BusSide, instances: Instances
) -> None:
    name = instances.launch()
    bus.reach()
    instances.lxd.call("POST", f"/1.0/instances/{name}/snapshots", {"name": "old"})
    status_of(instances, name, "echo new > /root/note; sync")

    first = carried_out(
        bus, instances, Kind.RESTORE, name, snapshot="old", safety_snapshot="before"
    )
    was_restored = status_of(instances, name, "test ! -e /root/note")
    second = carried_out(bus, instances, Kind.RESTORE, name, snapshot="before")

    assert (outcome(first), outcome(second)) == ((State.DONE, None), (State.DONE, None))
    assert was_restored == 0
    assert snapshots(instances, name) == {"old", "before"}
    assert status_of(instances, name, "test -e /root/note") == 0
