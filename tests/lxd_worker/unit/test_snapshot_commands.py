"""Commands in the guest around a snapshot, and the snapshot before a restore."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.operations.runner import OperationRunner
from services.lxd_worker.transitions.next_step import abort, decide
from services.lxd_worker.transitions.step_verdict import Verdict, judge
from services.lxd_worker.transitions.steps import (
    Decision,
    Done,
    Failed,
    Situation,
    Step,
    Undo,
)
from shared.contracts.errors import (
    Cancelled,
    CommandFailed,
    InvalidInput,
    LxdBusy,
    LxdRefused,
    OutcomeUnknown,
    SnapshotExists,
    StepInterrupted,
    StepTimedOut,
)
from shared.contracts.instance_config import GuestCommand
from shared.contracts.operations import Arguments, Kind, State
from shared.contracts.policies import RunState, Selection
from tests.support.builders import a_submission
from tests.support.lxd_worker.bench import Bench, outcome
from tests.support.lxd_worker.observations import observation
from tests.support.lxd_worker.policies import PolicyBench, a_policy, policy_bench

PRE, POST = GuestCommand(command=("freeze",)), GuestCommand(command=("thaw", "-a"))
BOTH = Arguments(snapshot="s2", pre=PRE, post=POST)
ONLY_PRE, ONLY_POST = replace(BOTH, post=None), replace(BOTH, pre=None)
RUNNING = replace(observation(), name="web", snapshots=("s1",))
TAKEN = replace(RUNNING, snapshots=("s1", "s2"))
STOPPED, FROZEN = replace(RUNNING, status="Stopped"), replace(RUNNING, status="Frozen")
VETO = CommandFailed("web", "freeze", "it ended with status 1")
REFUSED = LxdRefused("no space")
BROKEN = CommandFailed("web", "thaw", "it ended with status 2")


def situation(
    arguments: Arguments, now: Any, *taken: Step, error: Any = None, cause: Any = None
) -> Situation:
    return Situation("web", arguments, now, taken=taken, error=error, cause=cause)


@pytest.mark.parametrize(
    ("now", "expected"),
    [(RUNNING, Step.RUN_PRE), (STOPPED, Step.SNAPSHOT), (FROZEN, Step.SNAPSHOT)],
)
def test_the_command_before_it_comes_first_if_the_instance_runs(
    now: Any, expected: Decision
) -> None:
    assert decide(Kind.SNAPSHOT, situation(BOTH, now)) is expected


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (situation(BOTH, RUNNING, Step.RUN_PRE), Step.SNAPSHOT),
        (situation(BOTH, RUNNING, Step.RUN_PRE, error=VETO), Undo(Step.RUN_POST, VETO)),
        (situation(ONLY_PRE, RUNNING, Step.RUN_PRE, error=VETO), Failed(VETO)),
        (situation(BOTH, STOPPED, Step.RUN_PRE, error=VETO), Failed(VETO)),
        (situation(BOTH, TAKEN, Step.RUN_PRE, Step.SNAPSHOT), Step.RUN_POST),
        (situation(ONLY_PRE, TAKEN, Step.RUN_PRE, Step.SNAPSHOT), Done(changed=True)),
        (situation(ONLY_POST, TAKEN, Step.SNAPSHOT), Step.RUN_POST),
        (
            situation(BOTH, RUNNING, Step.RUN_PRE, Step.SNAPSHOT, error=REFUSED),
            Undo(Step.RUN_POST, REFUSED),
        ),
        (situation(ONLY_POST, RUNNING, Step.SNAPSHOT, error=REFUSED), Undo(Step.RUN_POST, REFUSED)),
        (situation(BOTH, TAKEN, Step.SNAPSHOT, Step.RUN_POST), Done(changed=True)),
        (
            situation(BOTH, TAKEN, Step.SNAPSHOT, Step.RUN_POST, error=BROKEN),
            Done(changed=True, remark=BROKEN),
        ),
        (
            situation(BOTH, RUNNING, Step.RUN_PRE, Step.RUN_POST, cause=VETO, error=BROKEN),
            Failed(VETO, BROKEN),
        ),
    ],
)
def test_what_follows_a_step(case: Situation, expected: Decision) -> None:
    assert decide(Kind.SNAPSHOT, case) == expected


@pytest.mark.parametrize(
    "error", [Cancelled(), StepInterrupted("snapshot"), LxdBusy("busy"), StepTimedOut("snapshot")]
)
def test_the_command_after_it_runs_whatever_has_happened(error: Any) -> None:
    case = situation(BOTH, RUNNING, Step.RUN_PRE, Step.SNAPSHOT, error=error)

    assert decide(Kind.SNAPSHOT, case) == Undo(Step.RUN_POST, error)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (situation(BOTH, TAKEN, Step.RUN_PRE, Step.SNAPSHOT), Step.RUN_POST),
        (situation(BOTH, RUNNING, Step.RUN_PRE), Undo(Step.RUN_POST, StepTimedOut("x"))),
        (situation(ONLY_PRE, RUNNING, Step.RUN_PRE), Failed(StepTimedOut("x"))),
    ],
)
def test_a_snapshot_that_is_given_up_still_gets_the_command_after_it(
    case: Situation, expected: Decision
) -> None:
    given_up = abort(Kind.SNAPSHOT, case, StepTimedOut("x"))

    assert type(given_up) is type(expected)
    assert repr(given_up) == repr(expected)


@pytest.mark.parametrize("step", [Step.RUN_PRE, Step.RUN_POST])
def test_what_became_of_a_command_nobody_can_tell(step: Step) -> None:
    assert judge(step, BOTH, RUNNING, RUNNING) is Verdict.UNDECIDABLE


def test_both_commands_run_once_around_the_snapshot(bench: Bench) -> None:
    operation = bench.run(Kind.SNAPSHOT, "web", BOTH)

    assert outcome(operation) == (State.DONE, None)
    assert bench.lxd.ran == [("freeze",), ("thaw", "-a")]
    assert bench.entry("op").taken == (Step.RUN_PRE, Step.SNAPSHOT, Step.RUN_POST)
    assert bench.entry("op").remark is None


def test_a_command_before_it_that_fails_vetoes_it_and_the_one_after_it_runs(bench: Bench) -> None:
    bench.lxd.failing["freeze"] = VETO
    operation = bench.run(Kind.SNAPSHOT, "web", BOTH)

    assert outcome(operation) == (State.FAILED, "command_failed")
    assert bench.lxd.ran == [("freeze",), ("thaw", "-a")]
    assert bench.lxd.holds["web"].snapshots == ()


def test_a_command_after_it_that_fails_leaves_the_snapshot_good(bench: Bench) -> None:
    bench.lxd.failing["thaw"] = BROKEN
    operation = bench.run(Kind.SNAPSHOT, "web", BOTH)

    assert outcome(operation) == (State.DONE, None)
    remark = bench.entry("op").remark
    assert remark is not None
    assert (remark.code, remark.message) == ("command_failed", str(BROKEN))


@pytest.mark.parametrize("error", [LxdRefused("no space"), Cancelled()])
def test_a_snapshot_that_fails_is_followed_by_the_command_after_it(
    bench: Bench, error: Any
) -> None:
    bench.lxd.refuses[Step.SNAPSHOT] = error
    operation = bench.run(Kind.SNAPSHOT, "web", BOTH)

    assert bench.lxd.ran == [("freeze",), ("thaw", "-a")]
    assert outcome(operation)[1] == error.code


def test_a_command_that_lxd_has_forgotten_is_not_repeated(bench: Bench) -> None:
    bench.lxd.failing["freeze"] = OutcomeUnknown("h1")
    vetoed = bench.run(Kind.SNAPSHOT, "web", BOTH)

    assert outcome(vetoed) == (State.FAILED, "step_interrupted")
    assert bench.lxd.ran == [("freeze",), ("thaw", "-a")]


def test_a_command_whose_end_lxd_does_not_tell_is_not_repeated(bench: Bench) -> None:
    bench.lxd.unanswered.add(Step.RUN_PRE)
    operation = bench.run(Kind.SNAPSHOT, "web", BOTH)

    assert outcome(operation) == (State.FAILED, "step_interrupted")
    assert bench.lxd.ran == [("freeze",), ("thaw", "-a")]


class Killed(BaseException):
    """The worker's process ends."""


