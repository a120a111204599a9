"""What two looks at an instance prove of a step whose end nobody saw."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from services.lxd_worker.instances.observation import Observation, is_same_instance
from services.lxd_worker.transitions.step_verdict import Verdict, judge
from services.lxd_worker.transitions.steps import Step
from shared.contracts.operations import Arguments
from tests.support.lxd_worker.observations import observation

RUNNING, FROZEN, STOPPED = observation(), observation("Frozen"), observation("Stopped")
RUNS_ANEW, FROZEN_ANEW = observation(pid=999), observation("Frozen", pid=999)
USED_AND_STOPPED = replace(STOPPED, last_used_at="2026-11-20T00:00:00Z")
UNREADABLE = replace(RUNNING, init=None)
GONE = None

DONE, NOT_DONE, UNDECIDABLE = Verdict.DONE, Verdict.NOT_DONE, Verdict.UNDECIDABLE


@pytest.mark.parametrize(
    ("step", "before", "now", "verdict"),
    [
        (Step.START, STOPPED, RUNNING, DONE),
        (Step.START, STOPPED, FROZEN, DONE),
        (Step.START, STOPPED, STOPPED, NOT_DONE),
        (Step.START, STOPPED, USED_AND_STOPPED, UNDECIDABLE),
        (Step.START, STOPPED, GONE, UNDECIDABLE),
        (Step.STOP, RUNNING, STOPPED, DONE),
        (Step.SET_PASSWORD, RUNNING, RUNNING, UNDECIDABLE),
        (Step.SET_PASSWORD, RUNNING, GONE, UNDECIDABLE),
        (Step.NOTE_PASSWORD, RUNNING, RUNNING, UNDECIDABLE),
        (Step.STOP, RUNNING, RUNNING, NOT_DONE),
        (Step.STOP, RUNNING, RUNS_ANEW, UNDECIDABLE),
        (Step.STOP, RUNNING, GONE, DONE),
        (Step.FORCE_STOP, FROZEN, STOPPED, DONE),
        (Step.FORCE_STOP, FROZEN, FROZEN, NOT_DONE),
        (Step.FORCE_STOP, UNREADABLE, UNREADABLE, UNDECIDABLE),
        (Step.RESTART, RUNNING, RUNS_ANEW, DONE),
        (Step.RESTART, RUNNING, RUNNING, NOT_DONE),
        (Step.RESTART, RUNNING, STOPPED, UNDECIDABLE),
        (Step.RESTART, RUNNING, UNREADABLE, UNDECIDABLE),
        (Step.FORCE_RESTART, FROZEN, RUNS_ANEW, DONE),
        (Step.FORCE_RESTART, RUNNING, GONE, UNDECIDABLE),
        (Step.FREEZE, RUNNING, FROZEN, DONE),
        (Step.FREEZE, RUNNING, RUNNING, NOT_DONE),
        (Step.FREEZE, RUNNING, FROZEN_ANEW, UNDECIDABLE),
        (Step.FREEZE, RUNNING, STOPPED, UNDECIDABLE),
        (Step.UNFREEZE, FROZEN, RUNNING, DONE),
        (Step.UNFREEZE, FROZEN, FROZEN, NOT_DONE),
        (Step.UNFREEZE, FROZEN, RUNS_ANEW, UNDECIDABLE),
        (Step.DELETE, STOPPED, GONE, DONE),
        (Step.DELETE, STOPPED, STOPPED, NOT_DONE),
        (Step.DELETE, STOPPED, RUNNING, UNDECIDABLE),
    ],
)
def test_evidence(
    step: Step, before: Observation, now: Observation | None, verdict: Verdict
) -> None:
    assert judge(step, Arguments(), before, now) is verdict


@pytest.mark.parametrize(
    ("uuid", "earlier", "meant"),
    [
        ("u-web", None, True),
        ("u-other", None, False),
        ("", None, False),
        ("", replace(RUNNING, uuid=""), True),
        ("", replace(RUNNING, created_at="2026-11-19T00:00:00Z"), False),
    ],
)
def test_an_instance_is_known_by_its_uuid_or_else_by_its_birth(
    uuid: str, earlier: Observation | None, meant: bool
) -> None:
    assert is_same_instance(RUNNING, uuid, earlier) is meant


def test_an_instance_that_never_had_a_uuid_is_meant_by_an_empty_one() -> None:
    assert is_same_instance(replace(STOPPED, uuid=""), "", None)
