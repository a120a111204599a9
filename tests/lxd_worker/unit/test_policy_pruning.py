"""Pruned is what a policy took and does not keep, and nothing else; never when in doubt."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from msgspec.structs import replace

from services.lxd_worker.policies.records import Phase
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import InvalidInput, LxdRefused, SnapshotNotFound
from shared.contracts.operations import Arguments, Kind, Operation, Submission
from shared.contracts.policies import Retention, RunState, Selection, SnapshotMark
from tests.support.builders import a_submission
from tests.support.lxd_worker.policies import PolicyBench, a_policy, policy_bench

EVERYTHING = Selection(names=("*",))
ONLY_WEB = Selection(names=("web",))
POLICY = a_policy(selection=ONLY_WEB)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[PolicyBench]:
    with policy_bench(tmp_path) as bench:
        bench.give(POLICY)
        yield bench


def names(*hours: int) -> list[str]:
    return [f"hourly-20261118T{hour}0000Z" for hour in hours]


def mark(snapshot: str, **changes: Any) -> SnapshotMark:
    return SnapshotMark(project="default", name="web", uuid="u-web", snapshot=snapshot, **changes)


def add_foreign(host: PolicyBench, name: str, created_at: str) -> None:
    found = host.lxd.holds["web"]
    host.lxd.holds["web"] = replace(found, snapshots=(*found.snapshots, name))
    host.lxd.created_at["web", name] = created_at


def test_of_its_own_snapshots_the_policy_keeps_what_its_retention_says(host: PolicyBench) -> None:
    host.until_hour(4)

    assert host.snapshots() == names(14, 15)
    runs = sorted(host.runs(), key=lambda run: run.slot)
    assert [run.pruned for run in runs] == [(), (), tuple(names(12)), tuple(names(13))]
    assert [run.pruned_count for run in runs] == [0, 0, 1, 1]
    assert {record.snapshot for record in host.store.snapshots_of("default", "u-web")} == set(
        names(14, 15)
    )
    assert [run.pruned_count for run in host.told] == [0, 0, 1, 1]


def test_what_others_made_is_never_pruned_whatever_it_is_called(host: PolicyBench) -> None:
    add_foreign(host, "by-hand", "2026-11-01T00:00:00Z")
    add_foreign(host, "hourly-20261101T000000Z", "2026-11-01T00:00:00Z")
    host.until_hour(4)

    assert host.snapshots() == ["by-hand", "hourly-20261101T000000Z", *names(14, 15)]


def test_a_namesake_with_another_time_of_creation_is_not_the_policys_own(
    host: PolicyBench,
) -> None:
    host.until_hour(2)
    host.lxd.created_at["web", names(12)[0]] = "2026-11-18T12:30:00Z"
    host.until_hour(2)

    assert host.snapshots() == names(12, 14, 15)


def test_the_snapshots_of_a_copy_are_not_the_policys_own(host: PolicyBench) -> None:
    host.until_hour(2)
    host.lxd.holds["copy"] = replace(host.lxd.holds["web"], uuid="u-copy", name="copy")
    for name in host.snapshots():
        host.lxd.created_at["copy", name] = host.lxd.created_at["web", name]
    host.give(replace(POLICY, selection=Selection(names=("*",))))
    host.until_hour(3)

    assert host.snapshots("copy")[:2] == names(12, 13)
    assert len(host.snapshots("copy")) == 4


def copy_with_its_uuid(host: PolicyBench, name: str) -> None:
    """Copy `web`, and restore a snapshot in the copy: LXD then gives it the uuid of `web`."""
    host.lxd.holds[name] = replace(
        host.lxd.holds["web"], name=name, created_at="2026-11-18T13:00:09Z"
    )
    for snapshot in host.snapshots():
        host.lxd.created_at[name, snapshot] = host.lxd.created_at["web", snapshot]


@pytest.mark.parametrize("selection", [ONLY_WEB, Selection(names=("keep",)), EVERYTHING])
def test_while_two_instances_have_one_uuid_nothing_is_pruned_and_it_is_told(
    host: PolicyBench, selection: Selection
) -> None:
    host.until_hour(2)
    copy_with_its_uuid(host, "keep")
    host.give(replace(POLICY, selection=selection))
    host.until_hour(3)

    assert host.snapshots("keep") == host.snapshots("web") == names(12, 13)
    last = max(host.runs(), key=lambda run: run.slot)
    assert (last.state, last.code) == (RunState.SKIPPED, "duplicate_uuid")
    assert host.store.failures()[POLICY.id, "u-web"].code == "duplicate_uuid"


def test_what_a_copy_has_is_not_the_policys_own_though_the_original_is_gone(
    host: PolicyBench,
) -> None:
    host.until_hour(2)
    copy_with_its_uuid(host, "keep")
    del host.lxd.holds["web"]
    host.give(replace(POLICY, selection=EVERYTHING))
    host.until_hour(4)

    assert host.snapshots("keep") == names(12, 13, 16, 17)
    listed = host.policies.snapshots("default", "keep", "u-web").snapshots
    assert [one.policy for one in listed] == ["", "", "hourly", "hourly"]


def test_an_original_goes_on_when_its_copy_has_got_another_uuid(host: PolicyBench) -> None:
    host.until_hour(2)
    copy_with_its_uuid(host, "keep")
    host.until_hour()
    host.lxd.holds["keep"] = replace(host.lxd.holds["keep"], uuid="u-keep")
    host.until_hour(2)

    assert host.snapshots("keep") == names(12, 13)
    assert host.snapshots("web") == names(15, 16)
    assert host.store.failures() == {}


def test_a_root_that_is_set_aside_and_brought_back_has_its_snapshots_still(
    host: PolicyBench,
) -> None:
    host.until_hour(2)
    aside = host.lxd.holds["web"]
    host.lxd.holds["web"] = replace(aside, snapshots=(), created_at="2026-11-18T13:30:00Z")
    host.until_hour(1)
    of_the_new_root = host.snapshots()
    host.lxd.holds["web"] = aside
    host.until_hour(2)

    assert of_the_new_root == names(14)
    assert host.snapshots() == names(15, 16)


def test_a_mark_is_refused_while_nobody_can_tell_of_which_instance_it_is(
    host: PolicyBench,
) -> None:
    host.until_hour()
    host.policies.mark_snapshot(mark(names(12)[0], protected=True))
    copy_with_its_uuid(host, "keep")

    with pytest.raises(InvalidInput):
        host.policies.mark_snapshot(replace(mark(names(12)[0]), name="keep"))
    del host.lxd.holds["keep"]
    (listed,) = host.policies.snapshots("default", "web", "u-web").snapshots
    assert listed.protected


def test_of_two_with_one_uuid_the_one_of_the_name_is_found(host: PolicyBench) -> None:
    copy_with_its_uuid(host, "a-copy")
    host.lxd.holds = {"a-copy": host.lxd.holds.pop("a-copy"), **host.lxd.holds}

    found = [host.policies.instances.find("default", name, "u-web") for name in ("web", "a-copy")]
    assert [one and one.name for one in found] == ["web", "a-copy"]


def test_what_somebody_has_protected_stays_and_counts_for_nothing(host: PolicyBench) -> None:
    host.until_hour()
    host.policies.mark_snapshot(mark(names(12)[0], protected=True))
    host.until_hour(3)

    assert host.snapshots() == names(12, 14, 15)
    host.policies.mark_snapshot(mark(names(12)[0]))
    host.until_hour()
    assert host.snapshots() == names(15, 16)


def test_a_tag_that_the_policy_keeps_keeps_a_snapshot(host: PolicyBench) -> None:
    host.give(replace(POLICY, retention=Retention(keep_last=1, keep_tags=("release",))))
    host.until_hour()
    host.policies.mark_snapshot(mark(names(12)[0], tags=("release",)))
    host.until_hour(3)

    assert host.snapshots() == names(12, 15)


def test_what_expires_in_lxd_is_left_to_lxd_and_not_counted_on(host: PolicyBench) -> None:
    host.until_hour(2)
    host.lxd.expires_at["web", names(13)[0]] = "2026-12-01T00:00:00Z"
    host.until_hour(2)

    assert host.snapshots() == names(13, 14, 15)
    stock = host.store.stock_of("default", "u-web", host.clock.now())
    assert stock.snapshots == 2


def test_a_snapshot_that_is_not_there_cannot_be_marked(host: PolicyBench) -> None:
    with pytest.raises(SnapshotNotFound):
        host.policies.mark_snapshot(mark("nope", protected=True))
    host.until_hour()
    with pytest.raises(InvalidInput):
        host.policies.mark_snapshot(mark(names(12)[0], tags=("a b",)))


def test_marks_of_others_snapshots_are_listed_with_their_policy(host: PolicyBench) -> None:
    add_foreign(host, "by-hand", "2026-11-01T00:00:00Z")
    host.policies.mark_snapshot(mark("by-hand", protected=True, tags=("a", "b")))
    host.until_hour()

    listed = host.policies.snapshots("default", "web", "u-web").snapshots
    assert [(one.name, one.policy, one.protected, one.tags) for one in listed] == [
        ("by-hand", "", True, ("a", "b")),
        (names(12)[0], "hourly", False, ()),
    ]


def _of_another_boot(host: PolicyBench) -> None:
    host.boot = ("boot-2", 0.0)


def _jumped_ahead(host: PolicyBench) -> None:
    # To the time since boot nothing has happened.
    host.clock._unix_at_0 += 400


def _jumped_back(host: PolicyBench) -> None:
    host.clock._unix_at_0 -= 400


@pytest.mark.parametrize("happens", [_of_another_boot, _jumped_ahead, _jumped_back])
def test_a_clock_that_may_be_wrong_prunes_nothing_until_the_centre_confirms_it(
    host: PolicyBench, happens: Callable[[PolicyBench], None]
) -> None:
    host.until_hour(2)
    happens(host)
    host.until_hour(2)
    deleted = host.lxd.asked.count(Step.DELETE_SNAPSHOT)
    trusted = host.policies.clock_guard.trusted
    host.kill()
    still = host.policies.clock_guard.trusted
    plan = host.policies.plan.plan
    host.policies.set_plan(replace(plan, clock=f"{host.clock.unix() + 299}"))
    host.until_hour()

    assert (deleted, trusted, still) == (0, False, False)
    assert host.policies.clock_guard.trusted
    assert len(host.snapshots()) == 2


A_YEAR_S = 365 * 86400


def test_what_a_clock_that_was_behind_has_taken_is_not_pruned_as_the_oldest(
    host: PolicyBench,
) -> None:
    host.until_hour(2)
    before = host.snapshots()
    host.boot = ("boot-2", 0.0)
    host.clock._unix_at_0 -= A_YEAR_S
    host.kill()
    host.until_hour(3)
    behind = [one for one in host.snapshots() if one not in before]
    host.clock._unix_at_0 += A_YEAR_S
    host.give(POLICY)
    host.until_hour(3)

    assert len(behind) == 2
    assert host.snapshots() == [*behind, *names(18, 19)]
    held = host.store.snapshots_of("default", "u-web")
    assert {one.snapshot for one in held if one.misdated} == set(behind)


def test_what_a_clock_that_was_ahead_has_taken_makes_no_later_one_suspect(
    host: PolicyBench,
) -> None:
    host.until_hour(1)
    host.clock._unix_at_0 += 86400
    host.until_hour(1)
    ahead = host.snapshots()[-1]
    host.clock._unix_at_0 -= 86400
    host.give(POLICY)
    host.until_hour(3)

    assert host.snapshots() == [ahead, *names(15, 16)]
    assert not [one for one in host.store.snapshots_of("default", "u-web") if one.misdated]


@pytest.mark.parametrize("clock", ["0", "soon", "nan", "inf"])
def test_a_clock_that_disagrees_with_the_centres_prunes_nothing(
    host: PolicyBench, clock: str
) -> None:
    plan = host.policies.plan.plan
    host.policies.set_plan(replace(plan, clock=clock))
    host.until_hour(4)

    assert host.snapshots() == names(12, 13, 14, 15)


def test_an_agreed_clock_is_believed_after_a_restart_of_the_worker(host: PolicyBench) -> None:
    host.until_hour(2)
    host.kill()
    host.until_hour(2)

    assert host.snapshots() == names(14, 15)


def test_what_a_deleted_policy_took_stays(host: PolicyBench) -> None:
    host.until_hour(2)
    host.give()
    host.until_hour(2)

    assert host.snapshots() == names(12, 13)


@pytest.mark.parametrize("policies", [(), (replace(POLICY, selection=Selection(names=("db",))),)])
def test_a_policy_that_is_deleted_or_narrowed_in_the_middle_of_a_run_prunes_no_more(
    host: PolicyBench, policies: tuple[Any, ...]
) -> None:
    host.until_hour(2)
    host.to_full_hour()
    host.policies.scheduler.work()
    host.step()
    host.give(*policies)
    host.work()

    assert host.snapshots() == names(12, 13, 14)


def test_a_retention_that_keeps_more_is_asked_again_before_each_snapshot(
    host: PolicyBench,
) -> None:
    host.give(replace(POLICY, retention=Retention(keep_last=9)))
    host.until_hour(4)
    host.give(POLICY)
    host.to_full_hour()
    host.policies.scheduler.work()
    while not host.lxd.asked.count(Step.DELETE_SNAPSHOT):
        host.step()
    host.give(replace(POLICY, retention=Retention(keep_last=9)))
    host.work()

    assert host.snapshots() == names(13, 14, 15, 16)


def test_while_lxd_works_with_the_instance_nothing_is_pruned(host: PolicyBench) -> None:
    host.until_hour(2)
    host.lxd.used.add("web")
    host.until_hour(2)
    held = host.snapshots()
    host.lxd.used.clear()
    host.clock.advance(60)
    host.work()

    assert held == names(12, 13, 14, 15)
    assert host.snapshots() == names(14, 15)


def test_what_was_not_pruned_until_the_next_slot_is_left_to_that_run(host: PolicyBench) -> None:
    host.until_hour(2)
    host.lxd.used.add("web")
    host.until_hour(2)

    phases = {host.store.find_run(run.operation_id).phase for run in host.runs()}
    waiting = [one for one in host.store.unfinished_runs() if one.phase is Phase.PRUNING]
    assert phases == {Phase.OVER, Phase.PRUNING}
    assert [one.run.slot for one in waiting] == ["2026-11-18T15:00:00Z"]


def test_a_snapshot_that_lxd_refuses_to_delete_is_left_and_the_others_go(
    host: PolicyBench,
) -> None:
    host.give(replace(POLICY, retention=Retention(keep_last=9)))
    host.until_hour(3)
    host.give(replace(POLICY, retention=Retention(keep_last=1)))
    host.lxd.refuses[Step.DELETE_SNAPSHOT] = LxdRefused("it is in use")
    host.until_hour()
    held = host.snapshots()
    host.lxd.refuses.clear()
    host.until_hour()

    assert held == names(12, 13, 14, 15)
    assert host.snapshots() == names(16)
    assert {run.state for run in host.runs()} == {RunState.TAKEN}


@pytest.mark.parametrize("killed_after", range(8))
def test_a_worker_that_is_killed_while_it_prunes_keeps_what_the_policy_keeps(
    host: PolicyBench, killed_after: int
) -> None:
    host.until_hour(2)
    host.to_full_hour()
    host.policies.scheduler.work()
    for _ in range(killed_after):
        host.step()
        host.policies.scheduler.work()

    host.kill()
    host.work()
    host.clock.advance(60)
    host.work()

    assert host.snapshots() == names(13, 14)
    assert host.lxd.asked.count(Step.DELETE_SNAPSHOT) == 1
    (last,) = [run for run in host.runs() if run.slot == "2026-11-18T14:00:00Z"]
    assert (last.pruned, last.pruned_count) == (tuple(names(12)), 1)
    assert host.store.unfinished_runs() == []


def test_a_namesake_that_is_made_after_the_deletion_was_accepted_stays(
    host: PolicyBench,
) -> None:
    host.until_hour(2)
    host.to_full_hour()
    host.policies.scheduler.work()
    while not any(one.operation.kind is Kind.DELETE_SNAPSHOT for one in host.bench.spawned):
        host.step()
        host.policies.scheduler.work()
    host.lxd.created_at["web", names(12)[0]] = "2026-11-18T14:00:01Z"
    host.clock.advance(30)
    host.kill()
    host.work()

    assert host.snapshots() == names(12, 13, 14)
    assert host.store.unfinished_runs() == []


def test_nothing_is_pruned_after_a_slot_that_brought_no_snapshot(host: PolicyBench) -> None:
    host.until_hour(2)
    host.give(replace(POLICY, retention=Retention(keep_last=1)))
    host.lxd.refuses[Step.SNAPSHOT] = LxdRefused("no space left on device")
    host.until_hour(3)

    assert host.snapshots() == names(12, 13)


def test_a_snapshot_that_is_being_deleted_can_no_longer_be_protected(host: PolicyBench) -> None:
    host.until_hour()
    deletion = a_submission(
        Kind.DELETE_SNAPSHOT, "web", Arguments(snapshot=names(12)[0]), start_within_s=60.0
    )
    host.bench.operations.submit(deletion)

    with pytest.raises(SnapshotNotFound):
        host.policies.mark_snapshot(mark(names(12)[0], protected=True))


def test_records_of_what_is_gone_are_kept_as_long_as_the_journal(host: PolicyBench) -> None:
    host.until_hour()
    host.lxd.memory = {("default", one.name): one for one in host.lxd.instances()}
    gone = host.lxd.memory.pop(("default", "web"))
    week_s = 7 * 86400

    host.policies.tidy(week_s)
    host.clock.advance(week_s - 1)
    host.policies.tidy(week_s)
    kept = host.store.snapshots_of("default", gone.uuid)
    host.clock.advance(2)
    host.policies.tidy(week_s)

    assert len(kept) == 1
    assert host.store.snapshots_of("default", gone.uuid) == []


def _while_lxd_is_asked(host: PolicyBench, happens: Callable[[], object]) -> list[str]:
    """Have something happen between the judgement and the deletion, once."""
    asked: list[str] = []
    real = host.lxd.is_in_use

    def is_in_use(project: str, name: str) -> bool:
        if not asked:
            asked.append(name)
            happens()
        return bool(real(project, name))

    host.lxd.is_in_use = is_in_use
    return asked


def test_what_is_protected_after_it_was_judged_is_not_deleted(host: PolicyBench) -> None:
    host.until_hour(2)
    oldest = mark(names(12)[0], protected=True)
    asked = _while_lxd_is_asked(host, lambda: host.policies.mark_snapshot(oldest))
    host.until_hour()

    assert asked
    assert host.snapshots() == names(12, 13, 14)


def test_what_a_new_plan_keeps_after_it_was_judged_is_not_deleted(host: PolicyBench) -> None:
    host.until_hour(2)
    wider = replace(POLICY, retention=Retention(keep_last=100))
    asked = _while_lxd_is_asked(host, lambda: host.give(wider))
    host.until_hour()

    assert asked
    assert host.snapshots() == names(12, 13, 14)


def test_a_clock_that_jumps_after_the_judgement_deletes_nothing(host: PolicyBench) -> None:
    host.until_hour(2)
    asked = _while_lxd_is_asked(host, lambda: _jumped_ahead(host))
    host.until_hour()

    assert asked
    assert host.snapshots() == names(12, 13, 14)


@pytest.mark.parametrize("wider", [True, False])
def test_nobody_marks_or_plans_between_the_last_judgement_and_the_acceptance(
    host: PolicyBench, wider: bool
) -> None:
    host.until_hour(2)
    told: list[str] = []
    operations = host.policies.scheduler.steps.pruning.operations

    def change() -> None:
        try:
            if wider:
                host.give(replace(POLICY, retention=Retention(keep_last=100)))
            else:
                host.policies.mark_snapshot(mark(names(12)[0], protected=True))
        except SnapshotNotFound:
            told.append("gone")

    threads: list[Thread] = []

    class Slow:
        def submit(self, submission: Submission) -> Operation:
            if submission.kind is Kind.DELETE_SNAPSHOT:
                threads.append(Thread(target=change))
                threads[0].start()
                threads[0].join(0.2)
                told.append("waits" if threads[0].is_alive() else "done")
            return operations.submit(submission)

    object.__setattr__(host.policies.scheduler.steps.pruning, "operations", Slow())
    host.to_full_hour()
    host.policies.scheduler.work()
    while not threads:
        host.step()
        host.policies.scheduler.work()
    threads[0].join(10)
    host.work()

    assert told == (["waits"] if wider else ["waits", "gone"])
    assert host.snapshots() == names(13, 14)


def test_a_list_from_before_a_snapshot_was_recorded_says_nothing_of_it(host: PolicyBench) -> None:
    host.until_hour(1)
    recorded = host.store.snapshots_of("default", "u-web")
    listed = host.lxd.snapshots("default", "web")
    (web,) = [one for one in host.lxd.instances() if one.name == "web"]
    host.until_hour(1)
    host.store.reconcile(web, recorded, listed, host.clock.unix())
    stock = host.store.stock_of("default", "u-web", host.clock.now())
    host.clock.advance(8 * 86400)
    host.policies.tidy(7 * 86400)

    assert stock.snapshots == 2
    assert len(host.store.snapshots_of("default", "u-web")) == 2


def test_a_mark_on_one_of_too_many_snapshots_makes_none_of_the_others_missing(
    host: PolicyBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.lxd_worker.instance_queries.MOST_SNAPSHOTS", 1)
    host.until_hour(2)
    host.policies.mark_snapshot(mark(names(13)[0], protected=True))

    assert host.store.stock_of("default", "u-web", host.clock.now()).snapshots == 2


def test_a_snapshot_that_is_beyond_what_is_listed_can_be_protected(
    host: PolicyBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.lxd_worker.instance_queries.MOST_SNAPSHOTS", 1)
    host.until_hour(2)
    host.policies.mark_snapshot(mark(names(12)[0], protected=True))
    host.until_hour(2)

    assert host.snapshots() == names(12, 14, 15)
