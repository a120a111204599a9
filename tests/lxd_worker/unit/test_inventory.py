"""Inventories and changes of instances, as one numbered sequence of events."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from services.lxd_worker.reports.inventory import InventoryReport
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import LxdUnavailable
from shared.contracts.events import (
    InstanceChanged,
    InstanceRemoved,
    Inventory,
)
from shared.contracts.instance_config import ImageSource
from shared.contracts.instances import Instance
from shared.contracts.operations import Arguments, Kind
from shared.lxd.models import LifecycleEvent, LifecycleMetadata
from tests.support.lxd_worker.bench import Bench
from tests.support.lxd_worker.observations import observation
from tests.support.lxd_worker.wire import Wire


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def report(bench: Bench, wire: Wire) -> InventoryReport:
    return InventoryReport(
        wire.context(bench.clock),
        bench.lxd,
        bench.journal,
        lambda: bench.rings.append("inventory"),
        lambda: "deaf" not in bench.rings,
    )


def lifecycle(action: str, name: str = "web", **context: object) -> LifecycleEvent:
    return LifecycleEvent(LifecycleMetadata(action, f"/1.0/instances/{name}", context or None))


def test_an_inventory_holds_every_instance(report: InventoryReport, wire: Wire) -> None:
    report.request_all()
    report.publish_requested()

    (inventory,) = wire.sent
    assert isinstance(inventory, Inventory)
    assert {one.name for one in inventory.instances} == {"web", "db"}
    assert (inventory.epoch, inventory.sequence, report.sequence) == (3, 1, 1)


def test_a_change_is_told_as_the_instance_stands_now(report: InventoryReport, wire: Wire) -> None:
    report.on_event(lifecycle("instance-started"))
    report.publish_requested()

    (change,) = wire.sent
    assert isinstance(change, InstanceChanged)
    assert (change.action, change.instance.name) == ("instance-started", "web")


def swapping(bench: Bench) -> None:
    """Have a rebuild of `web` under way."""
    bench.submit(Kind.REBUILD, "web", Arguments(image=ImageSource(alias="busybox")))


def test_a_name_that_passes_from_root_to_root_is_not_told_as_gone(
    bench: Bench, report: InventoryReport, wire: Wire
) -> None:
    swapping(bench)
    del bench.lxd.holds["web"]

    report.on_event(lifecycle("instance-renamed", "trash-1-web", old_name="web"))
    report.publish_requested()

    assert [event.name for event in wire.sent if isinstance(event, InstanceRemoved)] == [
        "trash-1-web"
    ]


def test_all_is_read_again_until_the_name_has_its_other_root(
    bench: Bench, report: InventoryReport, wire: Wire
) -> None:
    swapping(bench)
    web = bench.lxd.holds.pop("web")
    bench.clock.on_sleep = lambda: bench.lxd.holds.update(web=web)

    report.request_all()
    report.publish_requested()

    (inventory,) = wire.sent
    assert isinstance(inventory, Inventory)
    assert {one.name for one in inventory.instances} == {"web", "db"}


def test_a_name_that_stays_nobodys_does_not_hold_the_others_back(
    bench: Bench, report: InventoryReport, wire: Wire
) -> None:
    swapping(bench)
    del bench.lxd.holds["web"]

    report.request_all()
    report.publish_requested()

    (inventory,) = wire.sent
    assert isinstance(inventory, Inventory)
    assert {one.name for one in inventory.instances} == {"db"}


def test_a_root_that_is_set_aside_is_in_no_inventory(
    bench: Bench, report: InventoryReport, wire: Wire
) -> None:
    trash = replace(observation("Stopped"), name="trash-1-web", parked_as="trash-1-web")
    bench.lxd.holds["trash-1-web"] = trash

    report.request_all()
    report.publish_requested()

    (inventory,) = wire.sent
    assert isinstance(inventory, Inventory)
    assert {one.name for one in inventory.instances} == {"web", "db"}


def test_events_that_come_together_become_one_reading(report: InventoryReport, wire: Wire) -> None:
    for action in ("instance-stopped", "instance-started", "instance-updated"):
        report.on_event(lifecycle(action))
    report.on_event(lifecycle("instance-started", "db"))
    report.publish_requested()

    told = [(one.instance.name, one.action) for one in wire.sent]  # type: ignore[union-attr]
    assert told == [("web", "instance-updated"), ("db", "instance-started")]


def test_a_deleted_instance_is_told_as_removed_and_newer_than_every_reading_of_it(
    bench: Bench, report: InventoryReport, wire: Wire
) -> None:
    read_before = bench.lxd.instance("default", "web").revision
    del bench.lxd.holds["web"]

    report.on_event(lifecycle("instance-deleted"))
    report.publish_requested()

    (removal,) = wire.sent
    assert isinstance(removal, InstanceRemoved)
    assert (removal.name, removal.action) == ("web", "instance-deleted")
    assert removal.revision > read_before


def test_an_instance_that_was_created_anew_meanwhile_is_told_as_it_is(
    report: InventoryReport, wire: Wire
) -> None:
    report.on_event(lifecycle("instance-deleted"))
    report.publish_requested()

    assert [type(one) for one in wire.sent] == [InstanceChanged]


def test_a_renamed_instance_goes_and_comes(
    bench: Bench, report: InventoryReport, wire: Wire
) -> None:
    bench.lxd.holds["new"] = bench.lxd.holds.pop("web")

    report.on_event(lifecycle("instance-renamed", "new", old_name="web"))
    report.publish_requested()

    assert [type(one) for one in wire.sent] == [InstanceRemoved, InstanceChanged]
    assert [one.sequence for one in wire.sent] == [1, 2]  # type: ignore[union-attr]


def test_a_change_of_a_profile_is_told_as_a_whole_inventory(
    report: InventoryReport, wire: Wire
) -> None:
    report.on_event(LifecycleEvent(LifecycleMetadata("profile-updated", "/1.0/profiles/default")))
    report.publish_requested()

    assert [type(one) for one in wire.sent] == [Inventory]


def test_an_inventory_makes_single_changes_before_it_needless(
    report: InventoryReport, wire: Wire
) -> None:
    report.on_event(lifecycle("instance-started"))
    report.request_all()
    report.publish_requested()

    assert [type(one) for one in wire.sent] == [Inventory]


def test_an_event_that_the_broker_did_not_take_leaves_a_gap_in_the_numbers(
    report: InventoryReport, wire: Wire
) -> None:
    wire.cut = 1
    report.on_event(lifecycle("instance-started", "web"))
    report.on_event(lifecycle("instance-started", "db"))

    report.publish_requested()

    assert [one.sequence for one in wire.sent] == [2]  # type: ignore[union-attr]


def test_nothing_is_told_while_lxd_is_away_and_no_number_is_lost(
    bench: Bench, report: InventoryReport, wire: Wire
) -> None:
    bench.lxd.away = 1
    report.request_all()
    report.publish_requested()

    report.request_all()
    report.publish_requested()

    assert [one.sequence for one in wire.sent] == [1]  # type: ignore[union-attr]


def test_what_lxd_does_not_tell_after_an_event_is_asked_for_again(
    bench: Bench, report: InventoryReport, wire: Wire
) -> None:
    bench.lxd.away = 1
    report.on_event(lifecycle("instance-started", "web"))
    report.on_event(lifecycle("instance-started", "db"))
    report.publish_requested()
    told_at_once = [one.instance.name for one in wire.sent]  # type: ignore[union-attr]
    known = report.cached_instances()

    (again,) = wire.later
    again()
    report.publish_requested()

    assert (told_at_once, known) == (["db"], None)
    assert [one.instance.name for one in wire.sent] == ["db", "web"]  # type: ignore[union-attr]
    assert bench.rings == ["inventory"] * 3


def test_an_inventory_that_lxd_does_not_tell_is_asked_for_again(
    bench: Bench, report: InventoryReport, wire: Wire
) -> None:
    bench.lxd.away = 2
    report.on_event(lifecycle("instance-started", "web"))
    report.request_all()
    report.publish_requested()

    while wire.later:
        wire.later.pop()()
        report.publish_requested()

    assert [type(one) for one in wire.sent] == [Inventory]


def test_what_an_inventory_has_told_meanwhile_is_not_asked_for_again(
    bench: Bench, report: InventoryReport, wire: Wire
) -> None:
    bench.lxd.away = 1
    report.on_event(lifecycle("instance-started", "web"))
    report.publish_requested()
    report.request_all()
    report.publish_requested()
    bench.rings.clear()

    for again in wire.later:
        again()

    assert bench.rings == []


def test_whoever_wants_something_rings(bench: Bench, report: InventoryReport) -> None:
    report.on_event(lifecycle("instance-started"))
    report.on_event(lifecycle("instance-exec"))
    report.request_all()

    assert bench.rings == ["inventory", "inventory"]


def taking(report: InventoryReport, step: Step) -> None:
    """Have an operation take a step on `web`."""
    report.expect_reading("default", "web", step)


def read(report: InventoryReport, *, is_done: bool = True) -> int:
    """Read `web` at the end of a step; return the number of the reading."""
    return report.read("default", "web", is_done=is_done).reported.revision


def revisions(report: InventoryReport, wire: Wire) -> list[tuple[str, int]]:
    """Return what is told of single instances, and by which reading."""
    report.publish_requested()
    changes = [one for one in wire.sent if isinstance(one, InstanceChanged)]
    return [(one.action, one.instance.revision) for one in changes]


def test_a_steps_reading_answers_what_came_before_it(report: InventoryReport, wire: Wire) -> None:
    taking(report, Step.RESTART)
    for action in ("instance-shutdown", "instance-started", "instance-restarted"):
        report.on_event(lifecycle(action))
    told_before = revisions(report, wire)

    reading = read(report)

    assert told_before == []
    assert revisions(report, wire) == [("instance-restarted", reading)]


def test_a_steps_reading_answers_what_is_told_of_the_step_later(
    report: InventoryReport, wire: Wire
) -> None:
    taking(report, Step.FREEZE)
    reading = read(report)

    report.on_event(lifecycle("instance-paused"))

    assert revisions(report, wire) == [("instance-paused", reading)]


def test_a_steps_reading_answers_what_is_told_of_the_step_meanwhile(
    bench: Bench, report: InventoryReport, wire: Wire
) -> None:
    taking(report, Step.FREEZE)
    bench.lxd.on_read = lambda: report.on_event(lifecycle("instance-paused"))

    reading = read(report)

    assert revisions(report, wire) == [("instance-paused", reading)]


@pytest.mark.parametrize(
    ("step", "is_done", "actions"),
    [
        # Once more, by somebody else.
        (Step.START, True, ["instance-started", "instance-started"]),
        (Step.START, True, ["instance-updated"]),
        # Whatever is told after something else may be of something else.
        (Step.START, True, ["instance-shutdown", "instance-started"]),
        # LXD has not said that it has done it.
        (Step.START, False, ["instance-started"]),
        (Step.DELETE, True, ["instance-deleted"]),
    ],
)
@pytest.mark.parametrize("is_meanwhile", [True, False])
def test_anything_else_that_is_told_after_a_steps_reading_is_read_anew(
    bench: Bench,
    report: InventoryReport,
    wire: Wire,
    is_meanwhile: bool,
    step: Step,
    is_done: bool,
    actions: list[str],
) -> None:
    def happen() -> None:
        for action in actions:
            report.on_event(lifecycle(action))

    taking(report, step)
    if is_meanwhile:
        bench.lxd.on_read = happen
    reading = read(report, is_done=is_done)
    if not is_meanwhile:
        happen()

    last_action, last_reading = revisions(report, wire)[-1]

    assert (last_action, last_reading > reading) == (actions[-1], True)


def test_what_waits_too_long_for_a_steps_reading_is_read_by_itself(
    report: InventoryReport, wire: Wire
) -> None:
    taking(report, Step.RESTART)
    report.on_event(lifecycle("instance-shutdown"))

    (release,) = wire.later
    release()
    told = revisions(report, wire)
    reading = read(report)

    assert [action for action, _ in told] == ["instance-shutdown"]
    report.on_event(lifecycle("instance-restarted"))
    assert revisions(report, wire)[1:] == [("instance-restarted", reading)]


def test_what_waits_for_a_reading_that_fails_is_read_by_itself(
    bench: Bench, report: InventoryReport, wire: Wire
) -> None:
    taking(report, Step.START)
    report.on_event(lifecycle("instance-started"))
    bench.lxd.away = 1

    with pytest.raises(LxdUnavailable):
        read(report)

    assert [action for action, _ in revisions(report, wire)] == ["instance-started"]
    report.on_event(lifecycle("instance-started"))
    assert len(revisions(report, wire)) == 2


def test_what_waits_for_a_reading_that_is_not_coming_is_read_by_itself(
    report: InventoryReport, wire: Wire
) -> None:
    taking(report, Step.START)
    report.on_event(lifecycle("instance-started"))

    report.cancel_reading("default", "web")

    assert [action for action, _ in revisions(report, wire)] == ["instance-started"]
    report.on_event(lifecycle("instance-updated"))
    assert [action for action, _ in revisions(report, wire)][1:] == ["instance-updated"]


def test_other_instances_do_not_wait_for_a_steps_reading(
    report: InventoryReport, wire: Wire
) -> None:
    taking(report, Step.START)
    report.on_event(lifecycle("instance-started", "db"))

    assert [action for action, _ in revisions(report, wire)] == ["instance-started"]


def test_an_inventory_makes_what_waits_for_a_reading_needless(
    report: InventoryReport, wire: Wire
) -> None:
    taking(report, Step.START)
    report.on_event(lifecycle("instance-started"))
    report.request_all()
    report.publish_requested()

    read(report)

    assert revisions(report, wire) == []


def test_nothing_is_known_while_an_event_waits_for_a_reading(
    bench: Bench, report: InventoryReport
) -> None:
    remembered(bench)
    taking(report, Step.START)
    report.on_event(lifecycle("instance-started"))

    assert report.cached_instances() is None
    read(report)
    assert report.cached_instances() is not None


def remembered(bench: Bench) -> dict[tuple[str, str], Instance]:
    bench.lxd.memory = {(one.project, one.name): one for one in bench.lxd.instances()}
    return bench.lxd.memory


def test_what_was_read_last_is_known_to_be_so_now(bench: Bench, report: InventoryReport) -> None:
    assert report.cached_instances() is None

    memory = remembered(bench)

    assert report.cached_instances() == memory


def test_nothing_is_known_until_every_event_was_followed_up(
    bench: Bench, report: InventoryReport
) -> None:
    remembered(bench)
    report.on_event(lifecycle("instance-started"))

    assert report.cached_instances() is None
    report.publish_requested()
    assert report.cached_instances() is not None


def test_nothing_is_known_while_a_reading_is_under_way(
    bench: Bench, report: InventoryReport, wire: Wire
) -> None:
    remembered(bench)
    known: list[object] = []
    wire.on_publish = lambda: known.append(report.cached_instances())
    report.request_all()

    report.publish_requested()

    assert known == [None]


def test_nothing_is_known_while_nobody_listens(bench: Bench, report: InventoryReport) -> None:
    remembered(bench)
    bench.rings.append("deaf")

    assert report.cached_instances() is None


def test_why_nothing_is_told_is_logged_once_until_something_is(
    report: InventoryReport, wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    logged = []
    for _ in range(2):
        wire.cut = 3
        for _ in range(3):
            report.request_all()
            report.publish_requested()
        logged.append(caplog.messages.count("inventory not reported"))
        report.request_all()
        report.publish_requested()

    assert logged == [1, 2]
