"""What the fleet view says of hosts: whether they live, are trusted, are known at all."""

import pytest

from services.gateway.fleet.change_set import ChangeSet
from services.gateway.fleet.host_state import NOTHING, StoredHost
from services.gateway.fleet.view import FleetView
from shared.contracts.errors import (
    AmbiguousName,
    AmbiguousProject,
    FleetError,
    FleetViewNotReady,
    HostIdentityMismatch,
    HostNotFound,
    HostStillOnline,
    HostUnreachable,
    InstanceNotFound,
    LxdUnavailable,
)
from tests.support.builders import a_change, a_heartbeat, a_sample, an_instance, an_inventory
from tests.support.clock import STARTED, FakeClock


@pytest.fixture
def fleet(time: FakeClock) -> FleetView:
    """A view that has read host h1 with a running `web`."""
    fleet = FleetView(time.clock, ready_after_s=0)
    report(fleet, "h1", "web")
    return fleet


def report(fleet: FleetView, host: str, *names: str, fingerprint: str = "f1") -> None:
    fleet.apply(host, a_heartbeat(fingerprint=fingerprint))
    instances = [an_instance(name, uuid=f"{host}-{name}") for name in names]
    fleet.apply(host, an_inventory(*instances))


def kept(host: str = "h1", *, seen_ago_s: float = 60.0) -> StoredHost:
    return StoredHost(
        host=host,
        fingerprint="f1",
        epoch=7,
        first_seen=1_794_000_000.0,
        last_seen=STARTED - seen_ago_s,
        instances=(an_instance(),),
        inventory_at=STARTED - seen_ago_s,
    )


def test_a_host_is_online_for_three_of_its_intervals(fleet: FleetView, time: FakeClock) -> None:
    time.advance(15)
    in_time = fleet.host("h1")
    time.advance(0.1)
    late = fleet.host("h1")

    assert in_time.online
    assert not late.online
    assert not late.lxd_connected
    assert late.age_s == pytest.approx(15.1)


@pytest.mark.parametrize(
    ("told_s", "silent_s", "online"),
    [
        (0.0, 2.9, True),
        (-5.0, 3.1, False),
        (float("nan"), 2.9, True),
        (1e9, 179.0, True),
        (1e9, 181.0, False),
    ],
)
def test_an_odd_interval_neither_flaps_nor_lasts_for_ever(
    fleet: FleetView, time: FakeClock, told_s: float, silent_s: float, online: bool
) -> None:
    fleet.apply("h1", a_heartbeat(sequence=1, interval_s=told_s))

    time.advance(silent_s)

    assert fleet.host("h1").online is online


def test_the_instances_of_a_silent_host_stay_listed_with_their_age(
    fleet: FleetView, time: FakeClock
) -> None:
    time.advance(20.7)

    host = fleet.host("h1")

    assert not host.online
    assert host.age_s == pytest.approx(20.7)
    assert [*fleet.instances()] == [fleet.instance("web")]


def test_growing_silent_is_a_change_that_watchers_hear_of_once(
    fleet: FleetView, time: FakeClock
) -> None:
    calls: list[ChangeSet] = []
    fleet.watch(calls.append)

    time.advance(16)
    fleet.tick()
    fleet.tick()

    assert calls == [ChangeSet(hosts=frozenset({"h1"}))]


def test_a_heartbeat_brings_a_silent_host_back_and_says_so(
    fleet: FleetView, time: FakeClock
) -> None:
    time.advance(16)
    fleet.tick()

    reaction = fleet.apply("h1", a_heartbeat(sequence=1))

    assert reaction.needs_operations
    assert reaction.changed
    assert fleet.host("h1").online


def test_a_heartbeat_in_time_changes_nothing_that_readers_see(fleet: FleetView) -> None:
    before = fleet.version

    reaction = fleet.apply("h1", a_heartbeat(sequence=1))

    assert reaction == NOTHING
    assert fleet.version == before


def test_a_worker_without_lxd_is_online_and_not_connected(fleet: FleetView) -> None:
    reaction = fleet.apply("h1", a_heartbeat(sequence=1, lxd_connected=False))

    host = fleet.host("h1")
    assert reaction.changed
    assert (host.online, host.lxd_connected) == (True, False)


def test_the_skew_is_the_hosts_clock_minus_ours(time: FakeClock) -> None:
    fleet = FleetView(time.clock)

    fleet.apply("h1", a_heartbeat(clock="1794999997.5"))
    fleet.apply("h2", a_heartbeat(clock="tomorrow"))

    assert fleet.host("h1").clock_skew_s == pytest.approx(-2.5)
    assert fleet.host("h2").clock_skew_s is None


def test_the_first_certificate_is_pinned(fleet: FleetView) -> None:
    assert fleet.host("h1").fingerprint == "f1"


