"""Whatever dies in the middle: nothing is taken twice, nothing is pruned that the policy keeps."""

from __future__ import annotations

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from shared.contracts.codec import from_wire, to_wire
from shared.contracts.events import PolicyRunChanged
from shared.contracts.instance_config import GuestCommand
from shared.contracts.policies import PolicyRun, PolicyRunPage, RunRequest, RunState, Schedule
from tests.lxd_worker.integration.conftest import wait_until_connected
from tests.support.bus_side import BusSide
from tests.support.lifecycle import Lifecycle
from tests.support.line import Line
from tests.support.lxd import Instances, OwnLxd, instances_on
from tests.support.lxd_worker.centre import Centre
from tests.support.polling import wait_until
from tests.support.worker_process import Prepare

SCRIPT = Path(__file__).with_name("killed_policies.py")
EVERY_MINUTE = Schedule(cron="* * * * *")


@pytest.fixture
def centre(bus: BusSide, instances: Instances) -> Centre:
    return Centre(bus, instances)


def runs(bus: BusSide) -> list[PolicyRun]:
    return from_wire(PolicyRunPage, bus.call("policy_runs_since", 0, 500)).runs


def ended(bus: BusSide, slot: str) -> list[PolicyRun]:
    found = [run for run in runs(bus) if run.slot.endswith(slot)]
    return [run for run in found if run.state is not RunState.RUNNING]


def all_over(bus: BusSide) -> bool:
    return all(run.state is not RunState.RUNNING for run in runs(bus))


def snapshots_made(lifecycle: Lifecycle) -> Counter[str]:
    time.sleep(0.5)
    return Counter(
        name for name, action in lifecycle._heard if action == "instance-snapshot-created"
    )


@pytest.mark.parametrize(
    "at",
    [
        pytest.param(at, marks=[] if at in (2, 11, 20, 29, 38) else [pytest.mark.slow])
        for at in range(2, 50, 3)
    ],
)
def test_a_worker_killed_at_any_write_takes_and_prunes_once(
    centre: Centre, prepare: Prepare, lifecycle: Lifecycle, at: int
) -> None:
    # Others take snapshots on this LXD as well.
    centre.pattern = "{instance}-{time}"
    name = centre.instances.launch()
    first = prepare(centre.instances.lxd.socket)
    first.start()
    centre.bus.reach()
    wait_until_connected(centre.bus)
    centre.give(centre.policy(name))
    centre.taken(name, 1, 2)
    first.stop()
    doomed = prepare(centre.instances.lxd.socket)
    doomed.command = [sys.executable, str(SCRIPT), str(at)]
    doomed.start()
    centre.bus.reach()
    wait_until_connected(centre.bus)
    request = RunRequest(policy_id="id-hourly", at="2026-11-29T12:00:03Z")

    centre.bus.send("run_policy", to_wire(request))
    killed = doomed.wait()
    prepare(centre.instances.lxd.socket).start()
    centre.bus.reach()
    centre.bus.call("run_policy", to_wire(request))
    (run,) = centre.bus.until(lambda: ended(centre.bus, "03Z"))

    assert killed == -signal.SIGKILL
    if run.state is RunState.TAKEN:
        centre.until_there(name, 2, 3)
        centre.bus.until(lambda: runs(centre.bus)[-1].pruned_count == 1)
    else:
        # It was killed before it could ask LXD, and asks no second time.
        assert (run.state, run.code) == (RunState.FAILED, "step_interrupted")
        centre.until_there(name, 1, 2)
    made = snapshots_made(lifecycle)
    was_taken = run.state is RunState.TAKEN
    assert [made[f"{name}-20261129T12000{second}Z"] for second in (1, 2, 3)] == [1, 1, was_taken]


def test_lxd_killed_in_the_middle_of_a_run_loses_no_slot_and_repeats_none(
    own_lxd: OwnLxd, bus: BusSide, prepare: Prepare
) -> None:
    prepare(own_lxd.socket).start()
    bus.reach()
    wait_until_connected(bus)
    with instances_on(own_lxd) as instances:
        centre = Centre(bus, instances)
        names = [instances.launch(f"c{number}") for number in range(4)]
        policy = centre.policy(*names)
        centre.give(policy)
        for second in (1, 2):
            centre.run(policy, second)
            for name in names:
                centre.over(name, second)

        centre.run(policy, 3)
        time.sleep(0.15)
        own_lxd.kill()
        time.sleep(1.0)
        own_lxd.start()
        bus.until(lambda: all_over(bus), 60.0)

        last = {run.instance: run for run in runs(bus) if run.slot.endswith("03Z")}
        assert set(last) == set(names)
        centre.run(policy, 4)
        for name in names:
            centre.over(name, 4)
        bus.until(lambda: all_over(bus), 60.0)
        for name in names:
            good = {2} | ({3} if last[name].state is RunState.TAKEN else set()) | {4}
            kept = {f"hourly-20261129T12000{one}Z" for one in sorted(good)[-2:]}
            # What was cut off is nobody's: it is neither counted on nor pruned.
            assert kept <= set(centre.snapshots(name))


def test_while_the_broker_is_away_runs_go_on_and_are_told_afterwards(
    centre: Centre, prepare: Prepare, line: Callable[[int], Line]
) -> None:
    name = centre.instances.launch()
    worker = prepare(centre.instances.lxd.socket)
    uri = worker.environment["FLEET_AMQP_URI"]
    broker = line(urlsplit(uri).port or 5672)
    worker.start(FLEET_AMQP_URI=uri.replace(f":{urlsplit(uri).port}", f":{broker.port}"))
    centre.bus.reach()
    wait_until_connected(centre.bus)
    slow = GuestCommand(command=("sleep", "1"))
    centre.give(centre.policy(name, pre=slow))

    for second in (1, 2, 3):
        centre.run(centre.policy(name), second)
    broker.cut()
    told = [one for one in centre.bus.of(PolicyRunChanged) if one.run.state is RunState.TAKEN]
    wait_until(lambda: len(centre.snapshots(name)) == 2 and _has_third(centre, name), within_s=20)
    broker.mend()

    assert told == []
    for second in (1, 2, 3):
        assert centre.over(name, second).state is RunState.TAKEN


def _has_third(centre: Centre, name: str) -> bool:
    return "hourly-20261129T120003Z" in centre.snapshots(name)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_slots_come_by_themselves_at_most_a_second_late_and_a_missed_one_is_caught_up(
    centre: Centre, prepare: Prepare
) -> None:
    name = centre.instances.launch()
    worker = prepare(centre.instances.lxd.socket)
    worker.start()
    centre.bus.reach()
    wait_until_connected(centre.bus)
    centre.give(centre.policy(name, schedule=EVERY_MINUTE))

    (first,) = centre.bus.until(lambda: [run for run in runs(centre.bus) if run.snapshot], 70.0)
    late_s = _unix(first.started_at) - _unix(first.slot)
    worker.stop()
    time.sleep(62.0)
    prepare(centre.instances.lxd.socket).start()
    centre.bus.reach()
    centre.bus.until(lambda: len(runs(centre.bus)) == 2 and all_over(centre.bus))

    assert 0 <= late_s < 1.0
    missed_s = _unix(runs(centre.bus)[-1].slot) - _unix(first.slot)
    assert missed_s in (60.0, 120.0)


def _unix(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
