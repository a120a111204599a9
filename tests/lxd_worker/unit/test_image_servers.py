"""When image servers are read, and what the fleet hears of them."""

from __future__ import annotations

import json
import logging

import pytest

from services.lxd_worker.omissions import Omission
from services.lxd_worker.protocols import ImageServerAway
from services.lxd_worker.reports.image_servers import AGAIN_S, EVERY_S, ImageServersReport
from shared.contracts.codec import encode
from shared.contracts.errors import LxdUnavailable
from shared.contracts.events import MAX_BYTES, ImageServersRead
from tests.support.clock import FakeClock
from tests.support.image_server import INDEX, PRODUCTS, catalogue, index
from tests.support.lxd_worker.resources import FakeResources
from tests.support.lxd_worker.wire import Wire

IMAGES, LAB = "https://images", "https://lab"


class Host:
    """A report of two servers; of `files` all that are missing cannot be had."""

    def __init__(self) -> None:
        self.offer, self.clock = FakeResources(), FakeClock()
        self.asked: list[str] = []
        self.rings, self.wire = 0, Wire()
        self.files = {
            f"{IMAGES}/{INDEX}": json.dumps(index(PRODUCTS)).encode(),
            f"{IMAGES}/{PRODUCTS}": json.dumps(catalogue(arch="amd64")).encode(),
        }
        self.report = ImageServersReport(
            context=self.wire.context(self.clock),
            remotes={"images": IMAGES, "lab": LAB},
            resources=self.offer,
            fetch=self.fetch,
            signal=self.ring,
        )

    def fetch(self, address: str, path: str) -> bytes:
        self.asked.append(f"{address}/{path}")
        try:
            return self.files[f"{address}/{path}"]
        except KeyError:
            raise ImageServerAway("404") from None

    def ring(self) -> None:
        self.rings += 1

    def told(self) -> dict[str, list[str] | None]:
        """Return the names that were told of each server at last."""
        self.report.publish_if_changed()
        last = self.wire.sent[-1]
        assert isinstance(last, ImageServersRead)
        return {
            server: None if images is None else [name for one in images for name in one.aliases]
            for server, images in last.servers.items()
        }


@pytest.fixture
def host() -> Host:
    return Host()


def test_servers_are_named_before_they_are_read(host: Host) -> None:
    assert host.told() == {"images": None, "lab": None}
    assert host.asked == []


def test_a_server_that_is_away_hides_no_other(host: Host, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        host.report.read_due()
        host.clock.advance(AGAIN_S)
        host.report.read_due()

    assert host.told() == {"images": ["busybox/1", "busybox/latest"], "lab": None}
    assert [record.message for record in caplog.records] == ["image server not read"]
    assert host.rings == 2


def test_what_was_read_stays_while_a_server_is_away_or_sends_rubbish(host: Host) -> None:
    host.report.read_due()
    before = host.told()
    for rubbish in (b"", b"<html>", json.dumps(index("missing.json")).encode()):
        host.files[f"{IMAGES}/{INDEX}"] = rubbish
        host.clock.advance(EVERY_S)
        host.report.read_due()

    assert host.told() == before
    assert len(host.wire.sent) == 1


def test_a_server_is_read_again_after_an_hour_and_one_that_is_away_sooner(host: Host) -> None:
    host.report.read_due()
    host.report.read_due()
    first = len(host.asked)
    host.clock.advance(AGAIN_S)
    host.report.read_due()
    soon = host.asked[first:]
    host.clock.advance(EVERY_S - AGAIN_S)
    host.report.read_due()

    assert first == 3
    assert soon == [f"{LAB}/{INDEX}"]
    assert host.asked.count(f"{IMAGES}/{PRODUCTS}") == 2


def test_it_is_told_when_it_is_wanted_or_different(host: Host) -> None:
    for _ in range(2):
        host.told()
    host.report.request()
    host.told()
    host.report.read_due()
    host.told()

    assert len(host.wire.sent) == 3


def test_what_the_broker_did_not_take_is_told_when_it_does(host: Host) -> None:
    host.wire.cut = True
    host.report.publish_if_changed()
    host.wire.cut = False

    assert host.told()
    assert len(host.wire.sent) == 1


def test_without_lxd_nobody_knows_what_the_host_can_run(host: Host) -> None:
    host.offer.away = True

    with pytest.raises(LxdUnavailable):
        host.report.read_due()

    assert host.asked == []


@pytest.mark.attack
def test_a_server_with_too_much_to_say_costs_the_others_nothing(host: Host) -> None:
    host.files[f"{LAB}/{INDEX}"] = json.dumps(index("big.json")).encode()
    product = catalogue(arch="amd64")["products"].popitem()[1]
    named = {str(n): product | {"aliases": f"a{n}", "os": "\x01" * 255} for n in range(2000)}
    host.files[f"{LAB}/big.json"] = json.dumps({"products": named}).encode()
    host.report.read_due()

    told = host.told()

    assert len(encode(host.wire.sent[-1])) <= MAX_BYTES[ImageServersRead]
    assert told["images"] == ["busybox/1", "busybox/latest"]
    assert len(told["lab"] or []) > 500
    assert host.wire.omissions.of(Omission.FIELDS) == {"lab"}
