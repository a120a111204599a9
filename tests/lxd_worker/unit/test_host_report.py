"""What the fleet hears of what the host has for new instances, and when."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from services.lxd_worker.creation.capacity import Overcommit
from services.lxd_worker.omissions import Omission
from services.lxd_worker.reports.host_report import HostReport
from shared.contracts.codec import decode, encode
from shared.contracts.events import MAX_BYTES, Event, HostDescribed
from shared.contracts.hosts import MOST_IMAGES, Capacity, Image, Network
from shared.lxd.models import LifecycleEvent, LifecycleMetadata
from shared.lxd.scope import LxdScope
from tests.support.clock import FakeClock
from tests.support.lxd_worker.resources import BUSYBOX, GIB, FakeResources
from tests.support.lxd_worker.wire import Wire


class Host:
    """A report among fakes."""

    def __init__(self) -> None:
        self.offer, self.wire, self.rings = FakeResources(), Wire(), 0
        self.report = HostReport(
            context=self.wire.context(FakeClock()),
            host="h1",
            resources=self.offer,
            signal=self.ring,
            overcommit=Overcommit(cpu=2.0, memory=1.5),
            address="203.0.113.7",
            scope=LxdScope(("shop",)),
        )

    def ring(self) -> None:
        self.rings += 1

    def told(self) -> list[Event]:
        self.report.publish_if_changed()
        return self.wire.sent


@pytest.fixture
def host() -> Host:
    return Host()


def test_it_is_told_what_there_is(host: Host) -> None:
    host.report.request()

    assert host.told() == [
        HostDescribed(
            epoch=3,
            at="2026-11-18T11:06:40.000Z",
            capacity=Capacity(cpu=8, memory=12 * GIB, disk=100 * GIB),
            images=[BUSYBOX],
            networks=[
                Network(name="lxdbr0", type="bridge", managed=True),
                Network(name="br0", type="bridge", managed=False),
            ],
            projects=["shop"],
            address="203.0.113.7",
        )
    ]


def test_without_a_wish_it_is_told_only_when_it_is_different(host: Host) -> None:
    host.told()
    host.told()
    host.offer.own_images = []

    assert [len(one.images) for one in host.told()] == [1, 0]  # type: ignore[union-attr]


def test_with_a_wish_it_is_told_again(host: Host) -> None:
    host.told()
    host.report.request()

    assert len(host.told()) == 2


@pytest.mark.parametrize(
    ("action", "rings"),
    [
        ("image-created", 1),
        ("image-alias-deleted", 1),
        ("network-updated", 1),
        ("storage-pool-created", 1),
        ("profile-updated", 1),
        ("instance-created", 0),
        ("storage-volume-created", 0),
    ],
)
def test_only_events_that_may_change_it_are_a_reason_to_look(
    host: Host, action: str, rings: int
) -> None:
    host.report.on_event(LifecycleEvent(LifecycleMetadata(action, "/1.0/whatever")))

    assert (host.rings, host.offer.forgotten) == (rings, rings)


def test_it_is_not_told_from_memory(host: Host) -> None:
    host.told()

    assert host.offer.forgotten == 1


def test_what_the_broker_did_not_take_is_told_when_it_does(host: Host) -> None:
    host.wire.cut = True
    host.report.request()
    host.told()
    host.wire.cut = False

    assert len(host.told()) == 1


def test_a_pool_that_tells_nothing_hides_nothing_else(host: Host) -> None:
    host.offer.away = True

    (told,) = host.told()

    assert isinstance(told, HostDescribed)
    assert (told.capacity, told.images) == (None, [BUSYBOX])


def test_more_images_than_a_message_holds_are_left_out(host: Host) -> None:
    host.offer.own_images = [Image(fingerprint=f"{number:064}") for number in range(1001)]

    (told,) = host.told()

    assert isinstance(told, HostDescribed)
    assert len(told.images) == MOST_IMAGES


@pytest.mark.parametrize("question", ["images", "networks", "projects"])
def test_a_question_that_lxd_refuses_leaves_what_was_told_last_of_it(
    host: Host, question: str
) -> None:
    host.told()
    host.offer.refused.add(question)
    host.report.request()

    first, again = host.told()

    assert replace(again, at="") == replace(first, at="")
    assert host.wire.omissions.of(Omission.QUESTION) == {question}


@pytest.mark.attack
def test_a_question_that_lxd_refuses_from_the_beginning_hides_nothing_else(host: Host) -> None:
    host.offer.refused.add("images")

    (told,) = host.told()

    assert isinstance(told, HostDescribed)
    assert (told.images, len(told.networks), told.projects) == ([], 2, ["shop"])


def test_an_lxd_that_tells_nothing_leaves_the_fleet_what_it_knows(host: Host) -> None:
    host.offer.refused |= {"images", "networks", "projects"}

    assert host.told() == []


@pytest.mark.attack
def test_an_image_out_of_bounds_costs_no_other(host: Host) -> None:
    host.offer.own_images = [
        Image(fingerprint="a", description="\ud800" + "x" * 9000, size=-1),
        Image(fingerprint="b" * 300),
        BUSYBOX,
    ]

    (told,) = host.told()

    assert isinstance(told, HostDescribed)
    assert decode(HostDescribed, encode(told)) == told
    assert [one.size for one in told.images] == [0, 0, 0]
    assert told.images[-1] == BUSYBOX
    assert host.wire.omissions.of(Omission.FIELDS) == {"image a", f"image {'b' * 300}"}


def test_images_that_are_large_share_the_room(host: Host) -> None:
    host.offer.own_images = [
        BUSYBOX,
        *(Image(fingerprint=str(n), description="\x01" * 8192) for n in range(900)),
    ]

    (told,) = host.told()

    assert isinstance(told, HostDescribed)
    assert len(encode(told)) <= MAX_BYTES[HostDescribed]
    assert (len(told.images), told.images[0]) == (901, BUSYBOX)


def test_what_lxd_does_not_tell_is_asked_for_again(host: Host) -> None:
    host.offer.away = True
    host.offer.refused = {"images", "networks", "projects"}
    host.report.request()
    host.report.publish_if_changed()
    host.offer.away, host.offer.refused = False, set()

    for again in host.wire.later:
        again()
    host.report.publish_if_changed()

    assert host.rings == 2
    assert len(host.wire.sent) == 1