@pytest.mark.attack
def test_a_stranger_is_not_believed_and_keeps_nobody_alive(
    fleet: FleetView, time: FakeClock
) -> None:
    time.advance(10)
    reaction = fleet.apply("h1", a_heartbeat(epoch=9, fingerprint="other"))
    fleet.apply("h1", an_inventory(epoch=9))
    fleet.apply("h1", a_change(an_instance("evil"), sequence=2))
    fleet.apply("h1", a_sample(an_instance(uuid="h1-web")))
    time.advance(6)

    host = fleet.host("h1")
    assert reaction.changed
    assert (host.trusted, host.online, host.fingerprint) == (False, False, "f1")
    assert [known.instance.name for known in fleet.instances()] == ["web"]
    assert fleet.instance("web").sample is None


def test_the_pinned_daemon_is_trusted_again_and_asked_for_what_was_ignored(
    fleet: FleetView,
) -> None:
    fleet.apply("h1", a_heartbeat(fingerprint="other"))
    fleet.apply("h1", a_change(an_instance("new"), sequence=2))

    reaction = fleet.apply("h1", a_heartbeat(sequence=2))

    assert fleet.host("h1").trusted
    assert reaction.needs_inventory


def test_a_restarted_worker_that_has_not_reached_lxd_is_not_verified(fleet: FleetView) -> None:
    fleet.apply("h1", a_heartbeat(epoch=2, fingerprint="", lxd_connected=False))

    assert fleet.apply("h1", an_inventory(epoch=2)) == NOTHING
    assert isinstance(fleet.access_error("h1"), LxdUnavailable)


@pytest.mark.parametrize(
    ("fingerprint", "silence_s", "refusal"),
    [
        ("f1", 0, None),
        ("f1", 16, HostUnreachable),
        ("other", 0, HostIdentityMismatch),
        ("other", 16, HostIdentityMismatch),
    ],
)
def test_a_change_is_refused_beforehand(
    fleet: FleetView,
    time: FakeClock,
    fingerprint: str,
    silence_s: float,
    refusal: type[FleetError] | None,
) -> None:
    fleet.apply("h1", a_heartbeat(sequence=1, fingerprint=fingerprint))
    time.advance(silence_s)

    found = fleet.access_error("h1")

    assert found is None if refusal is None else type(found) is refusal
    assert fleet.is_reachable("h1") is (refusal is None)


def test_an_unknown_host_cannot_be_read_or_told(fleet: FleetView) -> None:
    with pytest.raises(HostNotFound):
        fleet.host("h9")
    with pytest.raises(HostNotFound):
        fleet.instances("h9")
    with pytest.raises(HostNotFound):
        fleet.instance("web", "h9")
    assert not fleet.is_reachable("h9")


def test_instances_are_listed_by_name_then_host(fleet: FleetView) -> None:
    report(fleet, "h3", "web", "db")
    report(fleet, "h2", "web", "cache")

    listed = [(known.instance.name, known.host) for known in fleet.instances()]

    assert listed == [
        ("cache", "h2"),
        ("db", "h3"),
        ("web", "h1"),
        ("web", "h2"),
        ("web", "h3"),
    ]


def test_a_host_lists_only_its_own(fleet: FleetView) -> None:
    report(fleet, "h2", "web", "cache")

    assert [known.instance.name for known in fleet.instances("h2")] == ["cache", "web"]


def test_a_name_on_two_hosts_needs_a_host(fleet: FleetView) -> None:
    report(fleet, "h2", "web")

    with pytest.raises(AmbiguousName) as raised:
        fleet.instance("web")

    assert raised.value.hosts == "h1, h2"
    assert fleet.instance("web", "h2").host == "h2"
    with pytest.raises(InstanceNotFound):
        fleet.instance("cache", "h2")


def test_a_name_in_two_projects_of_a_host_needs_a_project(fleet: FleetView) -> None:
    twins = [an_instance("twin", uuid=f"u-{each}", project=each) for each in ("default", "shop")]
    fleet.apply("h2", a_heartbeat(fingerprint="f2"))
    fleet.apply("h2", an_inventory(*twins))

    with pytest.raises(AmbiguousProject):
        fleet.instance("twin")

    assert fleet.instance("twin", project="shop").instance.uuid == "u-shop"
    assert fleet.instance("twin", "h2", "default").instance.uuid == "u-default"


def test_the_copy_of_a_uuid_is_flagged_until_it_is_gone(fleet: FleetView) -> None:
    fleet.apply("h2", a_heartbeat(fingerprint="f2"))
    fleet.apply("h2", an_inventory(an_instance("copy", uuid="h1-web")))
    both = {known.host: known.duplicate for known in fleet.instances()}

    fleet.apply("h2", an_inventory(sequence=2))

    assert both == {"h1": False, "h2": True}
    assert [known.duplicate for known in fleet.instances()] == [False]


