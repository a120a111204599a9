"""What is beyond a host's budget is left out and counted, and what is held stays."""

from __future__ import annotations

import logging
from enum import StrEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.fleet.host_inventory import HostInventory
from services.gateway.fleet.instance_index import InstanceIndex
from services.gateway.fleet.memory_budget import (
    LeftOut,
    MemoryBudget,
    MemoryUse,
    size_of,
)
from services.gateway.fleet.view import FleetView
from services.gateway.hosts.budget_log import BudgetLog
from shared.contracts.events import ImageServersRead
from shared.contracts.hosts import Image, ServedImage
from shared.contracts.instances import Instance
from shared.contracts.operations import Kind, State
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

LARGE = "x" * 8000


def a_fleet(time: FakeClock, *told: Instance, instances: int = 100, size: int = 2**20) -> FleetView:
    """Return a view with this budget that has read these instances of h1, up to event 1."""
    fleet = FleetView(time.clock, ready_after_s=0, budget=MemoryBudget(instances, size))
    fleet.apply("h1", a_heartbeat())
    fleet.apply("h1", an_inventory(*told))
    return fleet


def some(*names: str, revision: int = 1, **more: object) -> list[Instance]:
    return [an_instance(name, revision=revision, **more) for name in names]


def names(fleet: FleetView) -> list[str]:
    return [known.instance.name for known in fleet.instances()]


def left_out(fleet: FleetView) -> LeftOut:
    return fleet.host("h1").left_out


@pytest.mark.attack
def test_more_instances_than_the_budget_are_left_out(time: FakeClock) -> None:
    fleet = a_fleet(time, *some("c", "b", "a"), instances=2)

    assert names(fleet) == ["b", "c"]
    assert fleet.host("h1").instances == 2
    assert left_out(fleet) == LeftOut(instances=1)


@pytest.mark.attack
def test_instances_held_first_stay_whatever_the_next_inventory_begins_with(time: FakeClock) -> None:
    fleet = a_fleet(time, *some("c", "b"), instances=2)

    fleet.apply("h1", an_inventory(*some("a", "b", "c", "d", revision=2), sequence=2))

    assert names(fleet) == ["b", "c"]
    assert left_out(fleet) == LeftOut(instances=2)


def test_instances_held_stay_over_a_restart(time: FakeClock) -> None:
    kept = a_fleet(time, *some("c", "b", "a"), instances=2).stored_host("h1")

    restarted = FleetView(time.clock, ready_after_s=0, budget=MemoryBudget(2))
    restarted.restore([kept])
    restarted.apply("h1", a_heartbeat(epoch=2))
    restarted.apply("h1", an_inventory(*some("a", "b", "c"), epoch=2))

    assert names(restarted) == ["b", "c"]


def test_an_unchanged_inventory_changes_nothing_for_readers(time: FakeClock) -> None:
    fleet = a_fleet(time, *some("a", "b", "c"), instances=2)

    reaction = fleet.apply("h1", an_inventory(*some("a", "b", "c", revision=2), sequence=2))

    assert not reaction.changed


def test_one_that_is_new_is_left_out_and_counted_once(time: FakeClock) -> None:
    fleet = a_fleet(time, *some("a"), instances=1)

    first = fleet.apply("h1", a_change(an_instance("b"), sequence=2))
    again = fleet.apply("h1", a_change(an_instance("b", revision=2), sequence=3))

    assert (first.changed, again.changed) == (True, False)
    assert left_out(fleet) == LeftOut(instances=1)


def test_one_that_is_left_out_comes_back_with_an_inventory_that_finds_room(time: FakeClock) -> None:
    fleet = a_fleet(time, *some("a", "b"), instances=1)

    fleet.apply("h1", a_removal("a"))
    fleet.apply("h1", an_inventory(*some("b", revision=3), sequence=3))

    assert names(fleet) == ["b"]
    assert not left_out(fleet)


