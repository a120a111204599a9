"""Rebuilds and reverts from acceptance to their end, and from wherever a crash has left them."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.operations.runner import OperationRunner
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import (
    ImageNotFound,
    InsufficientResources,
    InvalidInput,
    LxdRefused,
    OperationInProgress,
    TrashNotFound,
)
from shared.contracts.instance_config import ImageSource
from shared.contracts.instances import Proxy
from shared.contracts.operations import Arguments, Kind, State
from tests.support.lxd_worker.bench import Bench, outcome
from tests.support.lxd_worker.rebuilds import (
    PowerFailure,
    an_order,
    die_at,
    ended,
    is_old,
    kept,
    roots,
)
from tests.support.lxd_worker.resources import GIB

FORWARD = (Step.BUILD, Step.STOP, Step.DETACH, Step.MOVE_OUT, Step.MOVE_IN, Step.ATTACH, Step.START)
NAMES = [step.value for step in FORWARD]


def test_a_running_one_runs_with_another_root_and_the_old_one_is_kept(bench: Bench) -> None:
    operation = ended(bench)

    there = roots(bench)
    assert outcome(operation) == (State.DONE, None)
    assert bench.lxd.asked == list(FORWARD)
    assert there.keys() == {"web", "trash"}
    assert (there["web"].root, there["web"].status, there["web"].parked_as) == ("op", "Running", "")
    assert (is_old(there["trash"]), there["trash"].status) == (True, "Stopped")
    assert operation.after is not None
    assert (operation.after.name, operation.after.uuid) == ("web", "u-web")


@pytest.mark.parametrize("at_once", [False, True])
@pytest.mark.parametrize("step", FORWARD)
def test_while_lxd_is_busy_with_a_root_it_is_asked_again(
    bench: Bench, step: Step, at_once: bool
) -> None:
    bench.lxd.busy[step], bench.lxd.busy_at_once = 3, at_once

    assert outcome(ended(bench)) == (State.DONE, None)
    assert bench.lxd.asked == list(FORWARD)


@pytest.mark.parametrize("step", FORWARD[:-1])
def test_where_lxd_stays_busy_all_is_taken_back(bench: Bench, step: Step) -> None:
    bench.lxd.busy[step] = 1_000
    before = bench.lxd.holds["web"]

    assert outcome(ended(bench)) == (State.FAILED, "lxd_busy")
    assert roots(bench).keys() == {"web"}
    assert replace(roots(bench)["web"], init=None, last_used_at="") == replace(
        before, init=None, last_used_at=""
    )


@pytest.mark.parametrize("step", FORWARD[2:-1])
def test_a_step_that_lxd_only_says_it_has_done_is_taken_again(bench: Bench, step: Step) -> None:
    bench.lxd.claims = {step}

    assert outcome(ended(bench)) == (State.DONE, None)
    assert roots(bench).keys() == {"web", "trash"}


def test_a_new_root_that_lxd_only_says_it_has_made_is_a_failure(bench: Bench) -> None:
    bench.lxd.claims = {Step.BUILD}
    before = bench.lxd.holds["web"]

    assert outcome(ended(bench)) == (State.FAILED, "no_effect")
    assert roots(bench) == {"web": before}


def test_a_stopped_one_stays_stopped(bench: Bench) -> None:
    operation = ended(bench, name="db")

    assert outcome(operation) == (State.DONE, None)
    assert bench.lxd.asked == [
        Step.BUILD,
        Step.DETACH,
        Step.MOVE_OUT,
        Step.MOVE_IN,
        Step.ATTACH,
    ]
    assert bench.lxd.holds["db"].status == "Stopped"


def test_a_guest_that_does_not_stop_is_stopped_by_force(bench: Bench) -> None:
    bench.lxd.refuses[Step.STOP] = LxdRefused("time-out")

    assert outcome(ended(bench)) == (State.DONE, None)
    assert bench.lxd.asked[1:3] == [Step.STOP, Step.FORCE_STOP]


def test_a_guest_that_stops_just_before_it_is_forced_to_is_stopped(bench: Bench) -> None:
    bench.lxd.refuses |= {Step.STOP: LxdRefused("time-out"), Step.FORCE_STOP: LxdRefused("stopped")}
    ask = bench.lxd.request

    def asked(step: Step, entry: Any) -> str:
        if step is Step.FORCE_STOP:
            bench.lxd.holds["web"] = replace(bench.lxd.holds["web"], status="Stopped")
        return ask(step, entry)

    bench.lxd.request = asked  # type: ignore[method-assign]

    assert outcome(ended(bench)) == (State.DONE, None)


def test_an_image_that_cannot_be_unpacked_leaves_the_old_one_untouched(bench: Bench) -> None:
    before = bench.lxd.holds["web"]
    bench.lxd.refuses[Step.BUILD] = LxdRefused("no such image")

    operation = ended(bench)

    assert outcome(operation) == (State.FAILED, "lxd_refused")
    assert roots(bench) == {"web": before}


def test_a_root_that_was_made_in_half_is_deleted(bench: Bench) -> None:
    before = bench.lxd.holds["web"]
    bench.lxd.half_made = True
    bench.lxd.refuses[Step.BUILD] = LxdRefused("disk is full")

    assert outcome(ended(bench)) == (State.FAILED, "lxd_refused")
    assert bench.lxd.asked == [Step.BUILD, Step.DISCARD]
    assert roots(bench) == {"web": before}


@pytest.mark.parametrize("refused", FORWARD)
def test_whatever_lxd_refuses_the_old_one_runs_again_as_it_was(bench: Bench, refused: Step) -> None:
    before = bench.lxd.holds["web"]
    bench.lxd.refuses[refused] = LxdRefused("no")
    if refused is Step.STOP:
        bench.lxd.refuses[Step.FORCE_STOP] = LxdRefused("no")
    if refused is Step.START:
        new_one_does_not_start(bench, "Stopped")

    operation = ended(bench)

    there = roots(bench)
    assert outcome(operation) == (State.FAILED, "lxd_refused")
    assert there.keys() == {"web"}
    assert (is_old(there["web"]), there["web"].parked_as) == (True, "")
    assert there["web"].status == before.status


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", FORWARD)
def test_a_worker_that_dies_at_a_step_leaves_a_whole_one_and_the_next_goes_on(
    bench: Bench, step: Step, moment: str
) -> None:
    die_at(bench, step, moment)
    bench.operations.submit(an_order())
    (entry,) = bench.journal.unfinished()
    with pytest.raises(PowerFailure):
        OperationRunner(bench.context, entry).run()
    at_death = roots(bench)
    survive(bench)
    (entry,) = bench.journal.unfinished()

    OperationRunner(bench.context, entry).run()

    assert any(is_old(look) for look in at_death.values())
    assert sum(not look.stopped for look in at_death.values()) <= 1
    assert bench.most_running <= 1  # type: ignore[attr-defined]
    there = roots(bench)
    assert (there["web"].status, there["web"].parked_as) == ("Running", "")
    operation = bench.operation("op")
    if (step, moment) == (Step.BUILD, "before"):
        assert outcome(operation) == (State.FAILED, "step_interrupted")
        assert there.keys() == {"web"}
    else:
        assert outcome(operation) == (State.DONE, None)
        assert there.keys() == {"web", "trash"}
        assert there["web"].root == "op"


BACK = (
    Step.FORCE_STOP,
    Step.RELEASE,
    Step.MOVE_NEW_BACK,
    Step.MOVE_OLD_BACK,
    Step.REATTACH,
    Step.DISCARD,
)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", BACK)
def test_a_worker_that_dies_on_the_way_back_is_followed_by_one_that_arrives(
    bench: Bench, step: Step, moment: str
) -> None:
    new_one_does_not_start(bench, "Error")
    die_at(bench, step, moment)
    bench.operations.submit(an_order())
    (entry,) = bench.journal.unfinished()
    with pytest.raises(PowerFailure):
        OperationRunner(bench.context, entry).run()
    survive(bench)
    (entry,) = bench.journal.unfinished()

    OperationRunner(bench.context, entry).run()

    there = roots(bench)
    assert outcome(bench.operation("op")) == (State.FAILED, "lxd_refused")
    assert there.keys() == {"web"}
    assert (is_old(there["web"]), there["web"].status, there["web"].parked_as) == (
        True,
        "Running",
        "",
    )


def new_one_does_not_start(bench: Bench, status: str) -> None:
    """Let LXD refuse to start the new root, and leave it in a status."""
    begin = bench.lxd.request

    def ask(step: Step, entry: Any) -> str:
        place = bench.lxd.holds.get("web")
        is_new = place is not None and place.root == "op"
        if step is Step.START:
            bench.lxd.refuses = {Step.START: LxdRefused("no init")} if is_new else {}
        asked = begin(step, entry)
        if step is Step.START and place and is_new:
            bench.lxd.holds["web"] = replace(place, status=status)
        return asked

    bench.lxd.request = ask  # type: ignore[method-assign]


def survive(bench: Bench) -> None:
    """Let LXD end what it was asked for; nobody remembers the request."""
    bench.lxd.forgetful = True


def test_a_host_that_restarts_between_two_steps_has_the_old_one_stopped_again(
    bench: Bench,
) -> None:
    die_at(bench, Step.DETACH, "before")
    bench.operations.submit(an_order())
    (entry,) = bench.journal.unfinished()
    with pytest.raises(PowerFailure):
        OperationRunner(bench.context, entry).run()
    bench.lxd.holds["web"] = replace(bench.lxd.holds["web"], status="Running")
    (entry,) = bench.journal.unfinished()

    OperationRunner(bench.context, entry).run()

    assert outcome(bench.operation("op")) == (State.DONE, None)
    assert bench.most_running <= 1  # type: ignore[attr-defined]


def test_a_revert_brings_the_old_one_back_and_keeps_the_new_one(bench: Bench) -> None:
    ended(bench)
    kept(bench)
    bench.lxd.asked.clear()

    operation = ended(bench, kind=Kind.REVERT, op="back")

    there = roots(bench)
    assert outcome(operation) == (State.DONE, None)
    assert bench.lxd.asked == list(FORWARD[1:])
    assert (is_old(there["web"]), there["web"].status) == (True, "Running")
    assert there["trash"].root == "op"


@pytest.mark.parametrize("refused", FORWARD[2:6])
def test_a_revert_that_lxd_refuses_leaves_both_where_they_were(bench: Bench, refused: Step) -> None:
    ended(bench)
    kept(bench)
    before = bench.lxd.holds.keys() | set()
    bench.lxd.refuses[refused] = LxdRefused("no")

    operation = ended(bench, kind=Kind.REVERT, op="back")

    assert outcome(operation) == (State.FAILED, "lxd_refused")
    assert bench.lxd.holds.keys() == before
    assert (bench.lxd.holds["web"].root, bench.lxd.holds["web"].status) == ("op", "Running")


def test_nothing_to_revert_to_is_refused(bench: Bench) -> None:
    with pytest.raises(TrashNotFound):
        bench.operations.submit(an_order(Kind.REVERT))


def test_what_was_deleted_by_hand_cannot_be_brought_back(bench: Bench) -> None:
    ended(bench)
    kept(bench)
    (trash,) = [look.name for look in bench.lxd.holds.values() if look.parked_as == look.name]
    del bench.lxd.holds[trash]

    with pytest.raises(TrashNotFound):
        bench.operations.submit(an_order(Kind.REVERT, op="back"))


def test_an_image_that_is_not_there_is_refused_before_anything_begins(bench: Bench) -> None:
    order = replace(an_order(), arguments=Arguments(image=ImageSource(alias="nix")))

    with pytest.raises(ImageNotFound):
        bench.operations.submit(order)


def test_a_host_without_room_for_both_refuses(bench: Bench) -> None:
    bench.lxd.limits["web"] = {"root_size": bench.resources.pool_size("default")}

    with pytest.raises(InsufficientResources):
        bench.operations.submit(an_order())


def test_an_instance_without_a_uuid_cannot_be_told_from_its_new_root(bench: Bench) -> None:
    bench.lxd.holds["web"] = replace(bench.lxd.holds["web"], uuid="")

    with pytest.raises(InvalidInput):
        bench.operations.submit(replace(an_order(), uuid=""))


def test_an_ephemeral_one_is_not_stopped_for_it(bench: Bench) -> None:
    bench.lxd.holds["web"] = replace(bench.lxd.holds["web"], ephemeral=True)

    operation = ended(bench)

    assert outcome(operation) == (State.FAILED, "invalid_input")
    assert bench.lxd.asked == []


def test_an_order_that_comes_while_the_name_is_nobodys_hears_who_holds_it(bench: Bench) -> None:
    bench.operations.submit(an_order())
    del bench.lxd.holds["web"]

    with pytest.raises(OperationInProgress):
        bench.operations.submit(an_order(Kind.REVERT, op="back"))


def test_an_operation_that_is_called_off_goes_back(bench: Bench) -> None:
    bench.operations.submit(an_order())
    bench.journal.advance("op", lambda entry: entry.start("now"))
    bench.lxd.on_wait = lambda: bench.journal.advance("op", JournalEntry.cancel)

    bench.work()

    assert outcome(bench.operation("op")) == (State.CANCELLED, "cancelled")
    assert roots(bench).keys() == {"web"}


def test_a_swap_under_way_counts_as_disk(bench: Bench) -> None:
    bench.lxd.limits["web"] = {"root_size": 3 * GIB}
    before = bench.admission.allocations.commitments(0.0).capacity()
    bench.operations.submit(an_order())

    after = bench.admission.allocations.commitments(bench.clock.monotonic()).capacity()

    assert after.disk - before.disk == 3 * GIB


def test_ports_that_neither_root_has_for_a_moment_are_not_given_away(bench: Bench) -> None:
    ssh = Proxy(device="ssh", listen="tcp:203.0.113.7:2201", connect="tcp:127.0.0.1:22")
    bench.lxd.limits["web"] = {"proxies": (ssh,)}
    bench.operations.submit(an_order())
    del bench.lxd.limits["web"]

    allotted = bench.admission.allocations.commitments(bench.clock.monotonic())

    assert ("tcp", 2201) in allotted.ports()
