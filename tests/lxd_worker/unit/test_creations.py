"""Creations from acceptance to their end, and from whatever a crash left of them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from services.lxd_worker.creation.port_pool import NatPool
from services.lxd_worker.journal.protocol import Change
from services.lxd_worker.operations.runner import OperationRunner
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import LxdRefused
from shared.contracts.operations import Kind, Operation, State, Submission
from tests.support.builders import NEW_UUID, a_creation, a_submission
from tests.support.lxd_worker.bench import Bench, outcome
from tests.support.lxd_worker.observations import observation
from tests.support.lxd_worker.resources import GIB

FILLED: dict[str, Any] = {
    "description": "for the shop",
    "display_name": "Web Server",
    "labels": {"tier": "front"},
    "auto_start": True,
    "ssh": True,
    "ports": 3,
    "ssh_keys": ("ssh-ed25519 AAAA me",),
}
SECRETS = {"root_password": "correct-horse"}


def order(**new: Any) -> Submission:
    return replace(a_creation(**({"cpu": 2} | new)), timeout_s=60.0)


def submitted(bench: Bench, secrets: dict[str, str] | None = None, **new: Any) -> None:
    if not secrets:
        bench.operations.submit(order(**new))
        return
    bench.operations.prepare(order(**new))
    bench.operations.deliver_secrets("op", secrets)


def ended(bench: Bench, **fields: Any) -> Operation:
    submitted(bench, **fields)
    bench.work()
    return bench.operation("op")


def behind(bench: Bench, operation_id: str, kind: Kind, uuid: str = NEW_UUID) -> Operation:
    """Submit an operation on the instance that is being created."""
    wanted = a_submission(kind, "new", operation_id=operation_id, uuid=uuid)
    return bench.operations.submit(wanted)


def test_lxd_is_asked_once_for_all_of_it(bench: Bench) -> None:
    bench.pool = NatPool("h1", "203.0.113.7", ssh=((2201, 2201),), ports=((3000, 3009),))

    operation = ended(bench, secrets=SECRETS, **FILLED)

    (request,) = bench.lxd.requests
    user_data = request["config"].pop("cloud-init.user-data")
    assert outcome(operation) == (State.DONE, None)
    assert bench.lxd.asked == [Step.CREATE, Step.START]
    assert request == {
        "name": "new",
        "type": "container",
        "description": "for the shop",
        "profiles": ["default"],
        "source": {"type": "image", "fingerprint": "f" * 64},
        "config": {
            "volatile.uuid": NEW_UUID,
            "limits.cpu": "2",
            "limits.memory": str(GIB),
            "boot.autostart": "true",
            "user.description": "new 2201 correct-horse 3000 3002",
            "user.lxdfleet.name": "Web Server",
            "user.lxdfleet.operation": "op",
            "user.lxdfleet.label.tier": "front",
        },
        "devices": {
            "root": {"type": "disk", "path": "/", "pool": "default", "size": str(GIB)},
            "ssh": {
                "type": "proxy",
                "listen": "tcp:203.0.113.7:2201",
                "connect": "tcp:127.0.0.1:22",
            },
            "forward-0": {
                "type": "proxy",
                "listen": "tcp:203.0.113.7:3000-3002",
                "connect": "tcp:127.0.0.1:3000-3002",
            },
        },
    }
    assert "ssh-ed25519 AAAA me" in user_data
    assert "root:correct-horse" in user_data


@pytest.mark.parametrize(
    ("new", "secrets", "description"),
    [
        ({"ssh": True, "ports": 3}, {}, "new 2201 - 3000 3002"),
        ({"ssh": True, "ports": 1}, {}, "new 2201 - 3000 3000"),
        ({"ssh": True}, SECRETS, "new 2201 correct-horse"),
        ({"ports": 3}, SECRETS, None),
        ({}, {}, None),
    ],
)
def test_how_it_is_reached_is_described_as_nat_scripts_do(
    bench: Bench, new: dict[str, Any], secrets: dict[str, str], description: str | None
) -> None:
    bench.pool = NatPool("h1", "203.0.113.7", ssh=((2201, 2201),), ports=((3000, 3009),))

    ended(bench, secrets=secrets, **new)

    assert bench.lxd.requests[0]["config"].get("user.description") == description


def test_it_is_started_only_if_it_shall_be(bench: Bench) -> None:
    operation = ended(bench)

    assert outcome(operation) == (State.DONE, None)
    assert bench.lxd.asked == [Step.CREATE]
    assert operation.after is not None
    assert (operation.after.status, operation.after.uuid) == ("Stopped", NEW_UUID)


def test_how_far_lxd_is_can_be_followed(bench: Bench) -> None:
    bench.lxd.takes_s[Step.CREATE] = 5.0
    bench.lxd.progress = 40

    ended(bench)

    told = [one.operation.progress for one in bench.journal.written]
    assert told == [None, None, None, 40, 40]


def test_a_creation_that_lxd_refuses_leaves_nothing_behind(bench: Bench) -> None:
    bench.lxd.refuses[Step.CREATE] = LxdRefused("disk quota exceeded")

    operation = ended(bench)

    assert outcome(operation) == (State.FAILED, "lxd_refused")
    assert "new" not in bench.lxd.holds


def test_what_a_refused_creation_leaves_half_made_is_taken_away(bench: Bench) -> None:
    bench.lxd.refuses[Step.CREATE] = LxdRefused("disk quota exceeded")
    bench.lxd.half_made = True

    operation = ended(bench)

    assert outcome(operation) == (State.FAILED, "lxd_refused")
    assert bench.lxd.asked == [Step.CREATE, Step.DELETE]
    assert "new" not in bench.lxd.holds


def test_an_instance_that_does_not_start_is_taken_away(bench: Bench) -> None:
    bench.lxd.refuses[Step.START] = LxdRefused("address already in use")

    operation = ended(bench, auto_start=True)

    assert outcome(operation) == (State.FAILED, "lxd_refused")
    assert operation.failure is not None
    assert operation.failure.values == ["address already in use"]
    assert bench.lxd.asked == [Step.CREATE, Step.START, Step.DELETE]
    assert operation.after is None


def test_what_cannot_be_taken_away_shows_in_the_outcome(bench: Bench) -> None:
    bench.lxd.refuses = {Step.START: LxdRefused("no"), Step.DELETE: LxdRefused("busy")}

    operation = ended(bench, auto_start=True)

    assert operation.failure is not None
    assert (operation.state, operation.failure.values) == (State.FAILED, ["no"])
    assert operation.after is not None
    assert operation.after.status == "Stopped"


def test_a_namesake_that_came_meanwhile_is_left_alone(bench: Bench) -> None:
    submitted(bench)
    bench.lxd.holds["new"] = observation("Stopped", uuid="u-other")

    bench.work()

    assert outcome(bench.operation("op")) == (State.FAILED, "instance_exists")
    assert bench.lxd.asked == []
    assert bench.lxd.holds["new"].uuid == "u-other"


def test_out_of_time_what_was_made_is_taken_away(bench: Bench) -> None:
    bench.lxd.takes_s[Step.CREATE] = 90.0

    operation = ended(bench, auto_start=True)

    assert outcome(operation) == (State.FAILED, "step_timed_out")
    assert bench.lxd.asked == [Step.CREATE, Step.DELETE]


def test_a_lost_answer_is_made_up_for_by_evidence(bench: Bench) -> None:
    bench.lxd.unanswered = {Step.CREATE}

    operation = ended(bench, auto_start=True)

    assert outcome(operation) == (State.DONE, None)
    assert bench.lxd.asked == [Step.CREATE, Step.START]


def test_a_request_that_never_reached_lxd_is_not_repeated(bench: Bench) -> None:
    bench.lxd.unheard = {Step.CREATE}

    operation = ended(bench)

    assert outcome(operation) == (State.FAILED, "step_interrupted")
    assert bench.lxd.requests == []


def test_what_lxd_was_killed_at_is_taken_away(bench: Bench) -> None:
    bench.lxd.unanswered = {Step.CREATE}
    bench.lxd.half_made = True

    operation = ended(bench)

    assert outcome(operation) == (State.FAILED, "step_interrupted")
    assert bench.lxd.asked == [Step.CREATE, Step.DELETE]
    assert "new" not in bench.lxd.holds


def after_crash(bench: Bench, *changes: Change) -> Operation:
    """Journal these changes as a worker did that has died, then go on as its successor."""
    bench.spawned.clear()
    bench.secrets.clear()
    for change in changes:
        bench.journal.advance("op", change)
    (entry,) = bench.journal.unfinished()
    OperationRunner(bench.context, entry).run()
    return bench.operation("op")


def test_a_creation_that_was_only_accepted_is_carried_on(bench: Bench) -> None:
    submitted(bench)

    assert outcome(after_crash(bench)) == (State.DONE, None)


def test_an_undoing_that_a_crash_interrupted_goes_on(bench: Bench) -> None:
    submitted(bench)
    bench.lxd.create("default", _request())
    refused = LxdRefused("address already in use")

    operation = after_crash(
        bench,
        lambda entry: entry.begin(Step.CREATE, None, "then"),
        lambda entry: entry.undo(refused),
    )

    assert outcome(operation) == (State.FAILED, "lxd_refused")
    assert bench.lxd.asked == [Step.CREATE, Step.DELETE]


def _request() -> dict[str, Any]:
    config = {"volatile.uuid": NEW_UUID, "limits.cpu": "1", "limits.memory": "1"}
    return {"name": "new", "config": config, "devices": {"root": {"type": "disk", "size": "1"}}}


def test_what_comes_behind_a_creation_waits_and_runs_in_its_order(bench: Bench) -> None:
    bench.most_unfinished = 10
    submitted(bench)
    waiting = [behind(bench, "op-1", Kind.START), behind(bench, "op-2", Kind.FREEZE)]

    bench.work()

    assert [one.waits_for for one in waiting] == ["op", "op"]
    assert bench.lxd.asked == [Step.CREATE, Step.START, Step.FREEZE]
    assert [bench.operation(f"op-{number}").state for number in (1, 2)] == [State.DONE] * 2


def test_what_waits_for_a_creation_that_fails_finds_no_instance(bench: Bench) -> None:
    bench.lxd.refuses[Step.CREATE] = LxdRefused("no")
    submitted(bench)
    behind(bench, "op-1", Kind.START)

    bench.work()

    assert outcome(bench.operation("op-1")) == (State.FAILED, "instance_not_found")


def test_what_waits_can_be_called_off(bench: Bench) -> None:
    submitted(bench)
    behind(bench, "op-1", Kind.START)
    behind(bench, "op-2", Kind.DELETE)

    cancelled = bench.operations.cancel("op-1")
    bench.work()

    assert cancelled.state is State.CANCELLED
    assert bench.lxd.asked == [Step.CREATE, Step.DELETE]


def test_a_long_creation_is_no_reason_to_refuse_what_waits(bench: Bench) -> None:
    bench.lxd.takes_s[Step.CREATE] = 50.0
    submitted(bench)
    behind(bench, "op-1", Kind.START)
    bench.clock.advance(30.0)

    bench.work()

    assert bench.operation("op-1").state is State.DONE


def test_only_the_instance_that_is_being_created_can_be_waited_for(bench: Bench) -> None:
    submitted(bench)

    with pytest.raises(Exception, match="re-created"):
        behind(bench, "op-1", Kind.START, uuid="u-other")


def test_after_a_crash_what_waited_still_follows(bench: Bench) -> None:
    submitted(bench)
    behind(bench, "op-1", Kind.START)
    bench.spawned.clear()

    bench.spawned += bench.journal.unfinished()
    bench.work()

    assert bench.lxd.asked == [Step.CREATE, Step.START]
    assert bench.operation("op-1").state is State.DONE
