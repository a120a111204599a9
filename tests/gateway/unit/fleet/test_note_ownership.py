"""A note under another name is its instance's own, unless it may be another's."""

from __future__ import annotations

import time

import pytest

from services.gateway.fleet.instance_record import InstanceRecord
from services.gateway.fleet.note_ownership import NoteOwnership
from services.gateway.fleet.port_forwards import Nat, nat
from shared.contracts.instances import Instance
from tests.support.builders import a_change, a_heartbeat, a_removal, an_instance, an_inventory
from tests.support.core import Core

NOTE = {"description": "web 20144 S3cretPw 30100 30125"}
FACTS = Nat(20144, "30100-30125", "S3cretPw")


def noted(name: str, note: str = NOTE["description"], **more: object) -> Instance:
    return an_instance(name, user={"description": note}, **more)


@pytest.fixture
def gateway() -> Core:
    """A gateway that knows `web`."""
    core = Core()
    core.fleet.apply("h1", a_heartbeat())
    core.fleet.apply("h1", an_inventory(noted("web", revision=2), sequence=2))
    return core


def facts(gateway: Core, name: str, project: str | None = None) -> Nat:
    known = gateway.fleet.instance(name, "h1", project)
    return nat(known.instance, foreign_note=known.foreign_note)


def test_a_copys_note_is_that_of_the_instance_it_was_copied_from(gateway: Core) -> None:
    gateway.fleet.apply("h1", a_change(noted("copy"), sequence=3))

    assert (facts(gateway, "web"), facts(gateway, "copy")) == (FACTS, Nat())


def test_who_was_moved_keeps_its_note_in_whatever_order_that_is_told(gateway: Core) -> None:
    gateway.fleet.apply("h1", a_change(noted("moved", revision=3), sequence=3))
    before = gateway.fleet.instance("moved", "h1")
    gateway.fleet.apply("h1", a_removal("web", sequence=4, revision=4))

    assert facts(gateway, "moved") == FACTS
    assert gateway.fleet.instance("moved", "h1") is not before


def test_of_two_with_one_note_nobody_can_tell_whose_it_is(gateway: Core) -> None:
    gateway.fleet.apply("h1", an_inventory(noted("moved"), noted("copy"), sequence=3))
    both = [facts(gateway, name) for name in ("moved", "copy")]

    gateway.fleet.apply("h1", a_removal("copy", sequence=4, revision=4))

    assert (both, facts(gateway, "moved")) == ([Nat(), Nat()], FACTS)


@pytest.mark.attack
def test_thousands_with_one_note_come_and_go_in_linear_time() -> None:
    entries = {("p", f"i{n}"): InstanceRecord("h1", noted(f"i{n}"), (1, 1)) for n in range(10_000)}
    marks = NoteOwnership(entries)
    began = time.process_time()

    for place, entry in entries.items():
        marks.add(place, entry)
    assert all(entry.foreign_note for entry in entries.values())
    for place, entry in list(entries.items())[1:]:
        marks.remove(place, entry)

    assert time.process_time() - began < 5
    assert not entries["p", "i0"].foreign_note


def test_a_namesake_that_comes_later_has_the_note(gateway: Core) -> None:
    gateway.fleet.apply("h1", an_inventory(noted("moved"), sequence=3))

    assert facts(gateway, "moved") == FACTS
    gateway.fleet.apply("h1", a_change(noted("web", revision=9), sequence=4))
    assert (facts(gateway, "web"), facts(gateway, "moved")) == (FACTS, Nat())


def test_another_projects_namesake_has_nothing_to_do_with_it(gateway: Core) -> None:
    gateway.fleet.apply("h1", a_change(noted("copy", project="shop"), sequence=3))

    assert facts(gateway, "copy", "shop") == FACTS


def test_a_note_that_is_written_anew_is_read_anew(gateway: Core) -> None:
    gateway.fleet.apply("h1", a_change(noted("copy"), sequence=3))
    own = noted("copy", "copy 20145 S3cretPw 30200 30225", revision=2)

    gateway.fleet.apply("h1", a_change(own, sequence=4))
    written = facts(gateway, "copy")
    gateway.fleet.apply("h1", a_change(noted("copy", revision=3), sequence=5))
    again = facts(gateway, "copy")
    gateway.fleet.apply("h1", an_inventory(sequence=6))

    assert (written.ssh_port, again) == (20145, Nat())
    assert gateway.fleet.instances() == []


def test_a_reading_that_changes_nothing_makes_no_new_object(gateway: Core) -> None:
    gateway.fleet.apply("h1", a_change(noted("copy"), sequence=3))
    before = gateway.fleet.instance("copy", "h1")

    gateway.fleet.apply("h1", a_change(noted("copy", revision=2), sequence=4))

    assert gateway.fleet.instance("copy", "h1") is before
