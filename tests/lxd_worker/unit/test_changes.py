"""Updates, renames and snapshots from their submission to their end, and after a crash."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from services.lxd_worker.instance_queries import list_snapshots
from services.lxd_worker.instances.observation import InstanceConfig
from services.lxd_worker.operations.runner import OperationRunner
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import (
    FleetError,
    InstanceChangedSince,
    InstanceExists,
    InstanceNotFound,
    InstanceReplaced,
    InstanceRunning,
    InvalidInput,
    NoEffect,
    OperationInProgress,
    SnapshotExists,
    SnapshotNotFound,
)
from shared.contracts.instance_config import Changes
from shared.contracts.instance_etag import etag
from shared.contracts.operations import (
    Arguments,
    Kind,
    State,
    failure_of,
)
from tests.support.builders import a_submission
from tests.support.lxd_worker.bench import Bench
from tests.support.lxd_worker.observations import described

TO_SHOP = Arguments(new_name="shop", display_name="Shop")
S1 = Arguments(snapshot="s1")


def look(bench: Bench, name: str, **changes: Any) -> None:
    bench.lxd.holds[name] = replace(bench.lxd.holds[name], **changes)


@pytest.mark.parametrize(
    ("changes", "shape"),
    [
        (Changes(cpu=2), InstanceConfig(cpu_limit="2")),
        (
            Changes(memory=1 << 30, disk=20 << 30),
            InstanceConfig(memory_limit=1 << 30, root_size=20 << 30),
        ),
        (
            Changes(description="d", auto_start=True),
            InstanceConfig(description="d", auto_start=True),
        ),
        (Changes(labels={"tier": "front"}), InstanceConfig(labels={"tier": "front"})),
    ],
)
def test_an_instance_becomes_what_was_asked_in_one_request(
    bench: Bench, changes: Changes, shape: InstanceConfig
) -> None:
    operation = bench.run(Kind.UPDATE, "web", Arguments(changes=changes))

    assert (operation.state, operation.changed) == (State.DONE, True)
    assert bench.lxd.asked == [Step.UPDATE]
    assert bench.lxd.holds["web"].config == shape


def test_what_waits_for_the_next_start_is_told_with_the_outcome(bench: Bench) -> None:
    look(bench, "web", postponed=("disk",))

    operation = bench.run(Kind.UPDATE, "web", Arguments(changes=Changes(disk=20 << 30)))

    assert (operation.state, operation.needs_restart) == (State.DONE, ("disk",))


def test_a_renamed_instance_is_found_under_its_new_name_by_the_operation_too(bench: Bench) -> None:
    operation = bench.run(Kind.RENAME, "db", TO_SHOP)

    assert (operation.state, operation.instance) == (State.DONE, "shop")
    assert operation.after is not None
    assert (operation.after.name, operation.after.display_name) == ("shop", "Shop")
    assert bench.lxd.asked == [Step.RENAME, Step.DESCRIBE]


def test_a_running_instance_can_be_shown_under_another_name(bench: Bench) -> None:
    arguments = Arguments(new_name="web", display_name="Web Server")

    operation = bench.run(Kind.RENAME, "web", arguments)

    assert operation.state is State.DONE
    assert bench.lxd.asked == [Step.DESCRIBE]
    assert bench.lxd.holds["web"].config.display_name == "Web Server"


def test_a_restored_instance_keeps_what_it_is_called(bench: Bench) -> None:
    called = InstanceConfig(display_name="Web Server", description="mine")
    look(bench, "web", snapshots=("s1",), config=called)

    operation = bench.run(Kind.RESTORE, "web", S1)

    assert operation.state is State.DONE
    assert bench.lxd.asked == [Step.RESTORE, Step.DESCRIBE]
    assert bench.lxd.holds["web"].config == called


@pytest.mark.parametrize(
    ("kind", "instance", "arguments", "step"),
    [
        (Kind.SNAPSHOT, "web", S1, Step.SNAPSHOT),
        (Kind.DELETE_SNAPSHOT, "web", Arguments(snapshot="there"), Step.DELETE_SNAPSHOT),
        (Kind.RESTORE, "web", Arguments(snapshot="there"), Step.RESTORE),
        (Kind.RENAME, "db", TO_SHOP, Step.RENAME),
        (Kind.UPDATE, "web", Arguments(changes=Changes(cpu=2)), Step.UPDATE),
        (Kind.DELETE, "db", Arguments(), Step.DELETE),
    ],
)
def test_what_lxd_only_says_it_has_done_has_failed(
    bench: Bench, kind: Kind, instance: str, arguments: Arguments, step: Step
) -> None:
    look(bench, "web", snapshots=("there",))
    before = bench.lxd.holds[instance]
    bench.lxd.claims.add(step)

    operation = bench.run(kind, instance, arguments)

    assert bench.lxd.asked == [step]
    assert bench.lxd.holds[instance] == before
    assert (operation.state, operation.failure) == (State.FAILED, failure_of(NoEffect(step.value)))


def test_snapshots_come_and_go_without_a_look_into_the_guest(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(type(bench.lxd), "observe_fully")

    bench.run(Kind.SNAPSHOT, "web", S1)
    there = bench.lxd.holds["web"].snapshots

    bench.submit(Kind.DELETE_SNAPSHOT, "web", S1, operation_id="op-2")
    bench.work()

    assert there == ("s1",)
    assert bench.lxd.holds["web"].snapshots == ()


@pytest.mark.parametrize(
    ("kind", "instance", "arguments", "error"),
    [
        (Kind.UPDATE, "web", Arguments(changes=Changes(cpu=0)), InvalidInput),
        (Kind.UPDATE, "web", Arguments(changes=Changes(memory=0)), InvalidInput),
        (Kind.UPDATE, "web", Arguments(changes=Changes(disk=0)), InvalidInput),
        (Kind.UPDATE, "web", Arguments(changes=Changes(labels={"a b": "c"})), InvalidInput),
        (Kind.UPDATE, "web", Arguments(changes=Changes(labels={"a": ""})), InvalidInput),
        (Kind.UPDATE, "web", Arguments(changes=Changes(cpu=2), etag="old"), InstanceChangedSince),
        (Kind.RENAME, "db", Arguments(), InvalidInput),
        (Kind.RENAME, "db", Arguments(new_name="shop-"), InvalidInput),
        (Kind.RENAME, "db", Arguments(new_name="../web"), InvalidInput),
        (Kind.RENAME, "db", Arguments(new_name="web"), InstanceExists),
        (Kind.RENAME, "web", Arguments(new_name="shop"), InstanceRunning),
        (Kind.SNAPSHOT, "web", Arguments(), InvalidInput),
        (Kind.SNAPSHOT, "web", Arguments(snapshot=".."), InvalidInput),
        (Kind.SNAPSHOT, "web", Arguments(snapshot="a/b"), InvalidInput),
        (Kind.SNAPSHOT, "web", Arguments(snapshot="a b"), InvalidInput),
        (Kind.SNAPSHOT, "web", Arguments(snapshot="there"), SnapshotExists),
        (Kind.RESTORE, "web", S1, SnapshotNotFound),
        (Kind.DELETE_SNAPSHOT, "web", S1, SnapshotNotFound),
        (Kind.DELETE_SNAPSHOT, "web", Arguments(snapshot="."), InvalidInput),
        (Kind.DELETE_SNAPSHOT, "web", Arguments(snapshot=".."), InvalidInput),
        (Kind.RESTORE, "web", Arguments(snapshot=".."), InvalidInput),
    ],
)
def test_what_cannot_be_is_not_taken_on(
    bench: Bench, kind: Kind, instance: str, arguments: Arguments, error: type[FleetError]
) -> None:
    look(bench, "web", snapshots=("there",))

    with pytest.raises(error):
        bench.submit(kind, instance, arguments)

    assert bench.journal.length == 0


def test_an_instance_that_the_caller_saw_otherwise_is_told_anew(bench: Bench) -> None:
    with pytest.raises(InstanceChangedSince):
        bench.operations.submit(
            a_submission(Kind.UPDATE, "web", Arguments(changes=Changes(cpu=2), etag="old"))
        )

    assert bench.reported == [("default", "web")]


def test_an_update_of_what_the_caller_saw_is_taken_on(bench: Bench) -> None:
    seen_by_caller = etag(described("web", bench.lxd.holds["web"]))
    arguments = Arguments(changes=Changes(cpu=2), etag=seen_by_caller)

    operation = bench.run(Kind.UPDATE, "web", arguments)

    assert operation.state is State.DONE


def test_a_rename_holds_both_names(bench: Bench) -> None:
    bench.lxd.holds["shop2"] = replace(bench.lxd.holds["db"], uuid="u-shop2")
    bench.submit(Kind.RENAME, "db", TO_SHOP)

    for instance, wanted in (("shop2", TO_SHOP), ("db", Arguments(new_name="other"))):
        with pytest.raises(OperationInProgress) as refusal:
            bench.submit(Kind.RENAME, instance, wanted, operation_id="op-2")

        assert refusal.value.operation_id == "op"


def test_a_name_is_free_again_when_its_rename_has_ended(bench: Bench) -> None:
    bench.run(Kind.RENAME, "db", TO_SHOP)
    bench.lxd.holds["db"] = replace(bench.lxd.holds["shop"], uuid="u-db2")

    again = a_submission(Kind.SNAPSHOT, "db", S1, operation_id="op-2", uuid="u-db2")

    assert bench.operations.submit(again).state is State.ACCEPTED


def test_after_a_crash_a_rename_goes_on_where_it_was(bench: Bench) -> None:
    bench.submit(Kind.RENAME, "db", TO_SHOP)
    bench.journal.advance(
        "op", lambda entry: entry.begin(Step.RENAME, bench.lxd.observe("", "db"), "then")
    )
    bench.lxd.request(Step.RENAME, bench.entry("op"))

    OperationRunner(bench.context, bench.entry("op")).run()

    operation = bench.operation("op")
    assert (operation.state, operation.instance) == (State.DONE, "shop")
    assert bench.lxd.asked == [Step.RENAME, Step.DESCRIBE]


@pytest.mark.parametrize(
    ("kind", "instance", "arguments"),
    [
        (Kind.UPDATE, "web", Arguments(changes=Changes(cpu=2))),
        (Kind.RENAME, "db", TO_SHOP),
        (Kind.SNAPSHOT, "web", S1),
        (Kind.RESTORE, "web", Arguments(snapshot="there")),
        (Kind.DELETE_SNAPSHOT, "web", Arguments(snapshot="there")),
    ],
)
def test_a_step_that_never_reached_lxd_is_not_made_up_for(
    bench: Bench, kind: Kind, instance: str, arguments: Arguments
) -> None:
    look(bench, "web", snapshots=("there",))
    bench.lxd.unheard = set(Step)

    operation = bench.run(kind, instance, arguments)

    assert (operation.state, bench.lxd.asked) == (State.FAILED, [])
    assert operation.failure is not None
    assert operation.failure.code == "step_interrupted"


def test_snapshots_are_listed(bench: Bench) -> None:
    look(bench, "web", snapshots=("s1", "s2"))

    listed = list_snapshots(bench.lxd, "default", "web", "u-web")

    assert [one.name for one in listed.snapshots] == ["s1", "s2"]


@pytest.mark.parametrize(
    ("name", "uuid", "error"),
    [
        ("nope", "u", InstanceNotFound),
        ("web", "u-old", InstanceReplaced),
        ("..", "u-web", InvalidInput),
    ],
)
def test_snapshots_of_another_instance_are_not_listed(
    bench: Bench, name: str, uuid: str, error: type[FleetError]
) -> None:
    with pytest.raises(error):
        list_snapshots(bench.lxd, "default", name, uuid)