def test_an_instance_is_the_same_object_until_it_changes(fleet: FleetView) -> None:
    first = fleet.instances()
    fleet.apply("h1", a_heartbeat(sequence=1))
    same = fleet.instances()
    fleet.apply("h1", a_change(an_instance("web", uuid="h1-web", status="Frozen", revision=2)))

    assert [*map(id, same)] == [*map(id, first)]
    assert fleet.instances()[0].instance.status == "Frozen"


def test_a_watcher_hears_of_every_change_until_it_leaves(fleet: FleetView) -> None:
    calls: list[ChangeSet] = []
    leave = fleet.watch(calls.append)

    fleet.apply("h1", a_change(an_instance("new")))
    leave()
    fleet.apply("h1", a_change(an_instance("newer"), sequence=3))

    [changes] = calls
    assert changes.instances == {("new", "h1", "default")}


def test_lists_are_refused_until_every_kept_host_has_reported_or_is_away(time: FakeClock) -> None:
    fleet = FleetView(time.clock, ready_after_s=3)
    fleet.restore([kept("h1"), kept("h2")])

    with pytest.raises(FleetViewNotReady):
        fleet.instances()
    with pytest.raises(FleetViewNotReady):
        fleet.hosts()
    with pytest.raises(FleetViewNotReady):
        fleet.instance("web", "h1")
    fleet.apply("h1", an_inventory(an_instance(), epoch=7))
    after_one = fleet.ready
    fleet.stop_awaiting("h2")

    assert not after_one
    assert fleet.ready
    assert len(fleet.instances()) == 2


def test_a_host_whose_lxd_is_away_is_not_waited_for(time: FakeClock) -> None:
    fleet = FleetView(time.clock, ready_after_s=3)
    fleet.restore([kept()])

    fleet.apply("h1", a_heartbeat(epoch=8, lxd_connected=False, fingerprint=""))

    assert fleet.ready


def test_an_empty_database_is_waited_out(time: FakeClock) -> None:
    fleet = FleetView(time.clock, ready_after_s=3)
    report(fleet, "h1", "web")
    early = fleet.ready

    time.advance(3)
    before = fleet.version
    fleet.tick()

    assert not early
    assert fleet.ready
    assert fleet.version == before + 1


def test_a_kept_host_is_shown_offline_with_its_age(time: FakeClock) -> None:
    fleet = FleetView(time.clock, ready_after_s=0)

    fleet.restore([kept(seen_ago_s=60)])

    host = fleet.host("h1")
    assert (host.online, host.age_s, host.inventory_age_s) == (False, 60, 60)


def test_a_kept_host_that_answers_in_its_verified_epoch_is_online_at_once(
    time: FakeClock,
) -> None:
    fleet = FleetView(time.clock)
    fleet.restore([kept()])

    reaction = fleet.apply("h1", an_inventory(an_instance(), epoch=7, sequence=40))

    assert reaction.needs_operations
    assert fleet.is_reachable("h1")


def test_what_is_kept_is_what_was_known(time: FakeClock) -> None:
    fleet = FleetView(time.clock)

    fleet.restore([kept()])

    assert fleet.stored_host("h1") == kept()


def test_an_epoch_that_was_not_verified_is_not_kept(fleet: FleetView) -> None:
    fleet.apply("h1", a_heartbeat(epoch=2, fingerprint="", lxd_connected=False))

    assert fleet.stored_host("h1").epoch == 0


def test_a_silent_host_can_be_forgotten_with_its_pin(fleet: FleetView, time: FakeClock) -> None:
    time.advance(16)

    fleet.forget("h1")

    assert [*fleet.hosts()] == []
    assert [*fleet.instances()] == []
    report(fleet, "h1", fingerprint="another machine")
    assert fleet.host("h1").fingerprint == "another machine"


def test_a_host_that_reports_cannot_be_forgotten(fleet: FleetView) -> None:
    with pytest.raises(HostStillOnline):
        fleet.forget("h1")


def test_nothing_is_asked_of_a_host_whose_lxd_is_away(fleet: FleetView) -> None:
    fleet.apply("h1", a_heartbeat(epoch=2, lxd_connected=False))
    while_away = fleet.needs_inventory("h1")

    back = fleet.apply("h1", a_heartbeat(epoch=2))

    assert not while_away
    assert back.needs_inventory


def test_after_an_interruption_every_host_is_doubted(fleet: FleetView) -> None:
    fleet.mark_stale()

    assert fleet.needs_inventory("h1")
    assert fleet.apply("h1", a_heartbeat(sequence=1)).needs_inventory
