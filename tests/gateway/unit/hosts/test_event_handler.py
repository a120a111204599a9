"""How events change what the fleet view shows."""

import pytest

from services.gateway.fleet.capacity import Amount
from services.gateway.fleet.host_state import NOTHING, WorkerEvent
from services.gateway.fleet.view import FleetView
from shared.contracts.errors import InstanceNotFound
from shared.contracts.events import ImageServersRead
from shared.contracts.hosts import Network, Served, ServedImage
from shared.contracts.operations import Kind, Operation, State
from tests.support.builders import (
    a_change,
    a_description,
    a_heartbeat,
    a_removal,
    a_sample,
    an_instance,
    an_inventory,
    an_operation,
)
from tests.support.clock import FakeClock


@pytest.fixture
def fleet(time: FakeClock) -> FleetView:
    """A view that has read host h1 with a running `web`, up to event 1 of epoch 1."""
    fleet = FleetView(time.clock, ready_after_s=0)
    fleet.apply("h1", a_heartbeat())
    fleet.apply("h1", an_inventory(an_instance()))
    return fleet


def status(fleet: FleetView, name: str = "web") -> str:
    return fleet.instance(name).instance.status


def names(fleet: FleetView) -> list[str]:
    return [known.instance.name for known in fleet.instances()]


def test_the_next_event_is_applied_and_asks_for_nothing(fleet: FleetView) -> None:
    reaction = fleet.apply("h1", a_change(an_instance(revision=2, status="Stopped")))

    assert status(fleet) == "Stopped"
    assert not reaction.needs_inventory


def test_an_event_after_a_gap_is_applied_and_asks_for_an_inventory(fleet: FleetView) -> None:
    reaction = fleet.apply("h1", a_change(an_instance(revision=4, status="Stopped"), sequence=4))

    assert status(fleet) == "Stopped"
    assert reaction.needs_inventory


def test_a_gap_is_asked_about_until_an_inventory_comes(fleet: FleetView) -> None:
    fleet.apply("h1", a_change(an_instance(revision=4), sequence=4))

    before = fleet.apply("h1", a_heartbeat(sequence=4))
    fleet.apply("h1", an_inventory(an_instance(revision=5), sequence=5))
    after = fleet.apply("h1", a_heartbeat(sequence=5))

    assert before.needs_inventory
    assert not after.needs_inventory


def test_a_heartbeat_that_knows_of_a_later_event_asks_for_an_inventory(fleet: FleetView) -> None:
    assert fleet.apply("h1", a_heartbeat(sequence=2)).needs_inventory


def test_an_event_that_comes_twice_is_applied_once(fleet: FleetView) -> None:
    fleet.apply("h1", a_change(an_instance("new"), sequence=2))
    fleet.apply("h1", a_removal("new", sequence=3))

    fleet.apply("h1", a_change(an_instance("new"), sequence=2))

    assert names(fleet) == ["web"]


def test_a_new_epoch_counts_only_after_its_heartbeat(fleet: FleetView) -> None:
    early = fleet.apply("h1", an_inventory(epoch=2))
    introduced = fleet.apply("h1", a_heartbeat(epoch=2, sequence=1))
    fleet.apply("h1", an_inventory(an_instance("other"), epoch=2, sequence=2))

    assert early == NOTHING
    assert introduced.needs_inventory
    assert introduced.needs_operations
    assert names(fleet) == ["other"]


def test_what_an_old_epoch_says_is_ignored(fleet: FleetView) -> None:
    fleet.apply("h1", a_heartbeat(epoch=2))

    assert fleet.apply("h1", a_heartbeat(epoch=1, lxd_connected=False)) == NOTHING
    assert fleet.apply("h1", a_removal(epoch=1, sequence=9, revision=9)) == NOTHING

    assert names(fleet) == ["web"]


def test_a_reading_of_a_new_epoch_beats_a_higher_revision_of_the_old_one(fleet: FleetView) -> None:
    fleet.apply("h1", a_change(an_instance(revision=90), sequence=2))
    fleet.apply("h1", a_heartbeat(epoch=2))

    fleet.apply("h1", an_inventory(an_instance(revision=1, status="Stopped"), epoch=2))

    assert status(fleet) == "Stopped"


