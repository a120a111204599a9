"""Updates, renames and snapshots: which step is next, and what became of one nobody saw end."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from services.lxd_worker.instances.observation import InstanceConfig, Observation
from services.lxd_worker.transitions.next_step import decide
from services.lxd_worker.transitions.step_verdict import Verdict, judge
from services.lxd_worker.transitions.steps import Done, Failed, Situation, Step
from shared.contracts.errors import (
    InstanceNotRunning,
    InstanceRunning,
    InvalidInput,
    LxdRefused,
    NoEffect,
    SnapshotExists,
    SnapshotNotFound,
)
from shared.contracts.instance_config import Changes
from shared.contracts.operations import Arguments, Kind
from tests.support.lxd_worker.observations import observation

REFUSED = LxdRefused("no")
LIMIT_NOT_SET = LxdRefused("setting cgroup item for the container failed")
TWO_CPUS = Arguments(changes=Changes(cpu=2))
SHRINK = Arguments(changes=Changes(disk=1000))
TO_SHOP = Arguments(new_name="shop", display_name="Shop")
S1, S2 = Arguments(snapshot="s1"), Arguments(snapshot="s2")

WEB = replace(
    observation("Stopped"), name="web", snapshots=("s1",), config=InstanceConfig(description="d")
)
RUNNING = replace(
    observation(), name="web", snapshots=("s1",), config=InstanceConfig(description="d")
)
RUNS_ANEW = replace(RUNNING, init=observation(pid=999).init)
SHOP = replace(WEB, name="shop")
SHOWN = replace(SHOP, config=InstanceConfig(description="d", display_name="Shop"))
FAST = replace(WEB, config=InstanceConfig(description="d", cpu_limit="2"))
BARE = replace(WEB, config=InstanceConfig())
WITHOUT = replace(WEB, snapshots=())
OF_ANOTHER_LXD = replace(WEB, lxd=2)

DONE, NOT_DONE, UNDECIDABLE = Verdict.DONE, Verdict.NOT_DONE, Verdict.UNDECIDABLE


def move(kind: Kind, now: Observation, arguments: Arguments, **more: Any) -> object:
    found = decide(kind, Situation(name="web", arguments=arguments, now=now, **more))
    return type(found.error) if isinstance(found, Failed) else found


@pytest.mark.parametrize(
    ("kind", "now", "arguments", "expected"),
    [
        (Kind.UPDATE, WEB, TWO_CPUS, Step.UPDATE),
        (Kind.UPDATE, RUNNING, TWO_CPUS, Step.UPDATE),
        (Kind.UPDATE, FAST, TWO_CPUS, Done(changed=False)),
        (Kind.UPDATE, WEB, Arguments(), Done(changed=False)),
        (Kind.UPDATE, replace(WEB, root_used=1000), SHRINK, Step.UPDATE),
        (Kind.UPDATE, replace(WEB, root_used=1001), SHRINK, InvalidInput),
        (Kind.RENAME, WEB, TO_SHOP, Step.RENAME),
        (Kind.RENAME, RUNNING, TO_SHOP, InstanceRunning),
        (Kind.RENAME, replace(WEB, status="Frozen"), TO_SHOP, InstanceRunning),
        (Kind.RENAME, replace(RUNNING, name="shop"), TO_SHOP, Step.DESCRIBE),
        (Kind.RENAME, SHOWN, TO_SHOP, Done(changed=False)),
        (Kind.SNAPSHOT, WEB, S2, Step.SNAPSHOT),
        (Kind.SNAPSHOT, WEB, S1, SnapshotExists),
        (Kind.SNAPSHOT, WEB, Arguments(snapshot="s2", stateful=True), InstanceNotRunning),
        (Kind.SNAPSHOT, RUNNING, Arguments(snapshot="s2", stateful=True), Step.SNAPSHOT),
        (Kind.RESTORE, RUNNING, S1, Step.RESTORE),
        (Kind.RESTORE, WEB, S2, SnapshotNotFound),
        (Kind.DELETE_SNAPSHOT, WEB, S1, Step.DELETE_SNAPSHOT),
        (Kind.DELETE_SNAPSHOT, WEB, S2, SnapshotNotFound),
    ],
)
def test_the_first_step_depends_on_what_the_instance_is(
    kind: Kind, now: Observation, arguments: Arguments, expected: object
) -> None:
    assert move(kind, now, arguments) == expected


@pytest.mark.parametrize(
    ("kind", "arguments", "taken", "now", "expected"),
    [
        (Kind.UPDATE, TWO_CPUS, [Step.UPDATE], FAST, Done(changed=True)),
        (Kind.RENAME, TO_SHOP, [Step.RENAME], SHOP, Step.DESCRIBE),
        (Kind.RENAME, TO_SHOP, [Step.RENAME], SHOWN, Step.DESCRIBE),
        (Kind.RENAME, TO_SHOP, [Step.RENAME, Step.DESCRIBE], SHOWN, Done(changed=True)),
        (Kind.RENAME, TO_SHOP, [Step.DESCRIBE], SHOWN, Done(changed=True)),
        (Kind.SNAPSHOT, S1, [Step.SNAPSHOT], WEB, Done(changed=True)),
        (Kind.RESTORE, S1, [Step.RESTORE], WEB, Done(changed=True)),
        (Kind.RESTORE, S1, [Step.RESTORE], BARE, Step.DESCRIBE),
        (Kind.DELETE_SNAPSHOT, S1, [Step.DELETE_SNAPSHOT], WITHOUT, Done(changed=True)),
    ],
)
def test_what_lxd_does_not_keep_is_written_again(
    kind: Kind, arguments: Arguments, taken: list[Step], now: Observation, expected: object
) -> None:
    assert move(kind, now, arguments, taken=tuple(taken), first=WEB, before=WEB) == expected


def test_what_lxd_did_not_keep_is_there_again() -> None:
    taken = (Step.RESTORE, Step.DESCRIBE)

    assert move(Kind.RESTORE, WEB, S1, taken=taken, first=WEB, before=BARE) == Done(changed=True)


@pytest.mark.parametrize(
    ("kind", "arguments", "before", "now", "taken"),
    [
        (Kind.UPDATE, TWO_CPUS, WEB, WEB, [Step.UPDATE]),
        (Kind.RENAME, TO_SHOP, WEB, WEB, [Step.RENAME]),
        (Kind.RENAME, TO_SHOP, SHOP, SHOP, [Step.RENAME, Step.DESCRIBE]),
        (Kind.SNAPSHOT, S2, WEB, WEB, [Step.SNAPSHOT]),
        (Kind.RESTORE, S1, RUNNING, RUNNING, [Step.RESTORE]),
        (Kind.DELETE_SNAPSHOT, S1, WEB, WEB, [Step.DELETE_SNAPSHOT]),
        (Kind.DELETE_SNAPSHOT, S1, WEB, OF_ANOTHER_LXD, [Step.DELETE_SNAPSHOT]),
    ],
)
def test_what_lxd_says_it_has_done_is_not_done_while_all_is_as_it_was(
    kind: Kind, arguments: Arguments, before: Observation, now: Observation, taken: list[Step]
) -> None:
    found = move(kind, now, arguments, taken=tuple(taken), first=WEB, before=before)

    assert found is NoEffect


@pytest.mark.parametrize(
    ("kind", "arguments", "taken", "now", "expected"),
    [
        (Kind.UPDATE, TWO_CPUS, [Step.UPDATE], WEB, LxdRefused),
        (Kind.UPDATE, TWO_CPUS, [Step.UPDATE], FAST, Done(changed=False)),
        (Kind.RENAME, TO_SHOP, [Step.RENAME], WEB, LxdRefused),
        (Kind.RENAME, TO_SHOP, [Step.RENAME, Step.DESCRIBE], SHOP, LxdRefused),
        (Kind.SNAPSHOT, S2, [Step.SNAPSHOT], WEB, LxdRefused),
        (Kind.RESTORE, S1, [Step.RESTORE], BARE, LxdRefused),
        (Kind.DELETE_SNAPSHOT, S1, [Step.DELETE_SNAPSHOT], WEB, LxdRefused),
        (Kind.DELETE_SNAPSHOT, S1, [Step.DELETE_SNAPSHOT], WITHOUT, Done(changed=False)),
    ],
)
def test_what_lxd_refused_has_failed_unless_it_is_so_already(
    kind: Kind, arguments: Arguments, taken: list[Step], now: Observation, expected: object
) -> None:
    found = move(kind, now, arguments, taken=tuple(taken), first=WEB, before=WEB, error=REFUSED)

    assert found == expected


def test_less_memory_than_is_in_use_is_named_as_the_reason_of_lxds_refusal() -> None:
    less, refused = Arguments(changes=Changes(memory=1000)), LIMIT_NOT_SET

    found = move(Kind.UPDATE, RUNNING, less, taken=(Step.UPDATE,), before=RUNNING, error=refused)

    assert found is InvalidInput


def test_what_else_lxd_refuses_has_nothing_to_do_with_memory() -> None:
    less = Arguments(changes=Changes(memory=1000))

    found = move(Kind.UPDATE, RUNNING, less, taken=(Step.UPDATE,), before=RUNNING, error=REFUSED)

    assert found is LxdRefused


def test_what_counts_from_the_next_start_is_told() -> None:
    later = replace(WEB, config=InstanceConfig(root_size=1000), postponed=("disk",))

    found = move(Kind.UPDATE, later, SHRINK, taken=(Step.UPDATE,), first=WEB, before=WEB)

    assert found == Done(changed=True, needs_restart=("disk",))


@pytest.mark.parametrize(
    ("step", "arguments", "before", "now", "verdict"),
    [
        (Step.UPDATE, TWO_CPUS, WEB, FAST, DONE),
        (Step.UPDATE, TWO_CPUS, WEB, WEB, NOT_DONE),
        (Step.UPDATE, TWO_CPUS, WEB, BARE, UNDECIDABLE),
        (Step.UPDATE, TWO_CPUS, WEB, None, UNDECIDABLE),
        (Step.RENAME, TO_SHOP, WEB, SHOP, DONE),
        (Step.RENAME, TO_SHOP, WEB, WEB, NOT_DONE),
        (Step.DESCRIBE, TO_SHOP, SHOP, SHOWN, DONE),
        (Step.DESCRIBE, TO_SHOP, SHOP, SHOP, NOT_DONE),
        (Step.SNAPSHOT, S1, WITHOUT, WEB, DONE),
        (Step.SNAPSHOT, S1, WITHOUT, WITHOUT, NOT_DONE),
        (Step.SNAPSHOT, S1, WITHOUT, OF_ANOTHER_LXD, UNDECIDABLE),
        (Step.RESTORE, S1, RUNNING, RUNS_ANEW, DONE),
        (Step.RESTORE, S1, RUNNING, RUNNING, NOT_DONE),
        (Step.RESTORE, S1, RUNNING, WEB, UNDECIDABLE),
        (Step.RESTORE, S1, WEB, BARE, DONE),
        (Step.RESTORE, S1, WEB, WEB, UNDECIDABLE),
        (Step.DELETE_SNAPSHOT, S1, WEB, WITHOUT, DONE),
        (Step.DELETE_SNAPSHOT, S1, WEB, WEB, NOT_DONE),
        (Step.DELETE_SNAPSHOT, S1, WEB, None, UNDECIDABLE),
        (Step.DELETE_SNAPSHOT, S1, WEB, OF_ANOTHER_LXD, UNDECIDABLE),
    ],
)
def test_evidence(
    step: Step, arguments: Arguments, before: Observation, now: Observation | None, verdict: Verdict
) -> None:
    assert judge(step, arguments, before, now) is verdict
