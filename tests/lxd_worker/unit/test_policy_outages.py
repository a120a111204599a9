"""No room for the worker's database, a broker that is away, an LXD that is busy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from services.lxd_worker.policies.outbox import policy_run_outbox
from services.lxd_worker.policies.runs import MOST_ATTEMPTS
from services.lxd_worker.policies.store import MOST_RUNS
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import BrokerUnavailable, DatabaseUnavailable, LxdRefused
from shared.contracts.events import PolicyRunChanged
from shared.contracts.operations import Kind
from shared.contracts.policies import RunRequest, RunState, Schedule, Selection
from tests.support.builders import a_submission
from tests.support.lxd_worker.observations import observation
from tests.support.lxd_worker.policies import PolicyBench, a_policy, policy_bench

POLICY = a_policy(selection=Selection(names=("web",)))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[PolicyBench]:
    with policy_bench(tmp_path) as bench:
        bench.give(POLICY)
        yield bench


def limit(host: PolicyBench, pages: int) -> None:
    """Let the database have so many pages, beside those that it has."""

    def work(connection: Any) -> None:
        used = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count={used + pages}")

    host.database.transaction(work)


@pytest.mark.parametrize("pages", [0, 1, 2, 3])
def test_on_a_full_disk_nothing_is_taken_that_is_not_recorded_and_later_all_goes_on(
    host: PolicyBench, pages: int
) -> None:
    host.until_hour(2)
    limit(host, pages)
    # An operation under way waits for room.
    host.clock.on_sleep = lambda: limit(host, 1_000_000)
    host.to_full_hour()
    for _ in range(20):
        try:
            host.policies.scheduler.work()
            host.step()
        except DatabaseUnavailable:
            host.clock.advance(1)
    taken = host.lxd.asked.count(Step.SNAPSHOT)
    limit(host, 1_000_000)
    host.kill()
    host.work()
    host.clock.advance(60)
    host.work()
    host.until_hour()

    assert taken in (2, 3)
    states = {run.slot[11:13]: run.state for run in host.runs()}
    assert states == dict.fromkeys(("12", "13", "14", "15"), RunState.TAKEN)
    assert host.snapshots() == ["hourly-20261118T140000Z", "hourly-20261118T150000Z"]
    assert host.lxd.asked.count(Step.SNAPSHOT) == 4


def test_while_the_broker_is_away_for_ten_slots_all_are_taken_and_later_told_in_order(
    host: PolicyBench,
) -> None:
    outbox = policy_run_outbox(host.store, host.wire.publish, lambda: None, lambda *_: None)
    host.wire.cut = 10
    for _ in range(10):
        host.until_hour()
        with pytest.raises(BrokerUnavailable):
            outbox.publish_unconfirmed()
    outbox.publish_unconfirmed()

    told = [one.run for one in host.wire.sent if isinstance(one, PolicyRunChanged)]
    assert [run.slot[11:13] for run in told] == [str(hour) for hour in range(12, 22)]
    assert {run.state for run in told} == {RunState.TAKEN}
    assert len(host.snapshots()) == 2


def busy(host: PolicyBench) -> None:
    """Let an operation hold the instance, and end never."""
    host.bench.operations.submit(a_submission(Kind.STOP, "web", start_within_s=9000.0))
    host.bench.spawned.clear()


def out_of_reach(host: PolicyBench, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """Let a method of the store fail once."""
    real = getattr(host.store, method)

    def fails(*_: Any) -> None:
        monkeypatch.setattr(host.store, method, real)
        raise DatabaseUnavailable

    monkeypatch.setattr(host.store, method, fails)


def test_a_slot_goes_on_though_the_one_before_could_not_be_given_up(
    host: PolicyBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy(host)
    host.until_hour()
    out_of_reach(host, monkeypatch, "advance_runs")
    host.to_full_hour()
    with pytest.raises(DatabaseUnavailable):
        host.policies.scheduler.work()

    host.bench.spawned += host.bench.journal.unfinished()
    for _ in range(10):
        host.clock.advance(30)
        host.work()

    assert {run.slot[11:13]: run.state for run in host.runs()} == {
        "12": RunState.TAKEN,
        "13": RunState.TAKEN,
    }


def test_a_run_that_was_recorded_though_the_database_said_no_goes_on_within_a_minute(
    host: PolicyBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = host.store.begin_runs

    def fails(*slot: Any) -> None:
        real(*slot)
        raise DatabaseUnavailable

    monkeypatch.setattr(host.store, "begin_runs", fails)
    with pytest.raises(DatabaseUnavailable):
        host.policies.run_policy(RunRequest(policy_id=POLICY.id, at="2026-11-18T11:06:41Z"))
    host.work()
    before = host.snapshots()
    host.clock.advance(60)
    host.work()

    assert before == []
    assert [(run.slot, run.state) for run in host.runs()] == [
        ("2026-11-18T11:06:41Z", RunState.TAKEN)
    ]


def test_what_waits_of_a_slot_is_given_up_in_one_transaction(
    host: PolicyBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(50):
        host.lxd.holds[f"web{number}"] = observation(uuid=f"u-web{number}")
    host.bench.most_unfinished = 1
    busy(host)
    host.give(replace(POLICY, selection=Selection(names=("web*",)), at_once=1))
    host.to_full_hour()
    host.policies.scheduler.work()
    host.due.clear()
    done: list[object] = []
    real = host.database.transaction
    monkeypatch.setattr(
        type(host.database), "transaction", lambda _, *work: (done.append(work), real(*work))[1]
    )
    host.to_full_hour()
    host.policies.scheduler.work()

    skipped = [run for run in host.runs() if run.state is RunState.SKIPPED]
    assert len(skipped) == 50
    assert len(done) < 10


def test_a_busy_lxd_is_waited_for(host: PolicyBench) -> None:
    host.lxd.busy = {Step.SNAPSHOT: 3}
    host.until_hour()

    (run,) = host.runs()
    assert run.state is RunState.TAKEN
    assert host.lxd.asked.count(Step.SNAPSHOT) == 1


def test_a_lxd_that_is_busy_for_longer_than_an_operation_waits_costs_no_slot(
    host: PolicyBench,
) -> None:
    host.give(a_policy(selection=Selection(names=("web",)), schedule=Schedule(cron="0 2 * * *")))
    host.clock.advance(15 * 3600)
    host.lxd.busy = {Step.SNAPSHOT: 10**6}
    host.lxd.used.add("web")
    host.work()
    for _ in range(20):
        host.clock.advance(30)
        host.work()
        host.kill()
    tried = len(host.bench.journal.since(0, 100))
    host.lxd.busy.clear()
    host.lxd.used.clear()
    host.clock.advance(60)
    host.work()

    (run,) = host.runs()
    assert (run.state, run.slot) == (RunState.TAKEN, "2026-11-19T02:00:00Z")
    assert tried == 1
    assert host.snapshots() == [run.snapshot]
    assert host.lxd.asked.count(Step.SNAPSHOT) == 1
    assert host.store.failures() == {}


def test_a_lxd_that_is_always_busy_is_not_asked_for_ever(host: PolicyBench) -> None:
    host.give(a_policy(selection=Selection(names=("web",)), schedule=Schedule(cron="0 2 * * *")))
    host.clock.advance(15 * 3600)
    host.lxd.busy = {Step.SNAPSHOT: 10**6}
    for _ in range(60):
        host.clock.advance(60)
        host.work()

    (run,) = host.runs()
    assert (run.state, run.code) == (RunState.FAILED, "lxd_busy")
    assert len(host.bench.journal.since(0, 100)) == MOST_ATTEMPTS + 1


def test_a_busy_lxd_is_tried_until_the_next_slot_is_due(host: PolicyBench) -> None:
    host.lxd.busy = {Step.SNAPSHOT: 10**6}
    host.lxd.used.add("web")
    host.until_hour()
    host.lxd.busy.clear()
    host.until_hour()
    host.lxd.used.clear()
    host.clock.advance(60)
    host.work()

    assert sorted((run.slot[11:13], run.state, run.code) for run in host.runs()) == [
        ("12", RunState.SKIPPED, "busy"),
        ("13", RunState.TAKEN, ""),
    ]


def test_the_history_of_runs_has_an_end(host: PolicyBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.lxd_worker.policies.store.MOST_RUNS", 3)
    host.until_hour(5)

    host.policies.tidy(7 * 86400)

    assert [run.slot[11:13] for run in host.runs()] == ["14", "15", "16"]
    assert MOST_RUNS > 100_000


def test_runs_that_were_told_go_with_the_journal(host: PolicyBench) -> None:
    host.until_hour(2)
    policy_run_outbox(host.store, host.wire.publish, list, lambda *_: None).publish_unconfirmed()

    host.policies.tidy(-10 * 365 * 86400)

    assert host.runs() == []


def test_a_row_that_cannot_be_read_hides_no_other(host: PolicyBench) -> None:
    host.until_hour(2)
    first = host.runs()[0]

    def damage(connection: Any) -> None:
        connection.exec_driver_sql(
            "UPDATE policy_runs SET run = x'00' WHERE operation_id = ?", (first.operation_id,)
        )

    host.database.transaction(damage)

    assert len(host.runs()) == 1
    assert len(host.store.unconfirmed_runs(10)) == 1
    host.until_hour()
    assert len(host.runs()) == 2


def test_failures_go_with_the_instance_and_stay_while_nobody_knows_which_there_are(
    host: PolicyBench,
) -> None:
    host.give(replace(POLICY, selection=Selection(names=("*",))))
    host.lxd.refuses[Step.SNAPSHOT] = LxdRefused("no space left on device")
    host.until_hour()
    week_s = 7 * 86400.0
    host.policies.tidy(week_s)
    unknown = host.store.failures()
    host.lxd.memory = {("default", one.name): one for one in host.lxd.instances()}
    del host.lxd.memory["default", "web"]
    host.policies.tidy(week_s)

    assert {uuid for _, uuid in unknown} == {"u-web", "u-db"}
    assert {uuid for _, uuid in host.store.failures()} == {"u-db"}
