"""A creation begins when its secrets have come, once; without them it ends as not started."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from services.lxd_worker.creation.port_pool import NatPool
from services.lxd_worker.operations.secrets import LONGEST_WAIT_S, PendingSecrets
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import InsufficientResources, InvalidInput, OperationNotFound
from shared.contracts.operations import Arguments, Kind, Operation, State
from tests.support.builders import a_creation, a_new_instance
from tests.support.clock import STARTED
from tests.support.lxd_worker.bench import Bench, outcome

SECRETS = {"root_password": "correct-horse", "cloud_init": "#cloud-config\n"}
ORDER = replace(a_creation(), start_by=f"{STARTED + 30}")


def restarted(bench: Bench) -> None:
    """Begin anew with what the journal holds, as a worker does that was killed."""
    bench.spawned.clear()
    bench.secrets.clear()
    bench.pending = PendingSecrets(bench.clock, bench.spawned.append, bench.secrets)
    for entry in bench.journal.unfinished():
        if entry.awaits_secrets:
            bench.pending.expect(entry)
        else:
            bench.spawned.append(entry)


def overdue(bench: Bench, seconds: float) -> Operation:
    bench.clock.advance(seconds)
    bench.pending.release_overdue()
    bench.work()
    return bench.operation("op")


@pytest.mark.attack
def test_nothing_is_begun_before_the_secrets_have_come(bench: Bench) -> None:
    accepted = bench.operations.prepare(ORDER)
    bench.pending.release_overdue()
    bench.work()

    assert accepted.state is bench.operation("op").state is State.ACCEPTED
    assert bench.lxd.requests == []


def test_with_its_secrets_it_is_made(bench: Bench) -> None:
    bench.operations.prepare(ORDER)

    bench.operations.deliver_secrets("op", SECRETS)
    bench.work()

    (request,) = bench.lxd.requests
    assert bench.operation("op").state is State.DONE
    assert "root:correct-horse" in request["config"]["cloud-init.user-data"]


@pytest.mark.attack
def test_only_the_first_secrets_count_and_an_instance_is_made_once(bench: Bench) -> None:
    bench.operations.prepare(ORDER)
    bench.operations.deliver_secrets("op", SECRETS)

    again = bench.operations.deliver_secrets("op", {"root_password": "other-horse"})
    assert len(bench.spawned) == 1
    bench.work()
    late = bench.operations.deliver_secrets("op", {"root_password": "other-horse"})

    assert (again.state, late.state) == (State.ACCEPTED, State.DONE)
    assert len(bench.lxd.requests) == 1
    assert "other-horse" not in str(bench.lxd.requests)
    assert (bench.spawned, bench.secrets) == ([], {})


def test_prepared_twice_it_is_taken_on_once(bench: Bench) -> None:
    bench.operations.prepare(ORDER)
    bench.operations.deliver_secrets("op", SECRETS)

    assert bench.operations.prepare(ORDER).state is State.ACCEPTED
    assert len(bench.spawned) == 1


def test_secrets_for_what_nobody_ordered_are_refused(bench: Bench) -> None:
    with pytest.raises(OperationNotFound):
        bench.operations.deliver_secrets("op", SECRETS)

    assert bench.secrets == {}


def test_secrets_for_what_takes_none_are_not_kept(bench: Bench) -> None:
    bench.operations.submit(ORDER)

    bench.operations.deliver_secrets("op", SECRETS)

    assert bench.secrets == {}
    assert len(bench.spawned) == 1


def test_what_takes_no_secrets_cannot_wait_for_them(bench: Bench) -> None:
    with pytest.raises(InvalidInput):
        bench.operations.prepare(replace(ORDER, kind=Kind.STOP, instance="web", uuid="u-web"))

    assert bench.journal.length == 0


def test_how_long_secrets_may_take_is_counted_by_the_workers_clock(bench: Bench) -> None:
    bench.operations.prepare(replace(ORDER, start_by="1.0", start_within_s=30.0))

    bench.operations.deliver_secrets("op", SECRETS)
    bench.work()

    assert bench.operation("op").state is State.DONE


@pytest.mark.attack
@pytest.mark.parametrize("start_by", [f"{STARTED + 30}", f"{STARTED + 300}"])
def test_without_its_secrets_a_creation_ends_as_not_started_in_bounded_time(
    bench: Bench, start_by: str
) -> None:
    bench.operations.prepare(replace(ORDER, start_by=start_by))

    operation = overdue(bench, LONGEST_WAIT_S)

    assert outcome(operation) == (State.CANCELLED, "secrets_not_received")
    assert not operation.changed
    assert bench.lxd.requests == []


def test_what_the_host_had_set_aside_for_it_is_free_again(bench: Bench) -> None:
    bench.pool = NatPool("h1", "203.0.113.7", ports=((3000, 3001),))
    wanted = replace(ORDER, arguments=Arguments(create=a_new_instance(ports=2)))
    other = replace(wanted, operation_id="op-2", instance="other", start_by=f"{STARTED + 90}")
    bench.operations.prepare(wanted)
    with pytest.raises(InsufficientResources):
        bench.operations.prepare(other)

    overdue(bench, 30.0)

    assert bench.operations.prepare(other).state is State.ACCEPTED


def test_secrets_that_come_too_late_are_not_kept(bench: Bench) -> None:
    bench.operations.prepare(ORDER)
    overdue(bench, 30.0)

    late = bench.operations.deliver_secrets("op", SECRETS)

    assert outcome(late) == (State.CANCELLED, "secrets_not_received")
    assert (bench.secrets, bench.spawned) == ({}, [])


def test_secrets_that_cannot_be_used_end_it(bench: Bench) -> None:
    bench.operations.prepare(ORDER)

    ended = bench.operations.deliver_secrets("op", {"root_password": "no"})
    bench.work()

    assert outcome(ended) == outcome(bench.operation("op")) == (State.CANCELLED, "invalid_input")
    assert bench.secrets == {}
    assert bench.rings[-1] == "operations"


def test_called_off_while_it_waits_it_ends_at_once_and_so_does_what_follows(bench: Bench) -> None:
    bench.operations.prepare(ORDER)
    start = replace(ORDER, operation_id="op-1", kind=Kind.START, arguments=Arguments())
    bench.operations.submit(start)

    bench.operations.cancel("op")
    bench.work()
    late = bench.operations.deliver_secrets("op", SECRETS)

    assert late.state is State.CANCELLED
    assert outcome(bench.operation("op-1")) == (State.FAILED, "instance_not_found")
    assert (bench.secrets, bench.spawned) == ({}, [])


def test_what_comes_behind_it_follows_when_it_was_made(bench: Bench) -> None:
    bench.operations.prepare(ORDER)
    start = replace(ORDER, operation_id="op-1", kind=Kind.START, arguments=Arguments())
    waiting = bench.operations.submit(start)

    bench.operations.deliver_secrets("op", SECRETS)
    bench.work()

    assert waiting.waits_for == "op"
    assert bench.lxd.asked == [Step.CREATE, Step.START]


def test_a_restarted_worker_waits_on(bench: Bench) -> None:
    bench.operations.prepare(ORDER)
    restarted(bench)

    bench.operations.deliver_secrets("op", SECRETS)
    bench.work()

    assert bench.operation("op").state is State.DONE
    assert "root:correct-horse" in str(bench.lxd.requests)


def test_a_restarted_worker_does_not_wait_for_ever(bench: Bench) -> None:
    bench.operations.prepare(ORDER)
    restarted(bench)

    assert outcome(overdue(bench, 30.0)) == (State.CANCELLED, "secrets_not_received")


def test_secrets_that_went_with_the_worker_before_lxd_had_them_are_waited_for_anew(
    bench: Bench,
) -> None:
    bench.operations.prepare(ORDER)
    bench.operations.deliver_secrets("op", SECRETS)
    restarted(bench)

    assert outcome(overdue(bench, 30.0)) == (State.CANCELLED, "secrets_not_received")
    assert bench.lxd.requests == []


def test_a_creation_is_not_repeated_without_the_secrets_that_went_with_the_worker(
    bench: Bench,
) -> None:
    bench.operations.prepare(ORDER)
    bench.operations.deliver_secrets("op", SECRETS)
    bench.journal.advance("op", lambda entry: entry.begin(Step.CREATE, None, "then"))
    restarted(bench)

    bench.work()

    assert outcome(bench.operation("op")) == (State.FAILED, "step_interrupted")
    assert bench.lxd.requests == []


@pytest.mark.attack
def test_secrets_are_kept_until_lxd_has_them_and_stand_in_no_journal(bench: Bench) -> None:
    bench.operations.prepare(ORDER)
    bench.operations.deliver_secrets("op", SECRETS)
    before = dict(bench.secrets)

    bench.work()

    assert before == {"op": SECRETS}
    assert bench.secrets == {}
    arguments = [one.operation.arguments for one in bench.journal.written]
    assert "correct-horse" not in str((arguments, [one.plan for one in bench.journal.written]))


def test_secrets_of_a_creation_that_was_called_off_are_forgotten(bench: Bench) -> None:
    bench.operations.prepare(ORDER)
    bench.operations.deliver_secrets("op", SECRETS)

    bench.operations.cancel("op")
    bench.work()

    assert bench.operation("op").state is State.CANCELLED
    assert bench.secrets == {}


def test_a_gateway_of_the_release_before_sends_them_with_the_order(bench: Bench) -> None:
    bench.operations.submit(replace(ORDER, secrets=SECRETS))

    bench.work()

    assert bench.operation("op").state is State.DONE
    assert "root:correct-horse" in str(bench.lxd.requests)