@pytest.mark.parametrize("gone", [a_removal("b"), an_inventory(*some("a", revision=2), sequence=2)])
def test_one_that_is_left_out_and_deleted_counts_no_more(time: FakeClock, gone: object) -> None:
    fleet = a_fleet(time, *some("a", "b"), instances=1)

    reaction = fleet.apply("h1", gone)  # type: ignore[arg-type]

    assert reaction.changed
    assert not left_out(fleet)


@pytest.mark.attack
def test_an_instance_that_grows_beyond_the_budget_goes_and_no_other(time: FakeClock) -> None:
    fleet = a_fleet(time, *some("a", "b"), size=9000)

    fleet.apply("h1", a_change(an_instance("a", revision=2, description=LARGE)))
    fits = names(fleet)
    grown = fleet.apply("h1", a_change(an_instance("b", revision=2, description=LARGE), sequence=3))

    assert fits == ["a", "b"]
    assert grown.changed
    assert names(fleet) == ["a"]
    assert left_out(fleet) == LeftOut(instances=1)


@pytest.mark.attack
def test_one_host_takes_nothing_from_the_room_of_another(time: FakeClock) -> None:
    fleet = a_fleet(time, *some("a", "b", "c"), instances=2)

    fleet.apply("h2", a_heartbeat())
    fleet.apply("h2", an_inventory(*some("d", "e")))

    assert names(fleet) == ["a", "b", "d", "e"]
    assert not fleet.host("h2").left_out


def test_a_sample_without_room_is_unknown_and_counted(time: FakeClock) -> None:
    told = some("a", "b")
    sample = a_sample(*told)
    size = len(sample.instances[0][1])
    fleet = a_fleet(time, *told, size=sum(map(size_of, told)) + 3 * size // 2)

    fleet.apply("h1", sample)

    assert [known.sample is not None for known in fleet.instances()] == [True, False]
    assert left_out(fleet) == LeftOut(samples=1)


def test_samples_take_the_room_of_the_samples_before(time: FakeClock) -> None:
    told = some("a", "b")
    fleet = a_fleet(time, *told, size=3200)

    for sequence in range(1, 6):
        fleet.apply("h1", a_sample(*told, sequence=sequence))

    assert not left_out(fleet)


def test_samples_of_instances_that_are_not_held_are_not_held_either(time: FakeClock) -> None:
    fleet = a_fleet(time, *some("a", "b"), instances=1)

    fleet.apply("h1", a_sample(*some("a", "b")))

    sample = fleet.host("h1").sample
    assert sample is not None
    assert sample.instances == ()


def test_images_without_room_are_left_out_and_the_capacity_is_told(time: FakeClock) -> None:
    fleet = a_fleet(time, *some("a"), size=10_000)
    images = [Image(fingerprint=f"{number}", description=LARGE) for number in range(2)]

    fleet.apply("h1", a_description(images=images, address="10.0.0.1"))

    described = fleet.host("h1").resources
    assert described is not None
    assert (described.images, described.address) == ([], "10.0.0.1")
    assert left_out(fleet) == LeftOut(images=2)
    fleet.apply("h1", a_description(images=images[:1]))
    assert not left_out(fleet)


def test_images_of_servers_without_room_count_as_not_read_yet(time: FakeClock) -> None:
    fleet = a_fleet(time, size=1000)
    images = [ServedImage(aliases=(f"a{number}",), types=("container",)) for number in range(50)]

    fleet.apply("h1", ImageServersRead(epoch=1, at="", servers={"images": images}))

    assert fleet.host("h1").remote_images == {"images": None}
    assert left_out(fleet) == LeftOut(images=50)


def test_images_of_servers_are_compared_once_with_what_many_hosts_told_alike(
    time: FakeClock,
) -> None:
    compared = []

    class Description(StrEnum):
        NEARLY = "nearly theirs"

        def __eq__(self, other: object) -> bool:
            compared.append(other)
            return self.value == other

        __hash__ = StrEnum.__hash__

    def told(description: str) -> ImageServersRead:
        image = ServedImage(aliases=("a",), types=("container",), description=description)
        return ImageServersRead(epoch=1, at="", servers={"images": [image]})

    fleet = a_fleet(time)
    for number in range(50):
        fleet.apply(f"h{number}", a_heartbeat())
        fleet.apply(f"h{number}", told("theirs"))

    fleet.apply("h1", told(Description.NEARLY))

    assert compared == ["theirs"]


def test_a_host_says_how_many_more_instances_it_has_room_for(time: FakeClock) -> None:
    fleet = a_fleet(time, *some("a", "b"), instances=3)
    crowded = a_fleet(time, *some("a"), size=2**17)

    assert fleet.host("h1").headroom == 1
    assert crowded.host("h1").headroom == 0


def test_a_created_instance_without_room_is_counted(time: FakeClock) -> None:
    fleet = a_fleet(time, *some("a"), instances=1)

    fleet.apply_outcome(
        an_operation(
            kind=Kind.CREATE,
            instance="b",
            state=State.DONE,
            after=an_instance("b", revision=9),
            after_epoch=1,
        )
    )

    assert left_out(fleet) == LeftOut(instances=1)


@pytest.mark.attack
def test_a_host_beyond_the_most_is_not_heard(time: FakeClock) -> None:
    fleet = FleetView(time.clock, ready_after_s=0, most_hosts=1)
    fleet.apply("h1", a_heartbeat())

    reaction = fleet.apply("h2", a_heartbeat())

    assert reaction.refused
    assert fleet.host_ids() == ["h1"]


def test_what_is_left_out_is_logged_at_once_and_again_when_it_has_changed(
    time: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    fleet = a_fleet(time, *some("a", "b"), instances=1)
    budget_log = BudgetLog(time.clock.monotonic)
    caplog.set_level(logging.WARNING)

    for sequence in range(2, 100):
        reaction = fleet.apply("h1", a_change(an_instance(f"n{sequence}"), sequence=sequence))
        budget_log.record("h1", reaction)
    time.advance(601)
    for _ in range(2):
        budget_log.record("h1", fleet.apply("h1", a_heartbeat(sequence=99)))

    assert [record.left_out["instances"] for record in caplog.records] == [2, 99]  # type: ignore[attr-defined]


PLACES = st.sampled_from(["a", "b", "c", "d"])
SIZES = st.integers(0, 3000)
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), PLACES, SIZES, st.sampled_from(["u1", "u2"])),
        st.tuples(st.just("remove"), PLACES),
        st.tuples(st.just("inventory"), st.lists(st.tuples(PLACES, SIZES), max_size=4)),
        st.tuples(st.just("sample"), st.lists(PLACES, max_size=4)),
    ),
    max_size=30,
)


