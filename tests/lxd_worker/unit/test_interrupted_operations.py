"""Operations that were interrupted, by a crash, a time-out or a bug, and how they go on."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from services.lxd_worker.journal.protocol import Change
from services.lxd_worker.operations.runner import OperationRunner
from services.lxd_worker.protocols import ObservedInstance
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import LxdRefused
from shared.contracts.operations import Arguments, Kind, Operation, State
from tests.support.lxd_worker.bench import Bench, failure_of

FORCE = Arguments(force=True)


def after_crash(bench: Bench, *changes: Change) -> Operation:
    """Journal these changes as a worker did that has died, then go on as its successor."""
    bench.spawned.clear()
    for change in changes:
        bench.journal.advance("op", change)
    (entry,) = bench.journal.unfinished()
    OperationRunner(bench.context, entry).run()
    return bench.operation("op")


def begun(bench: Bench, step: Step, instance: str = "web") -> Change:
    look = bench.lxd.holds[instance]
    return lambda entry: entry.begin(step, look, "then")


def test_an_operation_that_was_only_accepted_is_carried_on(bench: Bench) -> None:
    bench.submit(Kind.STOP)

    assert after_crash(bench).state is State.DONE


def test_an_operation_that_was_only_accepted_too_long_ago_is_not(bench: Bench) -> None:
    bench.submit(Kind.STOP)
    bench.clock.advance(61)

    operation = after_crash(bench)

    assert (operation.state, failure_of(operation)) == (State.CANCELLED, "operation_expired")


def test_a_step_that_lxd_still_works_on_is_waited_for(bench: Bench) -> None:
    bench.lxd.takes_s[Step.STOP] = 25.0
    bench.submit(Kind.STOP)
    begin = begun(bench, Step.STOP)
    lxd_operation = bench.lxd.request(Step.STOP, bench.entry("op"))

    operation = after_crash(bench, begin, lambda entry: entry.hand_over(lxd_operation))

    assert operation.state is State.DONE
    assert bench.lxd.asked == [Step.STOP]


def test_a_step_that_lxd_has_ended_and_forgotten_is_judged_by_evidence(bench: Bench) -> None:
    bench.submit(Kind.DELETE, arguments=FORCE)
    begin = begun(bench, Step.FORCE_STOP)
    lxd_operation = bench.lxd.request(Step.FORCE_STOP, bench.entry("op"))
    bench.lxd.forgetful = True

    operation = after_crash(bench, begin, lambda entry: entry.hand_over(lxd_operation))

    assert operation.state is State.DONE
    assert bench.lxd.asked == [Step.FORCE_STOP, Step.DELETE]


def test_a_step_that_was_journalled_and_never_asked_for_is_not_made_up_for(bench: Bench) -> None:
    bench.submit(Kind.START, "db")

    operation = after_crash(bench, begun(bench, Step.START, "db"))

    assert (operation.state, failure_of(operation)) == (State.FAILED, "step_interrupted")
    assert bench.lxd.asked == []


def test_an_overdue_step_that_lxd_cannot_cancel_goes_on_and_ends_truly(bench: Bench) -> None:
    bench.lxd.takes_s[Step.START] = 100.0

    operation = bench.run(Kind.START, "db", timeout_s=10.0)

    assert (operation.state, operation.overdue) == (State.DONE, True)
    overdue = [one.operation for one in bench.journal.written if one.operation.overdue]
    assert overdue[0].state is State.RUNNING


def test_an_overdue_step_that_lxd_cancels_has_timed_out(bench: Bench) -> None:
    bench.lxd.takes_s[Step.START] = 100.0
    bench.lxd.cancellable = True

    operation = bench.run(Kind.START, "db", timeout_s=10.0)

    assert (operation.state, failure_of(operation)) == (State.FAILED, "step_timed_out")
    assert bench.lxd.holds["db"].status == "Stopped"


def test_when_the_time_is_over_no_further_step_is_begun(bench: Bench) -> None:
    bench.lxd.takes_s[Step.STOP] = 30.0
    bench.lxd.refuses[Step.STOP] = LxdRefused("time-out")

    operation = bench.run(Kind.STOP, timeout_s=10.0)

    assert (operation.state, failure_of(operation)) == (State.FAILED, "step_timed_out")
    assert bench.lxd.asked == [Step.STOP]


def test_a_step_that_lxd_can_cancel_is_cancelled_when_somebody_asks(bench: Bench) -> None:
    bench.lxd.takes_s[Step.START] = 100.0
    bench.lxd.cancellable = True
    bench.submit(Kind.START, "db")
    states = []
    bench.lxd.on_wait = lambda: states.append(bench.operations.cancel("op").state)

    bench.work()

    operation = bench.operation("op")
    assert states == [State.CANCELLING]
    assert (operation.state, failure_of(operation)) == (State.CANCELLED, "cancelled")


def test_a_bug_ends_as_unknown_with_a_traceback_and_frees_the_instance(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    def break_down() -> None:
        raise ValueError("a bug")

    bench.lxd.on_wait = break_down

    operation = bench.run(Kind.STOP)

    assert operation.state is State.UNKNOWN
    assert bench.journal.unfinished() == []
    assert "a bug" in caplog.text


def test_what_is_wrong_with_the_last_reading_holds_no_end_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(project: str, name: str) -> ObservedInstance:
        raise KeyError(name)

    monkeypatch.setattr(bench.lxd, "instance", break_down)

    operation = bench.run(Kind.STOP)

    assert (operation.state, operation.after) == (State.DONE, None)
    assert bench.journal.unfinished() == []


def test_an_end_after_a_bug_waits_for_the_journal_only(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down() -> None:
        bench.journal.broken = True
        bench.lxd.away = 1_000
        bench.clock.on_sleep = lambda: setattr(bench.journal, "broken", False)
        raise ValueError("a bug")

    bench.lxd.on_wait = break_down

    operation = bench.run(Kind.STOP)

    assert (operation.state, operation.after) == (State.UNKNOWN, None)


def test_the_fleet_is_told_when_an_operation_begins_and_when_it_ends(bench: Bench) -> None:
    bench.run(Kind.STOP)

    assert len(bench.rings) == 2


@pytest.mark.parametrize(
    ("kind", "status", "steps"),
    [
        (Kind.START, "Stopped", [Step.START]),
        (Kind.RESTART, "Running", [Step.RESTART, Step.FORCE_RESTART]),
        (Kind.FREEZE, "Running", [Step.FREEZE]),
        (Kind.UNFREEZE, "Frozen", [Step.UNFREEZE]),
    ],
)
def test_what_lxd_only_says_it_has_done_has_failed(
    bench: Bench, kind: Kind, status: str, steps: list[Step]
) -> None:
    bench.lxd.holds["web"] = replace(bench.lxd.holds["web"], status=status)
    bench.lxd.claims.update(steps)

    operation = bench.run(kind)

    assert bench.lxd.asked == steps
    assert (operation.state, failure_of(operation)) == (State.FAILED, "no_effect")
