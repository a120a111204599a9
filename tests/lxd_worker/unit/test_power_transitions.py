"""Which step is next, as tables, and one rule over all of them: no step is taken twice."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from msgspec.structs import replace

from services.lxd_worker.instances.observation import Observation
from services.lxd_worker.transitions.next_step import decide
from services.lxd_worker.transitions.steps import Done, Failed, Situation, Step
from shared.contracts.errors import (
    Cancelled,
    InstanceNotFound,
    InstanceNotFrozen,
    InstanceNotRunning,
    InstanceReplaced,
    InstanceRunning,
    LxdRefused,
    NoEffect,
    StepInterrupted,
)
from shared.contracts.operations import Arguments, Kind
from tests.support.lxd_worker.observations import observation

REFUSED = LxdRefused("no")
GENTLE, FORCE = Arguments(), Arguments(force=True)


def move(kind: Kind, now: Observation | None, arguments: Arguments = GENTLE, **more: Any) -> object:
    situation = Situation(name="web", arguments=arguments, now=now, **more)
    found = decide(kind, situation)
    return type(found.error) if isinstance(found, Failed) else found


@pytest.mark.parametrize(
    ("kind", "status", "arguments", "expected"),
    [
        (Kind.START, "Stopped", GENTLE, Step.START),
        (Kind.START, "Error", GENTLE, Step.START),
        (Kind.START, "Running", GENTLE, Done(changed=False)),
        (Kind.START, "Ready", GENTLE, Done(changed=False)),
        (Kind.START, "Frozen", GENTLE, InstanceRunning),
        (Kind.STOP, "Running", GENTLE, Step.STOP),
        (Kind.STOP, "Running", FORCE, Step.FORCE_STOP),
        (Kind.STOP, "Stopped", GENTLE, Done(changed=False)),
        (Kind.STOP, "Frozen", GENTLE, Step.UNFREEZE),
        (Kind.STOP, "Frozen", FORCE, Step.FORCE_STOP),
        (Kind.RESTART, "Running", GENTLE, Step.RESTART),
        (Kind.RESTART, "Running", FORCE, Step.FORCE_RESTART),
        (Kind.RESTART, "Stopped", GENTLE, InstanceNotRunning),
        (Kind.RESTART, "Frozen", GENTLE, Step.UNFREEZE),
        (Kind.RESTART, "Frozen", FORCE, Step.FORCE_RESTART),
        (Kind.FREEZE, "Running", GENTLE, Step.FREEZE),
        (Kind.FREEZE, "Frozen", GENTLE, Done(changed=False)),
        (Kind.FREEZE, "Stopped", GENTLE, InstanceNotRunning),
        (Kind.UNFREEZE, "Frozen", GENTLE, Step.UNFREEZE),
        (Kind.UNFREEZE, "Running", GENTLE, Done(changed=False)),
        (Kind.UNFREEZE, "Stopped", GENTLE, InstanceNotFrozen),
        (Kind.DELETE, "Stopped", GENTLE, Step.DELETE),
        (Kind.DELETE, "Running", GENTLE, InstanceRunning),
        (Kind.DELETE, "Frozen", GENTLE, InstanceRunning),
        (Kind.DELETE, "Running", FORCE, Step.FORCE_STOP),
        (Kind.DELETE, "Frozen", FORCE, Step.FORCE_STOP),
    ],
)
def test_the_first_step_depends_on_how_the_instance_stands(
    kind: Kind, status: str, arguments: Arguments, expected: object
) -> None:
    assert move(kind, observation(status), arguments) == expected


@pytest.mark.parametrize(
    ("kind", "taken", "status", "expected"),
    [
        (Kind.START, [Step.START], "Running", Done(changed=True)),
        (Kind.START, [Step.START], "Stopped", NoEffect),
        (Kind.STOP, [Step.STOP], "Stopped", Done(changed=True)),
        (Kind.STOP, [Step.STOP], "Running", Step.FORCE_STOP),
        (Kind.STOP, [Step.STOP, Step.FORCE_STOP], "Running", NoEffect),
        (Kind.STOP, [Step.UNFREEZE], "Running", Step.STOP),
        (Kind.STOP, [Step.UNFREEZE], "Stopped", Done(changed=True)),
        (Kind.STOP, [Step.FORCE_STOP], "Stopped", Done(changed=True)),
        (Kind.RESTART, [Step.RESTART], "Running", Step.FORCE_RESTART),
        (Kind.RESTART, [Step.RESTART, Step.FORCE_RESTART], "Running", NoEffect),
        (Kind.RESTART, [Step.RESTART], "Stopped", Done(changed=True)),
        (Kind.RESTART, [Step.UNFREEZE], "Running", Step.RESTART),
        (Kind.RESTART, [Step.UNFREEZE], "Stopped", Step.START),
        (Kind.RESTART, [Step.UNFREEZE, Step.START], "Running", Done(changed=True)),
        (Kind.FREEZE, [Step.FREEZE], "Frozen", Done(changed=True)),
        (Kind.UNFREEZE, [Step.UNFREEZE], "Running", Done(changed=True)),
        (Kind.DELETE, [Step.FORCE_STOP], "Stopped", Step.DELETE),
        (Kind.DELETE, [Step.FORCE_STOP], "Running", NoEffect),
        (Kind.DELETE, [Step.DELETE], "Stopped", NoEffect),
        (Kind.DELETE, [Step.FORCE_STOP, Step.DELETE], "Stopped", NoEffect),
    ],
)
def test_after_a_step_that_lxd_carried_out_comes_the_next_or_the_end(
    kind: Kind, taken: list[Step], status: str, expected: object
) -> None:
    assert move(kind, observation(status), taken=tuple(taken), before=observation()) == expected


@pytest.mark.parametrize(
    ("kind", "taken", "status", "expected"),
    [
        (Kind.START, [Step.START], "Stopped", LxdRefused),
        (Kind.START, [Step.START], "Running", Done(changed=False)),
        (Kind.STOP, [Step.STOP], "Running", Step.FORCE_STOP),
        (Kind.STOP, [Step.STOP], "Stopped", Done(changed=True)),
        (Kind.STOP, [Step.UNFREEZE], "Frozen", Step.FORCE_STOP),
        (Kind.STOP, [Step.STOP, Step.FORCE_STOP], "Running", LxdRefused),
        (Kind.STOP, [Step.STOP, Step.FORCE_STOP], "Stopped", Done(changed=True)),
        (Kind.RESTART, [Step.RESTART], "Running", Step.FORCE_RESTART),
        (Kind.RESTART, [Step.RESTART], "Stopped", Step.START),
        (Kind.RESTART, [Step.RESTART, Step.START], "Stopped", LxdRefused),
        (Kind.RESTART, [Step.RESTART, Step.FORCE_RESTART], "Running", LxdRefused),
        (Kind.FREEZE, [Step.FREEZE], "Frozen", Done(changed=False)),
        (Kind.FREEZE, [Step.FREEZE], "Stopped", LxdRefused),
        (Kind.UNFREEZE, [Step.UNFREEZE], "Running", Done(changed=False)),
        (Kind.UNFREEZE, [Step.UNFREEZE], "Stopped", LxdRefused),
        (Kind.DELETE, [Step.FORCE_STOP], "Stopped", Step.DELETE),
        (Kind.DELETE, [Step.FORCE_STOP], "Running", LxdRefused),
        (Kind.DELETE, [Step.DELETE], "Stopped", LxdRefused),
    ],
)
def test_after_a_refused_step_it_counts_how_the_instance_stands_now(
    kind: Kind, taken: list[Step], status: str, expected: object
) -> None:
    found = move(kind, observation(status), taken=tuple(taken), error=REFUSED, before=observation())

    assert found == expected


def test_an_instance_that_has_another_first_process_was_restarted() -> None:
    found = move(
        Kind.RESTART, observation(pid=999), taken=(Step.RESTART,), before=observation(pid=100)
    )

    assert found == Done(changed=True)


def test_an_instance_that_ended_as_soon_as_it_had_begun_was_started() -> None:
    now = replace(observation("Stopped"), last_used_at="2026-11-20T10:00:00Z")

    assert move(Kind.START, now, taken=(Step.START,), before=observation("Stopped")) == Done(
        changed=True
    )


def test_an_ephemeral_instance_that_ended_as_soon_as_it_had_begun_was_started_and_is_gone() -> None:
    before = replace(observation("Stopped"), ephemeral=True)

    found = move(Kind.START, None, taken=(Step.START,), before=before)

    assert found == Done(changed=True, gone=True)


def test_an_instance_that_somebody_started_again_was_stopped() -> None:
    found = move(Kind.STOP, observation(pid=999), taken=(Step.STOP,), before=observation(pid=100))

    assert found == Done(changed=True)


def test_a_guest_that_rebooted_when_lxd_had_given_up_on_it_has_restarted() -> None:
    rebooted = observation(pid=999)

    found = move(
        Kind.RESTART, rebooted, taken=(Step.RESTART,), error=REFUSED, before=observation(pid=100)
    )

    assert found == Done(changed=True)


@pytest.mark.parametrize(
    ("kind", "taken", "expected"),
    [
        (Kind.DELETE, [Step.DELETE], Done(changed=True, gone=True)),
        (Kind.DELETE, [Step.FORCE_STOP], Done(changed=True, gone=True)),
        (Kind.STOP, [Step.STOP], Done(changed=True, gone=True)),
        (Kind.START, [Step.START], InstanceNotFound),
        (Kind.DELETE, [], InstanceNotFound),
        (Kind.STOP, [], InstanceNotFound),
    ],
)
def test_an_instance_that_is_gone_was_deleted_or_stopped_for_good(
    kind: Kind, taken: list[Step], expected: object
) -> None:
    assert move(kind, None, taken=tuple(taken)) == expected


def test_why_an_ephemeral_instance_did_not_start_is_told_though_it_is_gone() -> None:
    assert move(Kind.START, None, taken=(Step.START,), error=REFUSED) is LxdRefused


def test_a_namesake_is_not_taken_for_the_instance() -> None:
    assert move(Kind.START, None, replaced=True) is InstanceReplaced


@pytest.mark.parametrize("error", [StepInterrupted("stop"), Cancelled()])
def test_after_an_interruption_nothing_more_is_begun(error: Exception) -> None:
    found = move(Kind.STOP, observation(), taken=(Step.STOP,), error=error, before=observation())

    assert found is type(error)


@pytest.mark.parametrize("arguments", [GENTLE, FORCE])
@pytest.mark.parametrize("kind", Kind)
def test_no_step_is_ever_taken_twice(kind: Kind, arguments: Arguments) -> None:
    looks = [
        None,
        *map(observation, ("Running", "Stopped", "Frozen", "Error")),
        observation(pid=999),
    ]
    open_ones: list[tuple[Step, ...]] = [()]
    reached = set(open_ones)

    while open_ones:
        taken = open_ones.pop()
        for now, before, error in product(looks, looks, (None, REFUSED)):
            found = move(kind, now, arguments, taken=taken, before=before, error=error)
            if isinstance(found, Step):
                assert found not in taken
                if (*taken, found) not in reached:
                    reached.add((*taken, found))
                    open_ones.append((*taken, found))