@pytest.mark.parametrize("program", ["freeze", "thaw"])
def test_a_worker_that_is_killed_in_a_command_does_not_repeat_it(
    bench: Bench, program: str
) -> None:
    def kill(command: GuestCommand) -> None:
        if command.command[0] == program:
            raise Killed

    bench.lxd.on_command = kill
    bench.submit(Kind.SNAPSHOT, "web", BOTH)
    with pytest.raises(Killed):
        OperationRunner(bench.context, bench.spawned.pop()).run()
    bench.lxd.on_command = None

    OperationRunner(bench.context, bench.entry("op")).run()

    entry = bench.entry("op")
    assert bench.lxd.ran == [("freeze",), ("thaw", "-a")]
    if program == "freeze":
        assert outcome(entry.operation) == (State.FAILED, "step_interrupted")
        assert bench.lxd.holds["web"].snapshots == ()
    else:
        assert outcome(entry.operation) == (State.DONE, None)
        assert entry.remark is not None
        assert entry.remark.code == "step_interrupted"


def test_a_stopped_instance_gets_its_snapshot_without_commands(bench: Bench) -> None:
    operation = bench.run(Kind.SNAPSHOT, "db", BOTH, uuid="u-db")

    assert outcome(operation) == (State.DONE, None)
    assert bench.lxd.ran == []