def test_an_inventory_drops_what_it_does_not_list(fleet: FleetView) -> None:
    fleet.apply("h1", an_inventory(an_instance("other"), sequence=2))

    assert names(fleet) == ["other"]


def test_an_outcome_that_overtakes_events_is_not_undone_by_them(fleet: FleetView) -> None:
    fleet.apply_outcome(
        an_operation(
            kind=Kind.STOP,
            state=State.DONE,
            after=an_instance(revision=5, status="Stopped"),
            after_epoch=1,
        )
    )

    late = fleet.apply("h1", a_change(an_instance(revision=4), sequence=2))

    assert status(fleet) == "Stopped"
    assert not late.needs_inventory


def test_an_outcome_older_than_what_is_known_changes_nothing(fleet: FleetView) -> None:
    fleet.apply("h1", a_change(an_instance(revision=7), sequence=2))

    fleet.apply_outcome(
        an_operation(
            state=State.DONE, after=an_instance(revision=6, status="Stopped"), after_epoch=1
        )
    )

    assert status(fleet) == "Running"


def test_an_outcome_of_an_instance_that_was_replaced_changes_nothing(fleet: FleetView) -> None:
    fleet.apply_outcome(an_operation(kind=Kind.DELETE, state=State.DONE, uuid="another"))

    assert names(fleet) == ["web"]


def test_an_outcome_adds_no_instance_that_is_not_known(fleet: FleetView) -> None:
    gone = an_instance("gone", revision=9)

    fleet.apply_outcome(an_operation(instance="gone", state=State.DONE, after=gone, after_epoch=1))

    assert names(fleet) == ["web"]


def created(revision: int) -> Operation:
    made = an_instance("new", revision=revision)
    return an_operation(
        kind=Kind.CREATE, instance="new", state=State.DONE, after=made, after_epoch=1
    )


def test_a_creation_shows_what_it_made_before_the_event_of_it_comes(fleet: FleetView) -> None:
    fleet.apply_outcome(created(revision=9))

    assert names(fleet) == ["new", "web"]


@pytest.mark.parametrize("newer", [a_removal("new", revision=9), a_change(an_instance(revision=9))])
def test_a_creation_adds_nothing_when_something_newer_was_heard_of_the_host(
    fleet: FleetView, newer: WorkerEvent
) -> None:
    fleet.apply("h1", newer)

    fleet.apply_outcome(created(revision=8))

    assert names(fleet) == ["web"]


def test_what_the_instances_of_a_host_are_promised_follows_every_change(fleet: FleetView) -> None:
    def promised() -> Amount:
        return fleet.host("h1").commitment

    small = an_instance("shop", revision=2, cpu_limit="1", memory_limit=10, root_size=100)
    large = an_instance("shop", revision=3, cpu_limit="0-3", memory_limit=20, root_size=100)

    fleet.apply("h1", a_change(small, sequence=2))
    assert promised() == Amount(1, 10, 100)
    fleet.apply("h1", a_change(large, sequence=3))
    assert promised() == Amount(4, 20, 100)
    fleet.apply("h1", a_removal("shop", sequence=4, revision=4))
    assert promised() == Amount(0, 0, 0)


def test_a_deleted_instance_does_not_come_back_with_events_published_before(
    fleet: FleetView,
) -> None:
    fleet.apply_outcome(an_operation(kind=Kind.DELETE, state=State.DONE, sequence=3))

    fleet.apply("h1", a_change(an_instance(revision=2, status="Stopped"), sequence=2))
    fleet.apply("h1", an_inventory(an_instance(revision=3, status="Stopped"), sequence=3))
    fleet.apply("h1", a_removal(sequence=4, revision=4))

    assert names(fleet) == []


def test_a_failed_deletion_removes_nothing(fleet: FleetView) -> None:
    fleet.apply_outcome(an_operation(kind=Kind.DELETE, state=State.FAILED))

    assert names(fleet) == ["web"]


def test_a_namesake_made_after_a_deletion_is_shown(fleet: FleetView) -> None:
    fleet.apply_outcome(an_operation(kind=Kind.DELETE, state=State.DONE))

    fleet.apply("h1", a_change(an_instance(uuid="fresh"), sequence=2))

    assert fleet.instance("web").instance.uuid == "fresh"