@pytest.mark.attack
@given(events=EVENTS)
def test_what_is_held_is_what_is_counted(events: list[tuple[object, ...]]) -> None:
    room = MemoryUse(5000)
    inventory = HostInventory("h1", InstanceIndex(), lambda: 0.0, MemoryBudget(3), room)

    for number, event in enumerate(events, 1):
        happen(inventory, number, event)

        entries = inventory.records()
        held = sum(size_of(entry.instance) + entry.sample_size for entry in entries)
        # The digits of a revision are not worth counting anew.
        assert abs(5000 - room.available - held) <= 2 * len(entries)
        assert room.available >= 0
        assert len(entries) <= 3


def happen(inventory: HostInventory, number: int, event: tuple[object, ...]) -> None:
    match event:
        case ("change", str(name), int(size), str(uuid)):
            vm = an_instance(name, revision=number, uuid=uuid, description="x" * size)
            inventory.apply_change(a_change(vm, sequence=number, action="instance-started"))
        case ("remove", str(name)):
            inventory.apply_removal(a_removal(name, revision=number))
        case ("inventory", list(listed)):
            told = [
                an_instance(name, revision=number, uuid="u1", description="x" * size)
                for name, size in listed
            ]
            inventory.replace(told, 1)
        case ("sample", list(of)):
            inventory.apply_sample(a_sample(*[an_instance(name, uuid="u1") for name in of]))