@pytest.mark.parametrize(
    "arguments",
    [
        Arguments(snapshot="s2", pre=GuestCommand(command=("",))),
        Arguments(snapshot="s2", post=GuestCommand(command=("a", "b\0c"))),
        Arguments(snapshot="s2", safety_snapshot="s3"),
    ],
)
def test_a_command_that_no_guest_can_run_is_refused(bench: Bench, arguments: Arguments) -> None:
    with pytest.raises(InvalidInput):
        bench.operations.submit(a_submission(Kind.SNAPSHOT, "web", arguments))


def test_a_restore_is_preceded_by_a_snapshot_of_what_it_replaces(bench: Bench) -> None:
    bench.lxd.holds["web"] = RUNNING
    restore = Arguments(snapshot="s1", safety_snapshot="before")
    operation = bench.run(Kind.RESTORE, "web", restore)

    assert outcome(operation) == (State.DONE, None)
    assert bench.lxd.asked[:2] == [Step.SNAPSHOT, Step.RESTORE]
    assert bench.lxd.holds["web"].snapshots == ("s1", "before")


def test_nothing_is_restored_without_the_snapshot_before_it(bench: Bench) -> None:
    bench.lxd.holds["web"] = RUNNING
    bench.lxd.refuses[Step.SNAPSHOT] = REFUSED
    operation = bench.run(Kind.RESTORE, "web", Arguments(snapshot="s1", safety_snapshot="before"))

    assert outcome(operation) == (State.FAILED, "lxd_refused")
    assert bench.lxd.asked == [Step.SNAPSHOT]


def test_on_zfs_no_restore_is_begun_that_would_lose_its_safety_snapshot(bench: Bench) -> None:
    bench.lxd.holds["web"] = replace(RUNNING, pool_driver="zfs")
    asked = Arguments(snapshot="s1", safety_snapshot="before")

    with pytest.raises(InvalidInput, match="make a new instance of the snapshot"):
        bench.submit(Kind.RESTORE, "web", asked)

    restore = bench.run(Kind.RESTORE, "web", Arguments(snapshot="s1"))
    assert outcome(restore) == (State.DONE, None)


@pytest.mark.parametrize("described", [True, False])
def test_a_restore_that_has_lost_its_safety_snapshot_says_so_and_that_it_took_place(
    bench: Bench, *, described: bool
) -> None:
    held = RUNNING
    config = replace(held.config, description="a note" if described else "")
    bench.lxd.holds["web"] = replace(held, config=config)
    real = bench.lxd.request

    def request(step: Step, entry: JournalEntry) -> str:
        answer = real(step, entry)
        if step is Step.RESTORE:
            # Of a pool whose restores delete what is newer.
            now = bench.lxd.holds["web"]
            bench.lxd.holds["web"] = replace(now, snapshots=("s1",))
        return str(answer)

    bench.lxd.request = request  # type: ignore[method-assign]
    operation = bench.run(Kind.RESTORE, "web", Arguments(snapshot="s1", safety_snapshot="before"))

    assert outcome(operation) == (State.FAILED, "lxd_refused")
    assert operation.failure is not None
    assert "the instance was restored all the same" in operation.failure.message
    assert bench.lxd.holds["web"].config.description == config.description


@pytest.mark.parametrize(
    ("safety", "error"), [("s1", SnapshotExists), ("a/b", InvalidInput), ("..", InvalidInput)]
)
def test_a_snapshot_before_a_restore_needs_a_free_and_valid_name(
    bench: Bench, safety: str, error: type[Exception]
) -> None:
    bench.lxd.holds["web"] = RUNNING

    with pytest.raises(error):
        bench.submit(Kind.RESTORE, "web", Arguments(snapshot="s1", safety_snapshot=safety))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[PolicyBench]:
    with policy_bench(tmp_path) as host:
        host.give(a_policy(selection=Selection(names=("web",)), pre=PRE, post=POST))
        yield host


@pytest.mark.parametrize(
    ("failing", "state", "code"),
    [
        ({}, RunState.TAKEN, ""),
        ({"freeze": VETO}, RunState.VETOED, "command_failed"),
        ({"freeze": OutcomeUnknown("h1")}, RunState.VETOED, "step_interrupted"),
        ({"thaw": BROKEN}, RunState.TAKEN, "command_failed"),
    ],
)
def test_a_run_tells_what_became_of_its_commands(
    host: PolicyBench, failing: dict[str, Any], state: RunState, code: str
) -> None:
    host.lxd.failing.update(failing)
    host.until_hour()

    (run,) = host.runs()
    assert (run.state, run.code) == (state, code)
    assert bool(run.message) is bool(code)
