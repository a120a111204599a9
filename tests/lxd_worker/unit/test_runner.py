"""Operations from acceptance to their end, and from whatever a crash left of them."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import LxdRefused
from shared.contracts.operations import Arguments, Kind, State
from tests.support.lxd_worker.bench import Bench, failure_of
from tests.support.lxd_worker.observations import observation

FORCE = Arguments(force=True)


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
    operation = bench.run(kind, instance, arguments=arguments)

    assert (operation.state, operation.changed) == (State.DONE, True)
    assert bench.lxd.asked == steps
    assert operation.after is not None
    assert (operation.after.status, operation.after_epoch) == (status, 3)


def test_a_deleted_instance_leaves_none_behind(bench: Bench) -> None:
    operation = bench.run(Kind.DELETE, arguments=FORCE)

    assert operation.state is State.DONE
    assert bench.lxd.asked == [Step.FORCE_STOP, Step.DELETE]
    assert (operation.after, operation.after_epoch) == (None, 0)


def test_what_is_already_as_asked_is_done_without_asking_lxd(bench: Bench) -> None:
    operation = bench.run(Kind.START)

    assert (operation.state, operation.changed) == (State.DONE, False)
    assert bench.lxd.asked == []
    assert operation.started_at


def test_what_cannot_be_done_fails_without_asking_lxd(bench: Bench) -> None:
    operation = bench.run(Kind.RESTART, "db")

    assert (operation.state, failure_of(operation)) == (State.FAILED, "instance_not_running")
    assert operation.changed is False
    assert bench.lxd.asked == []


def test_a_guest_that_does_not_stop_is_stopped_by_force(bench: Bench) -> None:
    bench.lxd.refuses[Step.STOP] = LxdRefused("time-out")

    operation = bench.run(Kind.STOP)

    assert operation.state is State.DONE
    assert bench.lxd.asked == [Step.STOP, Step.FORCE_STOP]


def test_lxds_reason_is_the_operations_reason(bench: Bench) -> None:
    bench.lxd.refuses[Step.START] = LxdRefused("no root device")

    operation = bench.run(Kind.START, "db")

    assert operation.state is State.FAILED
    assert operation.failure is not None
    assert (operation.failure.code, operation.failure.values) == ("lxd_refused", ["no root device"])


@pytest.mark.parametrize("at_once", [False, True])
def test_while_lxd_is_busy_with_the_instance_it_is_asked_again(bench: Bench, at_once: bool) -> None:
    bench.lxd.busy[Step.START], bench.lxd.busy_at_once = 3, at_once

    operation = bench.run(Kind.START, "db")

    assert (operation.state, operation.changed) == (State.DONE, True)
    assert bench.lxd.asked == [Step.START]


def test_an_lxd_that_stays_busy_is_a_failure_that_may_be_tried_again(bench: Bench) -> None:
    bench.lxd.busy[Step.STOP] = 1_000

    operation = bench.run(Kind.STOP)

    assert (operation.state, failure_of(operation)) == (State.FAILED, "lxd_busy")
    assert bench.clock.seconds < 1_000.0 + 31.0
    assert bench.lxd.asked == []


def test_an_operations_own_time_bounds_the_wait_for_a_busy_lxd(bench: Bench) -> None:
    bench.lxd.busy[Step.STOP] = 1_000

    operation = bench.run(Kind.STOP, timeout_s=2.0)

    assert failure_of(operation) == "lxd_busy"
    assert bench.clock.seconds < 1_000.0 + 3.0


def test_after_a_crash_no_refusal_of_before_hides_what_was_asked_again(bench: Bench) -> None:
    bench.lxd.busy[Step.START] = 1
    bench.submit(Kind.START, "db")
    bench.lxd.unanswered = {Step.START}

    bench.work()

    assert bench.operation("op").state is State.DONE


def test_every_step_is_in_the_journal_before_lxd_hears_of_it(bench: Bench) -> None:
    bench.run(Kind.DELETE, arguments=FORCE)

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
    bench.submit(Kind.STOP)
    bench.lxd.holds["web"] = observation(uuid="u-new")

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

    operation = bench.run(Kind.START, "db", uuid="")

    assert operation.state is State.DONE
    assert operation.after is not None
    assert operation.after.uuid == "u-given"


def test_an_operation_begins_late_but_in_time_when_lxd_comes_back(bench: Bench) -> None:
    bench.submit(Kind.STOP)
    bench.lxd.away = 30

    bench.work()

    assert bench.operation("op").state is State.DONE


def test_an_operation_that_could_not_begin_in_time_never_begins(bench: Bench) -> None:
    bench.submit(Kind.STOP)
    bench.lxd.away = 90

    bench.work()

    operation = bench.operation("op")
    assert (operation.state, failure_of(operation)) == (State.CANCELLED, "operation_expired")
    assert bench.lxd.asked == []


def test_a_lost_answer_is_made_up_for_by_evidence(bench: Bench) -> None:
    bench.lxd.unanswered = {Step.FORCE_STOP}

    operation = bench.run(Kind.DELETE, arguments=FORCE)

    assert operation.state is State.DONE
    assert bench.lxd.asked == [Step.FORCE_STOP, Step.DELETE]


def test_a_request_that_never_reached_lxd_is_not_repeated(bench: Bench) -> None:
    bench.lxd.unheard = {Step.STOP}

    operation = bench.run(Kind.STOP)

    assert (operation.state, failure_of(operation)) == (State.FAILED, "step_interrupted")
    assert bench.lxd.asked == []
    assert bench.lxd.holds["web"].status == "Running"


def test_a_request_that_shows_late_is_waited_for(bench: Bench) -> None:
    bench.lxd.unanswered = {Step.STOP}
    bench.lxd.takes_s[Step.STOP] = 15.0

    operation = bench.run(Kind.STOP)

    assert operation.state is State.DONE
    assert bench.lxd.asked == [Step.STOP]


def test_where_nothing_tells_what_became_of_a_step_the_outcome_is_unknown(bench: Bench) -> None:
    bench.lxd.unanswered = {Step.RESTART}
    bench.submit(Kind.RESTART)
    bench.clock.on_sleep = lambda: bench.lxd.holds.update(web=observation("Stopped"))

    bench.work()

    operation = bench.operation("op")
    assert (operation.state, failure_of(operation)) == (State.UNKNOWN, "outcome_unknown")


def test_a_journal_that_cannot_be_written_stops_the_work_until_it_can(bench: Bench) -> None:
    bench.submit(Kind.STOP)
    bench.journal.broken = True
    bench.clock.on_sleep = lambda: setattr(bench.journal, "broken", False)

    bench.work()

    assert bench.operation("op").state is State.DONE
    assert bench.lxd.asked == [Step.STOP]
