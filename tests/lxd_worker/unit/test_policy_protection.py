"""What a host tells of how its instances are protected, and what a policy would do."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from services.lxd_worker.policies.outbox import policy_run_outbox
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import BrokerUnavailable, InstanceNotFound, InvalidInput, LxdRefused
from shared.contracts.events import PolicyRunChanged
from shared.contracts.policies import (
    Policy,
    ProtectionState,
    Retention,
    RunRequest,
    Schedule,
    Selection,
    SimulatedAction,
    SimulationRequest,
)
from shared.lxd.models import LifecycleEvent, LifecycleMetadata
from shared.policies.plan import digest
from tests.support.lxd_worker.observations import observation
from tests.support.lxd_worker.policies import PolicyBench, a_policy, policy_bench
from tests.support.lxd_worker.protection import protection_of as of
from tests.support.lxd_worker.protection import reported

ONLY_WEB = Selection(names=("web",))
POLICY = a_policy(selection=ONLY_WEB)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[PolicyBench]:
    with policy_bench(tmp_path) as bench:
        yield bench


def test_a_host_tells_which_plan_it_carries_out_and_whether_its_clock_is_right(
    host: PolicyBench,
) -> None:
    none = reported(host)
    host.give(POLICY)
    plan, report = host.policies.plan.plan, reported(host)

    assert (none.plan_version, none.digest, none.clock_trusted) == (0, "", False)
    assert (report.plan_version, report.digest) == (1, plan.digest)
    assert report.clock_trusted


def test_an_instance_is_as_well_protected_as_its_policies_protect_it(host: PolicyBench) -> None:
    host.give(POLICY, a_policy("other", selection=ONLY_WEB))
    new = of(host)
    host.until_hour()
    protected, unprotected = of(host), of(host, "db")

    assert (new.state, new.newest_good, new.due) == (
        ProtectionState.PROTECTED,
        "",
        "2026-11-18T12:00:00Z",
    )
    assert protected.state is ProtectionState.PROTECTED
    assert protected.policies == ("hourly", "other")
    assert protected.newest_good == "2026-11-18T12:00:00Z"
    assert (protected.snapshots, protected.due) == (2, "2026-11-18T13:00:00Z")
    assert unprotected.state is ProtectionState.UNPROTECTED
    assert (unprotected.due, unprotected.policies) == ("", ())


def test_slots_that_brought_no_snapshot_are_counted_until_one_does(host: PolicyBench) -> None:
    host.give(POLICY)
    host.lxd.refuses[Step.SNAPSHOT] = LxdRefused("no space left on device")
    host.until_hour(2)
    failing = of(host)
    host.lxd.refuses.clear()
    host.until_hour()

    assert (failing.state, failing.failures) == (ProtectionState.FAILING, 2)
    assert failing.code == "lxd_refused"
    assert of(host).state is ProtectionState.PROTECTED


def test_a_slot_that_waits_for_minutes_is_late(host: PolicyBench) -> None:
    host.give(POLICY)
    host.to_full_hour()
    host.policies.scheduler.work()
    begun = of(host)
    host.clock.advance(301)

    assert begun.state is ProtectionState.PROTECTED
    late = of(host)
    assert (late.state, late.due) == (ProtectionState.LATE, "2026-11-18T12:00:00Z")


def with_jitter(policy: Policy) -> Policy:
    return replace(policy, schedule=replace(policy.schedule, jitter_s=3000.0))


def test_a_host_that_begins_later_is_late_only_then(host: PolicyBench) -> None:
    later = with_jitter(POLICY)
    host.give(later)
    host.until_hour()
    host.clock.advance(3000)
    host.work()
    host.to_full_hour()
    delay_s = host.policies.plan.delay_s(later)
    found = []
    for seconds in (delay_s - 1, 300, 2):
        host.clock.advance(seconds)
        found.append(of(host).state)

    assert delay_s > 400
    assert found == [ProtectionState.PROTECTED, ProtectionState.PROTECTED, ProtectionState.LATE]


def test_a_group_that_begins_later_is_late_only_then(host: PolicyBench) -> None:
    host.give(POLICY)
    host.until_hour()
    plan = host.policies.plan.plan
    assert plan
    waits = replace(plan, plan_version=9, delay_s=600.0)
    waits = replace(waits, digest=digest(waits.policies, waits.at_once, waits.delay_s))
    host.policies.set_plan(waits)
    host.to_full_hour()
    host.clock.advance(599)
    before = of(host).state
    host.clock.advance(302)

    assert (before, of(host).state) == (ProtectionState.PROTECTED, ProtectionState.LATE)


@pytest.mark.parametrize("killed", [False, True])
def test_an_instance_whose_last_snapshot_is_deleted_is_late(
    host: PolicyBench, *, killed: bool
) -> None:
    host.give(replace(POLICY, schedule=Schedule(cron="0 0 1 * *")))
    before_the_first = of(host).state
    host.clock.advance(14 * 86400)
    host.work()
    protected = of(host)
    (gone,) = host.lxd.holds["web"].snapshots
    host.lxd.holds["web"] = replace(host.lxd.holds["web"], snapshots=())
    source = f"/1.0/instances/web/snapshots/{gone}"
    event = LifecycleEvent(LifecycleMetadata("instance-snapshot-deleted", source))
    host.policies.protection.on_event(event)
    deleted = of(host)
    if killed:
        host.kill()
        deleted = of(host)

    assert before_the_first is ProtectionState.PROTECTED
    assert (protected.state, protected.snapshots) == (ProtectionState.PROTECTED, 1)
    assert (deleted.state, deleted.newest_good) == (ProtectionState.LATE, "")
    host.policies.run_policy(RunRequest(policy_id=POLICY.id, at="2026-12-02T12:00:00Z"))
    host.work()
    assert of(host).state is ProtectionState.PROTECTED


def test_an_instance_that_comes_or_is_selected_after_a_slot_waits_for_the_next_one(
    host: PolicyBench,
) -> None:
    host.give(replace(POLICY, selection=Selection(names=("web", "new"))))
    host.until_hour()
    of(host)
    host.clock.advance(600)
    host.lxd.holds["new"] = observation(uuid="u-new")
    new = of(host, "new").state
    host.give(replace(POLICY, selection=Selection(names=("*",))))
    host.clock.advance(600)
    selected = of(host, "db").state
    host.lxd.used.add("db")
    host.to_full_hour()
    host.policies.scheduler.work()
    host.clock.advance(400)

    assert (new, selected) == (ProtectionState.PROTECTED, ProtectionState.PROTECTED)
    assert of(host, "db").state is ProtectionState.LATE


def test_a_snapshot_that_somebody_deletes_is_no_longer_counted_on(host: PolicyBench) -> None:
    host.give(POLICY)
    host.until_hour(2)
    before = of(host)
    found = host.lxd.holds["web"]
    host.lxd.holds["web"] = replace(found, snapshots=found.snapshots[:1])
    gone = f"/1.0/instances/web/snapshots/{found.snapshots[1]}"
    event = LifecycleEvent(LifecycleMetadata("instance-snapshot-deleted", gone))
    host.policies.protection.on_event(event)

    after = of(host)
    assert (before.snapshots, before.newest_good) == (2, "2026-11-18T13:00:00Z")
    assert (after.snapshots, after.newest_good) == (1, "2026-11-18T12:00:00Z")


def test_what_happened_while_nobody_listened_to_lxd_is_found_out(host: PolicyBench) -> None:
    host.give(POLICY)
    host.until_hour()
    reported(host)
    host.lxd.holds["web"] = replace(host.lxd.holds["web"], snapshots=())
    host.lxd.memory = {("default", one.name): one for one in host.lxd.instances()}
    host.policies.protection.on_listening()

    assert of(host).snapshots == 0


def test_a_report_is_sent_when_it_differs_and_once_a_minute(host: PolicyBench) -> None:
    host.give(POLICY)
    reported(host)
    host.lxd.memory = {("default", one.name): one for one in host.lxd.instances()}
    sent = []
    for seconds in (2, 2, 55, 2, 2):
        host.clock.advance(seconds)
        host.policies.protection.publish()
        sent.append(len(host.wire.sent))

    assert sent == [1, 1, 1, 2, 2]


def test_a_report_that_the_broker_did_not_get_is_sent_again(host: PolicyBench) -> None:
    host.lxd.memory = {}
    host.wire.cut = 1
    host.policies.protection.publish()
    host.policies.protection.publish()

    assert len(host.wire.sent) == 1


def test_a_report_that_is_not_sent_is_logged_once_until_one_is(
    host: PolicyBench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    logged = []
    host.lxd.memory = {}
    for _ in range(2):
        host.wire.cut = 3
        for _ in range(3):
            host.policies.protection.publish()
        logged.append(caplog.messages.count("protection not reported"))
        reported(host)
        host.lxd.memory = {}

    assert logged == [1, 2]


def test_before_lxd_has_listed_its_instances_nothing_is_told(host: PolicyBench) -> None:
    host.policies.protection.publish()

    assert host.wire.sent == []


def test_runs_are_reported_until_the_broker_has_them(host: PolicyBench) -> None:
    host.give(POLICY)
    host.until_hour()
    host.wire.cut = 1
    outbox = policy_run_outbox(
        host.store, host.wire.publish, lambda: None, lambda *_: host.wire.later.append(list)
    )

    with pytest.raises(BrokerUnavailable):
        outbox.publish_unconfirmed()
    outbox.publish_unconfirmed()
    outbox.publish_unconfirmed()

    (event,) = host.wire.sent
    assert isinstance(event, PolicyRunChanged)
    assert event.run == host.runs()[0]
    assert len(host.wire.later) == 1


def test_a_simulation_tells_what_then_happens(host: PolicyBench) -> None:
    host.give(POLICY)
    host.until_hour(3)

    simulated = host.policies.simulate_policy(SimulationRequest(policy=POLICY, days=1))
    host.until_hour(24)

    (instance,) = simulated.instances
    taken = [one.snapshot for one in instance.events if one.action is SimulatedAction.TAKE]
    pruned = [one.snapshot for one in instance.events if one.action is SimulatedAction.PRUNE]
    runs = sorted(host.runs(), key=lambda run: run.slot)[3:]
    assert simulated.selected == 1
    assert taken == [run.snapshot for run in runs]
    assert pruned == [snapshot for run in runs for snapshot in run.pruned]
    assert [one.snapshot for one in instance.snapshots if one.kept] == host.snapshots()[::-1]


def test_a_simulation_tells_that_a_missed_slot_is_caught_up_at_once(host: PolicyBench) -> None:
    host.give(POLICY)
    host.until_hour(1)
    host.clock.advance(3 * 3600 + 600)

    simulated = host.policies.simulate_policy(SimulationRequest(policy=POLICY, days=0))
    host.work()

    (instance,) = simulated.instances
    newest = max(host.runs(), key=lambda run: run.slot)
    assert [one.snapshot for one in instance.events] == [newest.snapshot]
    assert len(host.runs()) == 2


def test_a_simulation_tells_of_the_slot_that_the_host_is_about_to_begin(
    host: PolicyBench,
) -> None:
    later = with_jitter(POLICY)
    host.give(POLICY)
    host.give(later)
    host.to_full_hour()
    host.clock.advance(30)
    host.work()
    none = host.snapshots()

    simulated = host.policies.simulate_policy(SimulationRequest(policy=later, days=1))
    sooner = host.policies.simulate_policy(SimulationRequest(policy=POLICY, days=0))
    host.clock.advance(3000)
    host.work()

    assert none == []
    assert [simulated.instances[0].events[0].snapshot] == host.snapshots()
    assert [one.snapshot for one in sooner.instances[0].events] == host.snapshots()


def test_a_simulation_ends_when_its_time_is_over(host: PolicyBench) -> None:
    for number in range(10):
        host.lxd.holds[f"c{number}"] = observation(uuid=f"u-c{number}")
    often = a_policy(schedule=Schedule(cron="* * * * *"), retention=Retention(keep_last=1000))
    request = SimulationRequest(policy=often, limit=10, days=30)
    listed = host.lxd.snapshots

    def snapshots(*place: str) -> object:
        host.clock.advance(2.6)
        return listed(*place)

    host.lxd.snapshots = snapshots
    simulated = host.policies.simulate_policy(request)
    first, second = simulated.instances

    assert simulated.truncated
    assert simulated.selected == 12
    assert len(first.events) > len(second.events) > 0


def test_a_simulation_whose_turn_does_not_come_tells_nothing(
    host: PolicyBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.lxd_worker.policies.service.LONGEST_SIMULATION_S", 0.01)
    request = SimulationRequest(policy=POLICY, days=1)
    with host.policies._calculating:
        simulated = host.policies.simulate_policy(request)

    assert (simulated.selected, simulated.instances, simulated.truncated) == (1, [], True)
    assert len(host.policies.simulate_policy(request).instances) == 1


def test_a_simulation_tells_what_would_become_of_the_snapshots_that_are_there(
    host: PolicyBench,
) -> None:
    host.give(POLICY)
    host.until_hour(2)
    stricter = replace(POLICY, retention=Retention(keep_last=1))

    simulated = host.policies.simulate_policy(SimulationRequest(policy=stricter, days=0))

    judged = simulated.instances[0].snapshots
    assert [(one.owned, one.taken, one.kept) for one in judged] == [
        (True, True, True),
        (True, True, False),
    ]
    assert host.snapshots() == [one.snapshot for one in reversed(judged)]


def test_a_simulation_may_be_of_one_instance_and_of_a_policy_that_does_not_exist(
    host: PolicyBench,
) -> None:
    every = a_policy("new")
    one = host.policies.simulate_policy(SimulationRequest(policy=every, name="db", days=1))
    few = host.policies.simulate_policy(SimulationRequest(policy=every, limit=1, days=1))

    assert [instance.name for instance in one.instances] == ["db"]
    assert (few.selected, len(few.instances)) == (2, 1)
    with pytest.raises(InstanceNotFound):
        host.policies.simulate_policy(SimulationRequest(policy=every, name="nope"))
    with pytest.raises(InvalidInput):
        host.policies.simulate_policy(
            SimulationRequest(policy=replace(every, retention=Retention()))
        )
