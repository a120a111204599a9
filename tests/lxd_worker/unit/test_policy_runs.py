"""A host carries out its plan by itself: each slot once, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from services.lxd_worker.operations.runner import OperationRunner
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import InstanceNotFound, InvalidInput, LxdRefused, PolicyNotFound
from shared.contracts.operations import Kind, Operation
from shared.contracts.policies import (
    Policy,
    Retention,
    RunRequest,
    RunState,
    Schedule,
    Selection,
    slot_operation,
)
from tests.support.builders import a_submission
from tests.support.lxd_worker.observations import observation
from tests.support.lxd_worker.policies import PolicyBench, a_plan, a_policy, policy_bench
from tests.support.lxd_worker.rebuilds import an_order

# The first full hour after the clock's beginning.
NOON = "2026-11-18T12:00:00Z"
ONLY_WEB = Selection(names=("web",))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[PolicyBench]:
    with policy_bench(tmp_path) as bench:
        yield bench


def states(host: PolicyBench) -> list[tuple[str, str, RunState, str]]:
    return sorted((run.slot, run.instance, run.state, run.code) for run in host.runs())


def test_every_selected_instance_gets_a_snapshot_at_the_slot(host: PolicyBench) -> None:
    host.give(a_policy())
    host.work()
    before = host.runs()

    host.until_hour()

    assert before == []
    assert states(host) == [
        (NOON, "db", RunState.TAKEN, ""),
        (NOON, "web", RunState.TAKEN, ""),
    ]
    assert host.snapshots("web") == host.snapshots("db") == ["hourly-20261118T120000Z"]
    run_id = slot_operation("id-hourly", "u-web", NOON)
    assert host.bench.operation(run_id).principal == "policy:hourly"


def test_what_no_policy_selects_is_left_alone(host: PolicyBench) -> None:
    host.give(a_policy(selection=ONLY_WEB))
    host.until_hour()

    assert [run.instance for run in host.runs()] == ["web"]
    assert host.snapshots("db") == []


def test_an_instance_without_a_uuid_waits_for_it(host: PolicyBench) -> None:
    host.lxd.holds["db"] = replace(host.lxd.holds["db"], uuid="")
    host.give(a_policy())
    host.until_hour()

    assert [run.instance for run in host.runs()] == ["web"]


def test_the_slot_is_begun_at_most_a_second_late_and_the_host_sleeps_until_then(
    host: PolicyBench,
) -> None:
    host.give(a_policy(schedule=Schedule(cron="7 11 * * *")))

    # It is 11:06:40.
    assert host.policies.scheduler.work() == pytest.approx(20.0)


def test_of_slots_that_were_missed_the_newest_is_caught_up_once(host: PolicyBench) -> None:
    host.give(a_policy(selection=ONLY_WEB))
    host.clock.advance(10 * 3600)
    host.kill()
    host.work()
    host.work()

    assert [run.slot for run in host.runs()] == ["2026-11-18T21:00:00Z"]
    assert len(host.snapshots()) == 1


def test_a_policy_begins_when_the_host_gets_it(host: PolicyBench) -> None:
    host.clock.advance(7200)
    host.give(a_policy(selection=ONLY_WEB))
    host.work()

    assert host.runs() == []


def test_so_many_are_taken_at_once_as_the_policy_and_the_host_allow(host: PolicyBench) -> None:
    for number in range(6):
        host.lxd.holds[f"c{number}"] = observation(uuid=f"u-c{number}")
    host.bench.most_unfinished = 100
    host.give(a_policy(at_once=3), a_policy("other", at_once=3))
    host.to_full_hour()
    host.policies.scheduler.work()

    begun = [run_id for _, run_id in host.due]
    policies = [run.policy for run in host.runs() if run.operation_id in begun]

    assert sorted(policies) == ["hourly"] * 3 + ["other"]


def test_a_busy_instance_is_tried_again_until_it_is_free(host: PolicyBench) -> None:
    host.give(a_policy(selection=ONLY_WEB))
    host.to_full_hour()
    host.bench.operations.submit(a_submission(Kind.STOP, "web", start_within_s=9000.0))
    held = list(host.bench.spawned)
    host.bench.spawned.clear()
    host.policies.scheduler.work()
    host.step()
    refused = states(host)
    host.bench.spawned += held
    host.work()
    host.clock.advance(30)
    host.work()

    assert refused == [(NOON, "web", RunState.RUNNING, "")]
    assert states(host) == [(NOON, "web", RunState.TAKEN, "")]


def test_an_instance_that_is_busy_until_the_next_slot_is_skipped_with_the_reason(
    host: PolicyBench,
) -> None:
    host.give(a_policy(selection=ONLY_WEB))
    host.bench.operations.submit(a_submission(Kind.STOP, "web", start_within_s=9000.0))
    host.bench.spawned.clear()
    host.until_hour(2)

    first, second = sorted(host.runs(), key=lambda run: run.slot)
    assert (first.state, first.code) == (RunState.SKIPPED, "busy")
    assert "operation op is in progress" in first.message
    assert second.state is RunState.RUNNING
    (failures,) = host.store.failures().values()
    assert (failures.count, failures.code) == (1, "busy")


@pytest.mark.parametrize("killed_after", range(6))
def test_a_worker_that_is_killed_at_any_step_takes_each_snapshot_once(
    host: PolicyBench, killed_after: int
) -> None:
    host.give(a_policy(selection=ONLY_WEB))
    host.to_full_hour()
    host.policies.scheduler.work()
    for _ in range(killed_after):
        host.step()
        host.policies.scheduler.work()

    host.kill()
    host.work()
    host.clock.advance(60)
    host.work()

    assert states(host) == [(NOON, "web", RunState.TAKEN, "")]
    assert host.lxd.asked.count(Step.SNAPSHOT) == 1
    assert [one.policy for one in host.store.snapshots_of("default", "u-web")] == ["hourly"]


def test_while_lxd_is_away_slots_wait_and_the_newest_is_taken_when_it_is_back(
    host: PolicyBench,
) -> None:
    host.give(a_policy(selection=ONLY_WEB))
    host.lxd.away = 100_000
    host.until_hour(3)
    away = host.runs()
    host.lxd.away = 0
    host.clock.advance(10)
    host.work()

    assert away == []
    assert states(host) == [("2026-11-18T14:00:00Z", "web", RunState.TAKEN, "")]


def test_a_snapshot_that_lxd_refuses_is_told_with_its_error_and_counted(host: PolicyBench) -> None:
    host.give(a_policy(selection=ONLY_WEB))
    host.lxd.refuses[Step.SNAPSHOT] = LxdRefused("no space left on device")
    host.until_hour(2)

    codes = {(run.state, run.code) for run in host.runs()}
    assert codes == {(RunState.FAILED, "lxd_refused")}
    assert host.store.failures()["id-hourly", "u-web"].count == 2

    host.lxd.refuses.clear()
    host.until_hour()

    assert host.store.failures() == {}


def test_a_renamed_instance_is_found_by_its_uuid(host: PolicyBench) -> None:
    host.give(a_policy(selection=Selection(names=("web*",))))
    host.to_full_hour()
    host.policies.scheduler.work()
    host.lxd.holds["web2"] = replace(host.lxd.holds.pop("web"), name="web2")
    host.work()

    (run,) = host.runs()
    assert (run.instance, run.state) == ("web2", RunState.TAKEN)
    assert host.snapshots("web2") == [run.snapshot]


def test_of_an_instance_that_is_deleted_or_replaced_nothing_is_taken(host: PolicyBench) -> None:
    host.give(a_policy())
    host.to_full_hour()
    host.policies.scheduler.work()
    del host.lxd.holds["db"]
    host.lxd.holds["web"] = observation(uuid="u-another")
    host.work()

    assert {(run.state, run.code) for run in host.runs()} == {(RunState.SKIPPED, "instance_gone")}
    assert host.snapshots("web") == []
    assert host.store.failures() == {}


@pytest.mark.parametrize(
    ("policies", "code"),
    [((), "policy_gone"), ((a_policy(selection=Selection(names=("db",))),), "not_selected")],
)
def test_what_was_not_begun_when_its_policy_was_deleted_or_narrowed_is_not_begun(
    host: PolicyBench, policies: tuple[object, ...], code: str
) -> None:
    host.give(a_policy(selection=ONLY_WEB))
    host.to_full_hour()
    host.policies.scheduler.work()
    host.give(*policies)
    host.work()

    (run,) = [one for one in host.runs() if one.instance == "web"]
    assert (run.state, run.code) == (RunState.SKIPPED, code)


def test_what_was_begun_goes_on_without_its_policy(host: PolicyBench) -> None:
    host.give(a_policy(selection=ONLY_WEB))
    host.to_full_hour()
    host.policies.scheduler.work()
    host.step()
    host.give()
    host.work()

    assert states(host) == [(NOON, "web", RunState.TAKEN, "")]


def test_a_clock_that_is_put_back_takes_no_slot_twice(host: PolicyBench) -> None:
    host.give(a_policy(selection=ONLY_WEB))
    host.until_hour(5)
    taken = len(host.runs())
    host.clock._unix_at_0 -= 3 * 3600
    host.until_hour(3)
    again = len(host.runs())
    host.until_hour()

    assert (taken, again, len(host.runs())) == (5, 5, 6)
    assert host.lxd.asked.count(Step.SNAPSHOT) == 6


def test_a_clock_that_was_a_year_ahead_does_not_stop_the_policy_for_a_year(
    host: PolicyBench,
) -> None:
    host.clock._unix_at_0 += 365 * 86400
    host.give(a_policy(selection=ONLY_WEB))
    host.until_hour()
    host.clock._unix_at_0 -= 365 * 86400
    host.work()
    host.until_hour()

    assert [run.slot[:4] for run in host.runs()] == ["2027", "2026"]


def test_a_policy_is_run_at_once_on_request_and_a_repeated_request_changes_nothing(
    host: PolicyBench,
) -> None:
    host.give(a_policy())
    request = RunRequest(policy_id="id-hourly", at="2026-11-18T11:06:41Z")

    started = [host.policies.run_policy(request).instances for _ in range(2)]
    host.work()

    assert started == [2, 2]
    assert {(run.instance, run.manual, run.state) for run in host.runs()} == {
        ("web", True, RunState.TAKEN),
        ("db", True, RunState.TAKEN),
    }
    assert host.lxd.asked.count(Step.SNAPSHOT) == 2


def test_a_request_for_the_same_moment_in_other_words_changes_nothing(host: PolicyBench) -> None:
    host.give(a_policy(selection=ONLY_WEB))
    for at in (
        "2026-11-18T11:06:40Z",
        "2026-11-18T11:06:40.000Z",
        "2026-11-18T12:06:40+01:00",
        "20261118T110640Z",
    ):
        host.policies.run_policy(RunRequest(policy_id="id-hourly", at=at))
        host.work()

    assert [(run.slot, run.state) for run in host.runs()] == [
        ("2026-11-18T11:06:40Z", RunState.TAKEN)
    ]


def test_a_request_may_be_for_one_instance(host: PolicyBench) -> None:
    host.give(a_policy(selection=ONLY_WEB))
    at = "2026-11-18T11:06:41Z"

    host.policies.run_policy(RunRequest(policy_id="id-hourly", at=at, name="web"))

    assert [run.instance for run in host.runs()] == ["web"]
    with pytest.raises(InstanceNotFound):
        host.policies.run_policy(RunRequest(policy_id="id-hourly", at=at, name="db"))
    with pytest.raises(PolicyNotFound):
        host.policies.run_policy(RunRequest(policy_id="nope", at=at))
    for none in ("", "2026-11-18T11:06:40", "0001-01-01T00:00:00+05:00"):
        with pytest.raises(InvalidInput):
            host.policies.run_policy(RunRequest(policy_id="id-hourly", at=none))


def test_a_plan_is_taken_only_if_it_is_for_this_host_whole_and_newer(host: PolicyBench) -> None:
    clock = host.clock.unix()
    present = a_plan(a_policy(), version=5, clock=clock)
    host.policies.set_plan(present)

    host.policies.set_plan(a_plan(version=4, clock=clock))
    for refused in (
        replace(a_plan(version=6, clock=clock), host="h2"),
        replace(a_plan(a_policy("other"), version=6, clock=clock), digest="0" * 64),
        a_plan(a_policy("other"), version=5, clock=clock),
    ):
        with pytest.raises(InvalidInput):
            host.policies.set_plan(refused)

    assert host.policies.plan.plan == present
    host.kill()
    assert host.policies.plan.plan == present


def test_every_run_is_reported_until_the_broker_has_it_and_listed_by_pages(
    host: PolicyBench,
) -> None:
    host.give(a_policy())
    host.until_hour()

    unconfirmed = host.store.unconfirmed_runs(10)
    for run in unconfirmed:
        host.store.confirm_run(run.operation_id, run.sequence - 1)
    still = host.store.unconfirmed_runs(10)
    for run in unconfirmed:
        host.store.confirm_run(run.operation_id, run.sequence)

    first = host.policies.policy_runs_since(0, 1)
    rest = host.policies.policy_runs_since(first.runs[0].sequence, 10)
    assert {run.state for run in unconfirmed} == {RunState.TAKEN}
    assert still == unconfirmed
    assert host.store.unconfirmed_runs(10) == []
    assert (first.more, rest.more) == (True, False)
    assert {run.instance for run in [*first.runs, *rest.runs]} == {"web", "db"}


def accepted_and_not_recorded(host: PolicyBench) -> None:
    """Have the journal accept a snapshot, and the worker stop before the run says so."""
    real = host.store.advance_run

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    host.store.advance_run = dies  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        host.step()
    host.store.advance_run = real  # type: ignore[method-assign]


@pytest.mark.parametrize("policies", [(), (a_policy(selection=Selection(names=("db",))),)])
def test_a_snapshot_that_was_accepted_before_a_crash_is_owned_whatever_the_plan_says_then(
    host: PolicyBench, policies: tuple[Policy, ...]
) -> None:
    host.give(a_policy(selection=ONLY_WEB))
    host.to_full_hour()
    host.policies.scheduler.work()
    accepted_and_not_recorded(host)
    host.kill()
    host.give(*policies)
    host.work()

    assert states(host) == [(NOON, "web", RunState.TAKEN, "")]
    (owned,) = host.store.snapshots_of("default", "u-web")
    assert [owned.snapshot] == host.snapshots()


def test_a_snapshot_that_was_accepted_is_not_given_up_when_the_next_slot_is_due(
    host: PolicyBench,
) -> None:
    host.give(a_policy(selection=ONLY_WEB, retention=Retention(keep_last=9)))
    host.to_full_hour()
    host.policies.scheduler.work()
    accepted_and_not_recorded(host)
    (queued,) = host.policies.scheduler._queue.values()
    queued.not_before = host.clock.monotonic() + 3605
    host.until_hour()
    host.clock.advance(10)
    host.work()

    assert {run.state for run in host.runs()} == {RunState.TAKEN}
    owned = {one.snapshot for one in host.store.snapshots_of("default", "u-web")}
    assert owned == set(host.snapshots())
    assert len(owned) == 2


def taken_and_not_concluded(host: PolicyBench) -> Operation:
    """Have a snapshot taken, and return its operation; the run has not heard of its end."""
    host.give(a_policy(selection=ONLY_WEB))
    host.to_full_hour()
    host.policies.scheduler.work()
    host.step()
    return OperationRunner(host.bench.context, host.bench.spawned.pop(0)).run()


def test_a_snapshot_that_is_gone_before_it_was_recorded_is_no_good_end(host: PolicyBench) -> None:
    ended = taken_and_not_concluded(host)
    host.lxd.holds["web"] = replace(host.lxd.holds["web"], snapshots=())
    host.policies.scheduler.on_ended(ended)
    host.work()

    assert states(host) == [(NOON, "web", RunState.UNKNOWN, "snapshot_not_found")]
    assert host.store.failures()["id-hourly", "u-web"].count == 1


def test_a_snapshot_whose_root_is_just_being_swapped_is_recorded_afterwards(
    host: PolicyBench,
) -> None:
    ended = taken_and_not_concluded(host)
    host.bench.operations.submit(replace(an_order(), start_within_s=60.0))
    host.bench.spawned.clear()
    host.policies.scheduler.on_ended(ended)
    host.work()
    meanwhile = states(host)
    host.bench.operations.cancel("op")
    host.clock.advance(60)
    host.work()

    assert meanwhile == [(NOON, "web", RunState.RUNNING, "")]
    assert states(host) == [(NOON, "web", RunState.TAKEN, "")]
    assert len(host.store.snapshots_of("default", "u-web")) == 1