def test_a_removal_older_than_a_reading_of_a_namesake_removes_nothing(fleet: FleetView) -> None:
    fleet.apply("h1", a_change(an_instance(revision=5), sequence=2))

    fleet.apply("h1", a_removal(sequence=3, revision=4))

    assert names(fleet) == ["web"]


def test_a_sample_is_shown_with_the_running_instance_it_was_taken_of(fleet: FleetView) -> None:
    fleet.apply("h1", a_sample(an_instance()))

    known = fleet.instance("web")
    assert known.sample is not None
    assert known.sample.cpu_percent == 5.0
    assert known.sampled_at == "2026-11-20T10:00:00Z"


def test_a_sample_of_a_namesake_is_not_shown(fleet: FleetView) -> None:
    fleet.apply("h1", a_sample(an_instance(uuid="another")))

    assert fleet.instance("web").sample is None


def test_a_stop_clears_the_sample_and_a_late_one_does_not_bring_it_back(fleet: FleetView) -> None:
    fleet.apply("h1", a_sample(an_instance(), sequence=1))

    fleet.apply("h1", a_change(an_instance(revision=2, status="Stopped"), sequence=2))
    after_stop = fleet.instance("web")
    fleet.apply("h1", a_sample(an_instance(), sequence=2))

    assert after_stop.sample is None
    assert after_stop.sampled_at is None
    assert fleet.instance("web").sample is None


def test_a_restart_clears_the_sample_of_the_run_before(fleet: FleetView) -> None:
    fleet.apply("h1", a_sample(an_instance()))

    fleet.apply("h1", a_change(an_instance(revision=2), action="instance-restarted"))

    assert fleet.instance("web").sample is None


@pytest.mark.parametrize(("epoch", "sequence"), [(1, 5), (1, 4), (0, 9)])
def test_a_sample_that_is_late_or_of_an_old_epoch_is_ignored(
    fleet: FleetView, epoch: int, sequence: int
) -> None:
    fleet.apply("h1", a_sample(an_instance(), epoch=1, sequence=5))

    fleet.apply("h1", a_sample(epoch=epoch, sequence=sequence))

    assert fleet.instance("web").sample is not None


def test_an_instance_that_the_newest_sample_does_not_hold_has_none(fleet: FleetView) -> None:
    fleet.apply("h1", a_sample(an_instance(), sequence=1))

    fleet.apply("h1", a_sample(sequence=2))

    assert fleet.instance("web").sample is None


def test_nothing_but_a_heartbeat_makes_a_host_known(time: FakeClock) -> None:
    fleet = FleetView(time.clock, ready_after_s=0)

    fleet.apply("h9", an_inventory(an_instance()))
    fleet.apply("h9", a_sample(an_instance()))

    assert list(fleet.hosts()) == []
    with pytest.raises(InstanceNotFound):
        fleet.instance("web")


def test_an_outcome_is_shown_with_all_before_it_and_none_after(fleet: FleetView) -> None:
    fleet.apply_outcome(an_operation(state=State.DONE, sequence=42))
    fleet.apply_outcome(an_operation(state=State.FAILED, sequence=41))

    assert [fleet.has_applied("h1", sequence) for sequence in (41, 42, 43)] == [True, True, False]
    assert not fleet.has_applied("h2", 1)


def test_an_unfinished_operation_is_no_outcome(fleet: FleetView) -> None:
    fleet.apply_outcome(an_operation(state=State.RUNNING, sequence=42))

    assert not fleet.has_applied("h1", 42)


def test_what_a_host_has_for_new_instances_is_shown(fleet: FleetView) -> None:
    described = a_description(networks=[Network(name="lxdbr0", type="bridge", managed=True)])

    fleet.apply("h1", described)

    assert fleet.host("h1").resources == described


def test_what_an_earlier_worker_said_of_its_host_is_ignored(fleet: FleetView) -> None:
    fleet.apply("h1", a_description(epoch=0))

    assert fleet.host("h1").resources is None


