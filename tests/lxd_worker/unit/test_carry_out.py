"""Operations from acceptance to their end, and from whatever a crash left of them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from services.lxd_worker.journal.protocol import Change
from services.lxd_worker.operations.runner import OperationRunner
from services.lxd_worker.ports import ObservedInstance
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import LxdRefused
from shared.contracts.operations import Arguments, Kind, Operation, State, Submission
from tests.support.lxd_worker.bench import Bench
from tests.support.lxd_worker.looks import seen

FORCE = Arguments(force=True)


def submitted(bench: Bench, kind: Kind, instance: str = "web", **changes: Any) -> None:
    """Hand operation `op` over, and let nobody work on it yet."""
    found = bench.lxd.holds[instance]
    wanted = {"host": "h1", "principal": "admin", "start_by": "1060.0", "uuid": found.uuid}
    order = Submission(operation_id="op", kind=kind, instance=instance, **(wanted | changes))
    bench.operations.submit(order)


def ended(bench: Bench, kind: Kind, instance: str = "web", **changes: Any) -> Operation:
    submitted(bench, kind, instance, **changes)
    bench.work()
    return bench.operation("op")


def failure_of(operation: Operation) -> str | None:
    return operation.failure.code if operation.failure else None


@pytest.mark.parametrize(
    ("kind", "instance", "arguments", "steps", "status"),
    [
        (Kind.START, "db", Arguments(), [Step.START], "Running"),
        (Kind.STOP, "web", Arguments(), [Step.STOP], "Stopped"),
        (Kind.STOP, "web", FORCE, [Step.FORCE_STOP], "Stopped"),
        (Kind.RESTART, "web", Arguments(), [Step.RESTART], "Running"),
        (Kind.FREEZE, "web", Arguments(), [Step.FREEZE], "Frozen"),
    ],
)
def test_an_operation_ends_with_the_instance_as_it_stands_then(
    bench: Bench, kind: Kind, instance: str, arguments: Arguments, steps: list[Step], status: str
) -> None:
    operation = ended(bench, kind, instance, arguments=arguments)

    assert (operation.state, operation.changed) == (State.DONE, True)
    assert bench.lxd.asked == steps
    assert operation.after is not None
    assert (operation.after.status, operation.after_epoch) == (status, 3)


def test_a_deleted_instance_leaves_none_behind(bench: Bench) -> None:
    operation = ended(bench, Kind.DELETE, arguments=FORCE)

    assert operation.state is State.DONE
    assert bench.lxd.asked == [Step.FORCE_STOP, Step.DELETE]
    assert (operation.after, operation.after_epoch) == (None, 0)


def test_what_is_already_as_asked_is_done_without_asking_lxd(bench: Bench) -> None:
    operation = ended(bench, Kind.START)

    assert (operation.state, operation.changed) == (State.DONE, False)
    assert bench.lxd.asked == []
    assert operation.started_at


def test_what_cannot_be_done_fails_without_asking_lxd(bench: Bench) -> None:
    operation = ended(bench, Kind.RESTART, "db")

    assert (operation.state, failure_of(operation)) == (State.FAILED, "instance_not_running")
    assert operation.changed is False
    assert bench.lxd.asked == []


def test_a_guest_that_does_not_stop_is_stopped_by_force(bench: Bench) -> None:
    bench.lxd.refuses[Step.STOP] = LxdRefused("time-out")

    operation = ended(bench, Kind.STOP)

    assert operation.state is State.DONE
    assert bench.lxd.asked == [Step.STOP, Step.FORCE_STOP]


def test_lxds_reason_is_the_operations_reason(bench: Bench) -> None:
    bench.lxd.refuses[Step.START] = LxdRefused("no root device")

    operation = ended(bench, Kind.START, "db")

    assert operation.state is State.FAILED
    assert operation.failure is not None
    assert (operation.failure.code, operation.failure.values) == ("lxd_refused", ["no root device"])


@pytest.mark.parametrize("at_once", [False, True])
def test_while_lxd_is_busy_with_the_instance_it_is_asked_again(bench: Bench, at_once: bool) -> None:
    bench.lxd.busy[Step.START], bench.lxd.busy_at_once = 3, at_once

    operation = ended(bench, Kind.START, "db")

    assert (operation.state, operation.changed) == (State.DONE, True)
    assert bench.lxd.asked == [Step.START]


def test_an_lxd_that_stays_busy_is_a_failure_that_may_be_tried_again(bench: Bench) -> None:
    bench.lxd.busy[Step.STOP] = 1_000

    operation = ended(bench, Kind.STOP)

    assert (operation.state, failure_of(operation)) == (State.FAILED, "lxd_busy")
    assert bench.clock.seconds < 1_000.0 + 31.0
    assert bench.lxd.asked == []


def test_an_operations_own_time_bounds_the_wait_for_a_busy_lxd(bench: Bench) -> None:
    bench.lxd.busy[Step.STOP] = 1_000

    operation = ended(bench, Kind.STOP, timeout_s=2.0)

    assert failure_of(operation) == "lxd_busy"
    assert bench.clock.seconds < 1_000.0 + 3.0


def test_after_a_crash_no_refusal_of_before_hides_what_was_asked_again(bench: Bench) -> None:
    bench.lxd.busy[Step.START] = 1
    submitted(bench, Kind.START, "db")
    bench.lxd.unanswered = {Step.START}

    bench.work()

    assert bench.operation("op").state is State.DONE


def test_every_step_is_in_the_journal_before_lxd_hears_of_it(bench: Bench) -> None:
    ended(bench, Kind.DELETE, arguments=FORCE)

    story = [
        (one.operation.state, one.operation.step, bool(one.lxd_operation))
        for one in bench.journal.written
    ]
    assert story == [
        (State.ACCEPTED, "", False),
        (State.RUNNING, "force-stop", False),
        (State.RUNNING, "force-stop", True),
        (State.RUNNING, "delete", False),
        (State.RUNNING, "delete", True),
        (State.DONE, "delete", True),
    ]


def test_a_namesake_that_took_the_instances_place_is_left_alone(bench: Bench) -> None:
    submitted(bench, Kind.STOP)
    bench.lxd.holds["web"] = seen(uuid="u-new")

    bench.work()

    operation = bench.operation("op")
    assert (operation.state, failure_of(operation)) == (State.FAILED, "instance_replaced")
    assert operation.after is None
    assert bench.lxd.asked == []


def test_an_instance_that_lxd_gives_its_first_uuid_at_the_start_is_still_the_same(
    bench: Bench,
) -> None:
    bench.lxd.holds["db"] = replace(bench.lxd.holds["db"], uuid="")
    bench.lxd.new_uuid = "u-given"

    operation = ended(bench, Kind.START, "db")

    assert operation.state is State.DONE
    assert operation.after is not None
    assert operation.after.uuid == "u-given"


def test_an_operation_begins_late_but_in_time_when_lxd_comes_back(bench: Bench) -> None:
    submitted(bench, Kind.STOP)
    bench.lxd.away = 30

    bench.work()

    assert bench.operation("op").state is State.DONE


def test_an_operation_that_could_not_begin_in_time_never_begins(bench: Bench) -> None:
    submitted(bench, Kind.STOP)
    bench.lxd.away = 90

    bench.work()

    operation = bench.operation("op")
    assert (operation.state, failure_of(operation)) == (State.CANCELLED, "operation_expired")
    assert bench.lxd.asked == []


def test_a_lost_answer_is_made_up_for_by_evidence(bench: Bench) -> None:
    bench.lxd.unanswered = {Step.FORCE_STOP}

    operation = ended(bench, Kind.DELETE, arguments=FORCE)

    assert operation.state is State.DONE
    assert bench.lxd.asked == [Step.FORCE_STOP, Step.DELETE]


def test_a_request_that_never_reached_lxd_is_not_repeated(bench: Bench) -> None:
    bench.lxd.unheard = {Step.STOP}

    operation = ended(bench, Kind.STOP)

    assert (operation.state, failure_of(operation)) == (State.FAILED, "step_interrupted")
    assert bench.lxd.asked == []
    assert bench.lxd.holds["web"].status == "Running"


def test_a_request_that_shows_late_is_waited_for(bench: Bench) -> None:
    bench.lxd.unanswered = {Step.STOP}
    bench.lxd.takes_s[Step.STOP] = 15.0

    operation = ended(bench, Kind.STOP)

    assert operation.state is State.DONE
    assert bench.lxd.asked == [Step.STOP]


def test_where_nothing_tells_what_became_of_a_step_the_outcome_is_unknown(bench: Bench) -> None:
    bench.lxd.unanswered = {Step.RESTART}
    submitted(bench, Kind.RESTART)
    bench.clock.on_sleep = lambda: bench.lxd.holds.update(web=seen("Stopped"))

    bench.work()

    operation = bench.operation("op")
    assert (operation.state, failure_of(operation)) == (State.UNKNOWN, "outcome_unknown")


def test_a_journal_that_cannot_be_written_stops_the_work_until_it_can(bench: Bench) -> None:
    submitted(bench, Kind.STOP)
    bench.journal.broken = True
    bench.clock.on_sleep = lambda: setattr(bench.journal, "broken", False)

    bench.work()

    assert bench.operation("op").state is State.DONE
    assert bench.lxd.asked == [Step.STOP]


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
    submitted(bench, Kind.STOP)

    assert after_crash(bench).state is State.DONE


def test_an_operation_that_was_only_accepted_too_long_ago_is_not(bench: Bench) -> None:
    submitted(bench, Kind.STOP)
    bench.clock.sleep(61)

    operation = after_crash(bench)

    assert (operation.state, failure_of(operation)) == (State.CANCELLED, "operation_expired")


def test_a_step_that_lxd_still_works_on_is_waited_for(bench: Bench) -> None:
    bench.lxd.takes_s[Step.STOP] = 25.0
    submitted(bench, Kind.STOP)
    begin = begun(bench, Step.STOP)
    lxd_operation = bench.lxd.request(Step.STOP, bench.entry("op"))

    operation = after_crash(bench, begin, lambda entry: entry.hand_over(lxd_operation))

    assert operation.state is State.DONE
    assert bench.lxd.asked == [Step.STOP]


def test_a_step_that_lxd_has_ended_and_forgotten_is_judged_by_evidence(bench: Bench) -> None:
    submitted(bench, Kind.DELETE, arguments=FORCE)
    begin = begun(bench, Step.FORCE_STOP)
    lxd_operation = bench.lxd.request(Step.FORCE_STOP, bench.entry("op"))
    bench.lxd.forgetful = True

    operation = after_crash(bench, begin, lambda entry: entry.hand_over(lxd_operation))

    assert operation.state is State.DONE
    assert bench.lxd.asked == [Step.FORCE_STOP, Step.DELETE]


def test_a_step_that_was_journalled_and_never_asked_for_is_not_made_up_for(bench: Bench) -> None:
    submitted(bench, Kind.START, "db")

    operation = after_crash(bench, begun(bench, Step.START, "db"))

    assert (operation.state, failure_of(operation)) == (State.FAILED, "step_interrupted")
    assert bench.lxd.asked == []


def test_an_overdue_step_that_lxd_cannot_cancel_goes_on_and_ends_truly(bench: Bench) -> None:
    bench.lxd.takes_s[Step.START] = 100.0

    operation = ended(bench, Kind.START, "db", timeout_s=10.0)

    assert (operation.state, operation.overdue) == (State.DONE, True)
    overdue = [one.operation for one in bench.journal.written if one.operation.overdue]
    assert overdue[0].state is State.RUNNING


def test_an_overdue_step_that_lxd_cancels_has_timed_out(bench: Bench) -> None:
    bench.lxd.takes_s[Step.START] = 100.0
    bench.lxd.cancellable = True

    operation = ended(bench, Kind.START, "db", timeout_s=10.0)

    assert (operation.state, failure_of(operation)) == (State.FAILED, "step_timed_out")
    assert bench.lxd.holds["db"].status == "Stopped"


def test_when_the_time_is_over_no_further_step_is_begun(bench: Bench) -> None:
    bench.lxd.takes_s[Step.STOP] = 30.0
    bench.lxd.refuses[Step.STOP] = LxdRefused("time-out")

    operation = ended(bench, Kind.STOP, timeout_s=10.0)

    assert (operation.state, failure_of(operation)) == (State.FAILED, "step_timed_out")
    assert bench.lxd.asked == [Step.STOP]


def test_a_step_that_lxd_can_cancel_is_cancelled_when_somebody_asks(bench: Bench) -> None:
    bench.lxd.takes_s[Step.START] = 100.0
    bench.lxd.cancellable = True
    submitted(bench, Kind.START, "db")
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

    operation = ended(bench, Kind.STOP)

    assert operation.state is State.UNKNOWN
    assert bench.journal.unfinished() == []
    assert "a bug" in caplog.text


def test_what_is_wrong_with_the_last_reading_holds_no_end_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(project: str, name: str) -> ObservedInstance:
        raise KeyError(name)

    monkeypatch.setattr(bench.lxd, "instance", break_down)

    operation = ended(bench, Kind.STOP)

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

    operation = ended(bench, Kind.STOP)

    assert (operation.state, operation.after) == (State.UNKNOWN, None)


def test_the_fleet_is_told_when_an_operation_begins_and_when_it_ends(bench: Bench) -> None:
    ended(bench, Kind.STOP)

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

    operation = ended(bench, kind)

    assert bench.lxd.asked == steps
    assert (operation.state, failure_of(operation)) == (State.FAILED, "no_effect")
