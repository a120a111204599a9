"""A new password is set inside the guest once, then noted; no journal and no log holds it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from services.lxd_worker.instances.connection_note import connection_note, password_patch
from services.lxd_worker.instances.description import EditableInstance
from services.lxd_worker.operations.runner import OperationRunner
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import (
    InstanceNotRunning,
    InstanceReplaced,
    InvalidInput,
    LxdRefused,
    OperationInProgress,
    OutcomeUnknown,
    PasswordNotSet,
)
from shared.contracts.operations import Kind, Operation, State, Submission
from tests.support.builders import NEW_UUID, a_creation, a_submission
from tests.support.clock import STARTED
from tests.support.lxd_worker.bench import Bench, outcome
from tests.support.lxd_worker.observations import observation

NEW = "n3w-Passw0rd"


def order(**fields: Any) -> Submission:
    return a_submission(Kind.PASSWORD, **({"start_by": f"{STARTED + 30}"} | fields))


def ended(bench: Bench, password: str = NEW) -> Operation:
    bench.operations.prepare(order())
    bench.operations.deliver_secrets("op", {"root_password": password})
    bench.work()
    return bench.operation("op")


@pytest.mark.attack
def test_it_is_set_then_noted_and_kept_nowhere(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        operation = ended(bench)

    assert outcome(operation) == (State.DONE, None)
    assert bench.lxd.asked == [Step.SET_PASSWORD, Step.NOTE_PASSWORD]
    assert (bench.lxd.passwords, bench.lxd.noted) == ({"web": NEW}, {"web": NEW})
    assert NEW not in msgspec.json.encode(bench.entry("op")).decode()
    assert NEW not in repr([vars(record) for record in caplog.records])
    assert bench.secrets == {}


def test_nothing_is_begun_before_it_has_come_and_without_it_nothing_was(bench: Bench) -> None:
    bench.operations.prepare(order())
    bench.work()
    assert bench.operation("op").state is State.ACCEPTED

    bench.clock.advance(31)
    bench.pending.release_overdue()
    bench.work()

    assert outcome(bench.operation("op")) == (State.CANCELLED, "secrets_not_received")
    assert bench.lxd.asked == []


def test_an_order_that_was_not_prepared_waits_for_it_too(bench: Bench) -> None:
    bench.operations.submit(order())
    bench.work()

    assert bench.operation("op").state is State.ACCEPTED


@pytest.mark.parametrize(
    ("status", "error"), [("Stopped", InstanceNotRunning), ("Frozen", PasswordNotSet)]
)
def test_a_guest_that_does_not_run_is_never_sent_it(
    bench: Bench, status: str, error: type[Exception]
) -> None:
    bench.lxd.holds["web"] = observation(status)

    with pytest.raises(error):
        bench.operations.prepare(order())

    assert bench.journal.length == 0


def test_one_that_has_stopped_meanwhile_says_so(bench: Bench) -> None:
    bench.operations.prepare(order())
    bench.lxd.holds["web"] = observation("Stopped")
    bench.operations.deliver_secrets("op", {"root_password": NEW})
    bench.work()

    assert outcome(bench.operation("op")) == (State.FAILED, "instance_not_running")


def test_a_namesake_gets_no_password(bench: Bench) -> None:
    with pytest.raises(InstanceReplaced):
        bench.operations.prepare(order(uuid="another"))


@pytest.mark.parametrize(
    "password",
    [
        "",
        "short-7",
        "x" * 129,
        "with space",
        "root:colon",
        "line\nroot:other",
        "line\rbreak",
        "nul\x00inside",
        "tab\tinside",
        "del\x7finside",
        "pässword",
        "密码密码密码密码",
    ],
)
def test_what_chpasswd_or_a_note_would_read_as_something_else_ends_it(
    bench: Bench, password: str
) -> None:
    operation = ended(bench, password)

    assert outcome(operation) == (State.CANCELLED, "invalid_input")
    assert bench.lxd.asked == []
    assert not password or password not in msgspec.json.encode(operation).decode()


@pytest.mark.parametrize(
    "error",
    [PasswordNotSet("web", "there is no chpasswd in it"), LxdRefused("no"), InvalidInput("a", "b")],
)
def test_where_the_guest_cannot_it_is_told_why_and_nothing_is_noted(
    bench: Bench, error: PasswordNotSet
) -> None:
    bench.lxd.refuses[Step.SET_PASSWORD] = error

    operation = ended(bench)

    assert outcome(operation) == (State.FAILED, error.code)
    assert bench.lxd.asked == [Step.SET_PASSWORD]


def test_a_note_that_lxd_refuses_is_told(bench: Bench) -> None:
    bench.lxd.refuses[Step.NOTE_PASSWORD] = LxdRefused("no")

    operation = ended(bench)

    assert outcome(operation) == (State.FAILED, "lxd_refused")
    assert operation.step == "note-password"


@pytest.mark.parametrize("step", [Step.SET_PASSWORD, Step.NOTE_PASSWORD])
def test_a_step_whose_answer_was_lost_is_not_repeated_and_unknown(bench: Bench, step: Step) -> None:
    bench.lxd.unanswered = {step}

    operation = ended(bench)

    assert operation.state is State.UNKNOWN
    assert bench.lxd.asked.count(step) == 1


def test_a_guest_that_never_answers_leaves_it_unknown(bench: Bench) -> None:
    bench.lxd.refuses[Step.SET_PASSWORD] = OutcomeUnknown("h1")

    assert ended(bench).state is State.UNKNOWN


def test_a_worker_that_was_killed_in_the_middle_leaves_it_unknown(bench: Bench) -> None:
    bench.operations.prepare(order())
    bench.operations.deliver_secrets("op", {"root_password": NEW})
    bench.spawned.clear()
    bench.secrets.clear()
    entry = bench.entry("op")
    begun = replace(
        entry,
        taken=(Step.SET_PASSWORD,),
        before=observation(),
        operation=replace(entry.operation, state=State.RUNNING),
    )
    bench.journal.advance("op", lambda _: begun)

    operation = OperationRunner(bench.context, bench.entry("op")).run()

    assert operation.state is State.UNKNOWN
    assert bench.lxd.asked == []


def test_it_does_not_wait_for_a_creation(bench: Bench) -> None:
    bench.operations.submit(replace(a_creation(), operation_id="creation"))

    with pytest.raises(OperationInProgress):
        bench.operations.prepare(order(instance="new", uuid=NEW_UUID))


def noted(**fields: Any) -> dict[str, object] | None:
    plain = {"name": "web", "architecture": "x", "ephemeral": False, "config": {}, "devices": {}}
    return password_patch(msgspec.convert(plain | fields, EditableInstance), NEW)


@pytest.mark.parametrize(
    ("fields", "patch"),
    [
        ({}, None),
        ({"description": "the shop", "config": {"user.description": "web 20 fine years"}}, None),
        ({"config": {"user.description": "other 20001 old"}}, None),
        (
            {"config": {"user.description": "before 20001 old 1 2"}},
            {"config": {"user.description": f"before 20001 {NEW} 1 2"}},
        ),
        ({"config": {"user.ssh_port": "20001"}}, None),
        (
            {"config": {"user.root_password": "old"}},
            {"config": {"user.root_password": NEW}},
        ),
        (
            {"config": {"user.description": "web 20001 old 30000 30025"}},
            {"config": {"user.description": f"web 20001 {NEW} 30000 30025"}},
        ),
        (
            {"config": {"user.description": "web 20001 -"}},
            {"config": {"user.description": f"web 20001 {NEW}"}},
        ),
        (
            {
                "config": {
                    "user.description": "before 20001 old 30000 30025",
                    "user.lxdfleet.operation": "op-1",
                }
            },
            {"config": {"user.description": f"before 20001 {NEW} 30000 30025"}},
        ),
        (
            {"description": "web  20001 old"},
            {"config": {}, "description": f"web  20001 {NEW}"},
        ),
        (
            {"description": "web 20001 old", "config": {"user.root_password": "old"}},
            {"config": {"user.root_password": NEW}, "description": f"web 20001 {NEW}"},
        ),
    ],
)
def test_it_is_written_where_an_older_one_stands(
    fields: dict[str, Any], patch: dict[str, object] | None
) -> None:
    kept = {"description": fields.get("description", "")}
    assert noted(**fields) == (patch and kept | patch)


def test_a_password_with_backslashes_is_noted_as_it_is() -> None:
    config = {"user.description": "web 20001 old"}
    plain: dict[str, Any] = {"name": "web", "architecture": "x", "ephemeral": False, "devices": {}}
    found = msgspec.convert(plain | {"config": config}, EditableInstance)

    patch = password_patch(found, r"\1\g<0>\\n")

    assert patch is not None
    assert patch["config"] == {"user.description": r"web 20001 \1\g<0>\\n"}


def test_the_note_of_a_creation_is_one_in_which_it_can_be_written() -> None:
    ssh = {"ssh": {"type": "proxy", "listen": "tcp:1.2.3.4:20001", "connect": "tcp:127.0.0.1:22"}}
    text = connection_note("web", ssh, "old-password")

    patch = noted(config={"user.description": text})

    assert patch is not None
    assert patch["config"] == {"user.description": f"web 20001 {NEW}"}
