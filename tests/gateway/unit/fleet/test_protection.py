"""What the fleet view holds of its hosts' snapshot policies."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.fleet.change_set import ChangeSet
from services.gateway.fleet.encoded_protection import (
    STATES,
    UNKNOWN,
    protection_in,
    read_protection,
)
from services.gateway.fleet.memory_budget import MemoryBudget
from services.gateway.fleet.recent_runs import MOST_RUNS
from services.gateway.fleet.view import FleetView
from shared.contracts.errors import UnreadableMessage
from shared.contracts.events import PolicyRunChanged
from shared.contracts.policies import PolicyRun, ProtectionState
from tests.support.builders import (
    a_change,
    a_heartbeat,
    a_protection,
    a_protection_report,
    a_removal,
    a_run,
    an_instance,
    an_inventory,
)
from tests.support.clock import FakeClock

WEB, DB = an_instance("web"), an_instance("db")


def a_fleet(time: FakeClock, **budget: int) -> FleetView:
    """Return a view in which `h1` has `web` and `db`, and `h2` a `web` of its own."""
    fleet = FleetView(time.clock, ready_after_s=0, budget=MemoryBudget(**budget))
    for host, instances in (("h1", (WEB, DB)), ("h2", (an_instance("web", uuid="theirs"),))):
        fleet.apply(host, a_heartbeat())
        fleet.apply(host, an_inventory(*instances))
    return fleet


def states(fleet: FleetView) -> dict[tuple[str, str], str]:
    keys = sorted(fleet.keys())
    return {(host, name): fleet.protections.of((name, host, of)).state for name, host, of in keys}


def followed(fleet: FleetView) -> list[ChangeSet]:
    changes: list[ChangeSet] = []
    fleet.watch(changes.append)
    return changes


def report_run(fleet: FleetView, run: PolicyRun, host: str = "h1") -> None:
    fleet.apply(host, PolicyRunChanged(run=run))


def test_instances_of_a_host_that_has_not_reported_are_unknown(time: FakeClock) -> None:
    fleet = a_fleet(time)

    assert set(states(fleet).values()) == {UNKNOWN}
    assert fleet.protections.counts() == {UNKNOWN: 3}
    assert fleet.protections.report("h1") is None
    assert fleet.protections.report_age_s("h1") is None


def test_what_a_host_reports_counts_for_its_instances_and_the_others_are_unprotected(
    time: FakeClock,
) -> None:
    fleet = a_fleet(time)

    fleet.apply("h1", a_protection_report(a_protection(WEB, failures=2)))
    time.advance(5)

    assert states(fleet) == {
        ("h1", "db"): "unprotected",
        ("h1", "web"): "protected",
        ("h2", "web"): UNKNOWN,
    }
    assert fleet.protections.counts_of("h1") == {"protected": 1, "unprotected": 1}
    held = fleet.protections.of(("web", "h1", "default"))
    assert (held.newest_good, held.failures) == (1795118400.0, 2)
    assert protection_in(held) == a_protection(WEB, failures=2)
    report = fleet.protections.report("h1")
    assert report is not None
    assert (report.plan_version, report.clock_trusted, report.instances) == (12, True, ())
    assert fleet.protections.report_age_s("h1") == 5


def test_an_instance_that_comes_after_the_report_has_what_was_reported_of_it(
    time: FakeClock,
) -> None:
    fleet = a_fleet(time)
    late = an_instance("late")
    fleet.apply("h1", a_protection_report(a_protection(late)))

    fleet.apply("h1", a_change(late))

    assert states(fleet)["h1", "late"] == "protected"
    fleet.apply("h1", a_removal("late", sequence=3))
    assert fleet.protections.counts_of("h1") == {"unprotected": 2}


def test_a_namesake_made_anew_is_not_protected_by_the_snapshots_of_the_earlier_one(
    time: FakeClock,
) -> None:
    fleet = a_fleet(time)
    fleet.apply("h1", a_protection_report(a_protection(WEB)))

    fleet.apply("h1", a_change(an_instance("web", uuid="new", revision=2)))

    assert states(fleet)["h1", "web"] == "unprotected"


def test_readers_are_told_of_instances_whose_protection_differs_and_of_no_others(
    time: FakeClock,
) -> None:
    fleet = a_fleet(time)
    fleet.apply("h1", a_protection_report(a_protection(WEB), a_protection(DB)))
    changes = followed(fleet)

    same = fleet.apply("h1", a_protection_report(a_protection(WEB), a_protection(DB), at="later"))
    fleet.apply("h1", a_protection_report(a_protection(WEB, failures=1), a_protection(DB)))

    assert not same.changed
    [change] = changes
    assert change.protections == {("web", "h1", "default")}
    assert change.instances == frozenset()


def test_a_report_of_an_earlier_epoch_or_of_a_host_that_is_not_trusted_is_ignored(
    time: FakeClock,
) -> None:
    fleet = a_fleet(time)
    fleet.apply("h2", a_heartbeat(epoch=2))
    fleet.apply("h1", a_heartbeat(epoch=2, fingerprint="another"))

    for host in ("h1", "h2", "h3"):
        fleet.apply(host, a_protection_report(a_protection(WEB)))
        report_run(fleet, a_run(), host if host != "h2" else "h3")

    assert set(states(fleet).values()) == {UNKNOWN}
    assert fleet.protections.run_ids("h1") == []


def test_a_host_that_is_forgotten_leaves_nothing(time: FakeClock) -> None:
    fleet = a_fleet(time)
    fleet.apply("h2", a_protection_report())
    report_run(fleet, a_run(), "h2")
    time.advance(3600)
    changes = followed(fleet)

    fleet.forget("h2")

    assert fleet.protections.counts() == {UNKNOWN: 2}
    assert fleet.protections.counts_of("h2") == {}
    assert fleet.protections.run("h2", "run-1") is None
    assert changes[-1].runs == {("h2", "run-1")}


def test_the_latest_change_of_a_run_is_held_whatever_comes_late(time: FakeClock) -> None:
    fleet = a_fleet(time)
    changes = followed(fleet)

    report_run(fleet, a_run(sequence=5, pruned_count=3))
    report_run(fleet, a_run(sequence=4, pruned_count=1))
    report_run(fleet, a_run(sequence=7, pruned_count=4))

    run = fleet.protections.run("h1", "run-1")
    assert run is not None
    assert run.sequence == 7
    assert fleet.protections.pruned("h1") == 4
    assert [change.runs for change in changes] == [{("h1", "run-1")}] * 2


@pytest.mark.attack
def test_what_a_host_says_of_anothers_instances_or_of_odd_ones_changes_only_itself(
    time: FakeClock,
) -> None:
    fleet = a_fleet(time)
    fleet.apply("h2", a_protection_report(a_protection(an_instance("web", uuid="theirs"))))
    theirs = fleet.protections.of(("web", "h2", "default"))
    odd = [a_protection(an_instance(f"odd-{number}")) for number in range(9_999)]
    stolen = a_protection(
        an_instance("web", uuid="theirs"), state=ProtectionState.FAILING, failures=9
    )

    fleet.apply("h1", a_protection_report(stolen, *odd))

    assert fleet.protections.of(("web", "h2", "default")) == theirs
    assert states(fleet) == {
        ("h1", "db"): "unprotected",
        ("h1", "web"): "unprotected",
        ("h2", "web"): "protected",
    }
    assert len(fleet.keys()) == 3


@pytest.mark.attack
def test_a_report_beyond_the_budget_is_left_out_and_counted_and_the_next_one_finds_room(
    time: FakeClock,
) -> None:
    fleet = a_fleet(time, size=4000)
    odd = [a_protection(an_instance(f"odd-{number}")) for number in range(100)]

    fleet.apply("h1", a_protection_report(a_protection(WEB), *odd))
    crowded, left_out = states(fleet), fleet.host("h1").left_out.protections
    fleet.apply("h1", a_protection_report(a_protection(WEB)))

    # Of those without room nothing is known.
    assert (crowded["h1", "web"], crowded["h1", "db"]) == ("protected", UNKNOWN)
    assert 80 < left_out < 100
    assert not fleet.host("h1").left_out
    assert states(fleet)["h1", "db"] == "unprotected"


@pytest.mark.attack
def test_of_each_host_the_runs_that_changed_last_are_held(time: FakeClock) -> None:
    fleet = a_fleet(time)
    report_run(fleet, a_run("theirs"), "h2")

    for number in range(5 * MOST_RUNS):
        report_run(fleet, a_run(f"run-{number}", sequence=number + 1))

    ids = fleet.protections.run_ids("h1")
    assert ids == [f"run-{5 * MOST_RUNS - 1 - number}" for number in range(MOST_RUNS)]
    assert fleet.protections.run_ids("h2") == ["theirs"]


@pytest.mark.attack
@pytest.mark.parametrize(
    "row", [1, {}, [], {"name": "web"}, {"name": "a b", "uuid": "u", "state": "late"}, None]
)
def test_a_report_of_nobody_is_no_message(row: object) -> None:
    body = json.dumps({"epoch": 1, "at": "", "instances": [row]}).encode()

    with pytest.raises(UnreadableMessage):
        read_protection(body)


def test_details_that_nobody_can_read_are_none() -> None:
    row = {"name": "web", "uuid": "u", "state": "late", "snapshots": "many"}
    report = read_protection(json.dumps({"epoch": 1, "at": "", "instances": [row]}).encode())

    [(key, held)] = report.instances
    assert (key, held.state, protection_in(held)) == (("default", "web"), "late", None)


NAMES = st.sampled_from(["a", "b", "c"])
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), NAMES, st.sampled_from(["u1", "u2"])),
        st.tuples(st.just("remove"), NAMES),
        st.tuples(
            st.just("report"),
            st.lists(st.tuples(NAMES, st.sampled_from(list(ProtectionState))), max_size=4),
        ),
    ),
    max_size=30,
)


@given(events=EVENTS)
def test_the_counts_are_those_of_the_instances(events: list[tuple[object, ...]]) -> None:
    fleet = FleetView(FakeClock().clock, ready_after_s=0)
    fleet.apply("h1", a_heartbeat())
    fleet.apply("h1", an_inventory())

    for number, event in enumerate(events, 2):
        match event:
            case ("change", str(name), str(uuid)):
                instance = an_instance(name, uuid=uuid, revision=number)
                fleet.apply("h1", a_change(instance, sequence=number))
            case ("remove", str(name)):
                fleet.apply("h1", a_removal(name, sequence=number, revision=number))
            case ("report", list(told)):
                rows = [a_protection(an_instance(n, uuid="u1"), state=s) for n, s in told]
                fleet.apply("h1", a_protection_report(*rows))

    now = list(states(fleet).values())
    expected = {state: now.count(state) for state in STATES if state in now}
    assert fleet.protections.counts() == fleet.protections.counts_of("h1") == expected
    assert all(len(fleet.protections.with_state(each)) == expected[each] for each in expected)