def test_what_a_hosts_image_servers_have_is_shown_by_server_and_alias(fleet: FleetView) -> None:
    both = ServedImage(aliases=("a", "b"), types=("container",))
    machine = ServedImage(aliases=("b",), types=("virtual-machine",))

    fleet.apply("h1", image_servers(images=[both, machine], lab=None))

    shelves = fleet.host("h1").remote_images
    assert shelves is not None
    assert shelves["lab"] is None
    assert shelves["images"] is not None
    assert {alias: one.types for alias, one in shelves["images"].items()} == {
        "a": ("container",),
        "b": ("container", "virtual-machine"),
    }


def test_hosts_that_told_the_same_share_it_and_none_speaks_for_another(fleet: FleetView) -> None:
    for host in ("h2", "h3"):
        fleet.apply(host, a_heartbeat())
        fleet.apply(host, an_inventory())
    image = ServedImage(aliases=("a",), types=("container",))
    for host in ("h1", "h2"):
        fleet.apply(host, image_servers(images=[image]))
    fleet.apply("h3", image_servers(epoch=0, images=[image]))

    assert fleet.host("h1").remote_images is fleet.host("h2").remote_images
    assert fleet.host("h3").remote_images is None


def image_servers(*, epoch: int = 1, **servers: Served) -> ImageServersRead:
    return ImageServersRead(epoch=epoch, at="2026-11-20T10:00:00Z", servers=servers)


def changed_at(fleet: FleetView, name: str = "web") -> float | None:
    return fleet.instance(name).changed_at


def test_what_was_there_when_it_was_first_seen_has_not_changed(fleet: FleetView) -> None:
    assert changed_at(fleet) is None


def test_a_change_is_dated_by_when_it_was_seen(fleet: FleetView, time: FakeClock) -> None:
    time.advance(5)

    fleet.apply("h1", a_change(an_instance(revision=2, status="Stopped")))

    assert changed_at(fleet) == time.clock.wall()


def test_another_reading_of_the_same_is_no_change(fleet: FleetView, time: FakeClock) -> None:
    fleet.apply("h1", a_change(an_instance(revision=2, status="Stopped")))
    seen = changed_at(fleet)
    time.advance(5)

    fleet.apply("h1", an_inventory(an_instance(revision=3, status="Stopped"), sequence=3))

    assert changed_at(fleet) == seen


def test_an_instance_that_appears_has_changed(fleet: FleetView, time: FakeClock) -> None:
    fleet.apply("h1", a_change(an_instance("db", revision=2)))

    assert changed_at(fleet, "db") == time.clock.wall()


def test_changes_are_dated_as_before_after_a_restart(fleet: FleetView, time: FakeClock) -> None:
    fleet.apply("h1", a_change(an_instance(revision=2, status="Stopped")))
    seen = changed_at(fleet)
    time.advance(60)
    restarted = FleetView(time.clock, ready_after_s=0)

    restarted.restore([fleet.stored_host("h1")])

    assert changed_at(restarted) == seen


def test_instances_are_found_by_name_and_by_uuid_wherever_they_are(fleet: FleetView) -> None:
    fleet.apply("h1", a_change(an_instance(project="p", uuid="u2", revision=2)))

    assert [known.instance.project for known in fleet.with_name("web")] == ["default", "p"]
    assert [known.instance.project for known in fleet.with_uuid("u2")] == ["p"]
    assert fleet.with_name("nix") == fleet.with_uuid("nix") == []


def renaming(state: State = State.DONE, **more: object) -> Operation:
    after = an_instance("shop", uuid="uuid-web", revision=3)
    filled: dict[str, object] = {"after": after, "after_epoch": 1, **more}
    return an_operation(kind=Kind.RENAME, state=state, **filled)


def test_a_rename_leaves_the_new_name_only_whatever_comes_late(fleet: FleetView) -> None:
    fleet.apply_outcome(renaming())

    fleet.apply("h1", a_change(an_instance(revision=2, status="Stopped")))

    assert names(fleet) == ["shop"]


def test_a_name_that_is_given_back_is_shown_at_once(fleet: FleetView) -> None:
    fleet.apply_outcome(renaming())

    back = an_instance(revision=4)
    fleet.apply_outcome(renaming(instance="shop", uuid="uuid-web", after=back))

    assert names(fleet) == ["web"]


def test_a_rename_that_failed_leaves_the_old_name(fleet: FleetView) -> None:
    fleet.apply_outcome(renaming(State.FAILED, after=an_instance(revision=3)))

    assert names(fleet) == ["web"]
