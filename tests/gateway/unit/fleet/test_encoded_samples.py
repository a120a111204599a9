"""Samples are held as they came, and decoded when they are asked for."""

from __future__ import annotations

import json
import logging

import msgspec
import pytest
from msgspec import Raw

from services.gateway.fleet import encoded_samples
from services.gateway.fleet.encoded_samples import (
    EncodedSample,
    addresses,
    encoded_sample,
    instance_sample,
    read_sample,
)
from services.gateway.fleet.view import FleetView
from shared.contracts.codec import encode
from shared.contracts.errors import UnreadableMessage
from shared.contracts.events import Sampled, SampledV1
from shared.platform.token_bucket import TokenBucket
from tests.support.builders import a_heartbeat, a_sample_message, an_instance, an_inventory
from tests.support.clock import FakeClock
from tests.support.views import MEASURED

MESSAGE = msgspec.structs.replace(a_sample_message(), instances=[MEASURED])


def sampled_with(*rows: object) -> bytes:
    message = json.loads(encode(a_sample_message()))
    return json.dumps(message | {"instances": list(rows)}).encode()


def decoded(sample: EncodedSample) -> list[object]:
    return [instance_sample(body) for _, body in sample.instances]


def test_what_is_read_is_what_was_sent() -> None:
    sample = read_sample(encode(MESSAGE))

    [(head, body)] = sample.instances
    assert (head.name, head.uuid, head.project) == (
        MEASURED.name,
        MEASURED.uuid,
        MEASURED.project,
    )
    assert instance_sample(body) == MEASURED
    assert addresses(body) == MEASURED.addresses
    assert sample.host == MESSAGE.host


def test_the_first_form_is_held_like_the_present_one() -> None:
    first = msgspec.convert(MESSAGE, SampledV1, from_attributes=True)

    assert decoded(encoded_sample(first)) == decoded(encoded_sample(MESSAGE)) == [MEASURED]


@pytest.mark.attack
@pytest.mark.parametrize("row", [1, {}, [], ["web"], [1, 2], "web", None])
def test_a_sample_of_nobody_is_no_message(row: object) -> None:
    with pytest.raises(UnreadableMessage):
        read_sample(sampled_with(["web", "uuid-web"], row))


@pytest.mark.attack
@pytest.mark.parametrize(
    "figures",
    [
        [101.0],
        [None, -1],
        ["much"],
        [[]],
        [None, 2**64],
        [None] * 18 + [[{}]],
    ],
)
def test_figures_that_nobody_can_read_are_unknown_and_those_of_others_are_not(
    figures: list[object],
    time: FakeClock,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoded_samples, "_failures", TokenBucket(0.1, burst=1))
    fleet = FleetView(time.clock, ready_after_s=0)
    fleet.apply("h1", a_heartbeat())
    fleet.apply("h1", an_inventory(an_instance("bad"), an_instance("good")))
    bad = ["bad", "uuid-bad", "default", [["eth0", "inet", "10.0.0.1", "global", True]], *figures]
    good = ["good", "uuid-good", "default", [], 5.0]

    fleet.apply("h1", read_sample(sampled_with(bad, good)))

    with caplog.at_level(logging.WARNING):
        read = [fleet.instance("bad").sample for _ in range(3)]
    shown = fleet.instance("good").sample
    assert read == [None] * 3
    assert fleet.instance("bad").reachable.all == ("10.0.0.1",)
    assert shown is not None
    assert shown.cpu_percent == 5.0
    assert len(caplog.records) == 1


@pytest.mark.attack
def test_addresses_that_nobody_can_read_are_none() -> None:
    assert addresses(Raw(b'["web","u","default",[["eth0",7]]]')) == ()


def test_fields_of_a_later_release_are_skipped() -> None:
    later = [*json.loads(encode(MEASURED)), "later", 1]

    assert instance_sample(Raw(json.dumps(later).encode())) == MEASURED


def test_a_sample_of_another_major_version_is_no_message() -> None:
    body = encode(msgspec.structs.replace(a_sample_message(), version="3.0"))

    with pytest.raises(UnreadableMessage, match="another major version"):
        read_sample(body)


def test_equal_addresses_are_no_change_and_other_ones_are(time: FakeClock) -> None:
    fleet = FleetView(time.clock, ready_after_s=0)
    fleet.apply("h1", a_heartbeat())
    fleet.apply("h1", an_inventory(an_instance("web", uuid=MEASURED.uuid)))
    moved = msgspec.structs.replace(MEASURED, addresses=MEASURED.addresses[:1])
    changed = []
    fleet.watch(lambda changes: changed.append(len(changes.instances)))

    for sequence, each in enumerate((MEASURED, MEASURED, moved), 1):
        named = msgspec.structs.replace(each, name="web")
        message = Sampled(
            epoch=1,
            sequence=sequence,
            at="",
            interval_s=5,
            source="lxd",
            host=MESSAGE.host,
            instances=[named],
        )
        fleet.apply("h1", encoded_sample(message))

    assert changed == [1, 0, 1]
