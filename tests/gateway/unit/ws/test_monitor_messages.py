from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from services.gateway.ws.frames import FramedMessage
from services.gateway.ws.monitor_messages import MonitorMessages
from tests.support.gateway import FakeFleet
from tests.support.views import a_view

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)


def feed(fleet: FakeFleet) -> MonitorMessages:
    return MonitorMessages(fleet, None, lambda: NOON)


def names(message: FramedMessage) -> list[Any]:
    return [entry["name"] for entry in json.loads(message.text)["data"]["instances"]]


def test_one_slot_has_one_message() -> None:
    fleet = FakeFleet()
    stream = feed(fleet)
    first = stream.at(10)
    fleet.change(instances=[])

    assert stream.at(10) is first
    assert fleet.reads == 1


def test_the_next_slot_has_what_changed_since() -> None:
    fleet = FakeFleet()
    stream = feed(fleet)
    stream.at(10)
    fleet.change(instances=[a_view("new")])

    assert names(stream.at(11)) == ["new"]


def test_a_viewer_that_is_late_gets_the_newest_message_there_is() -> None:
    stream = feed(FakeFleet())
    newest = stream.at(12)

    assert stream.at(10) is newest


def test_who_comes_gets_the_present_state_within_a_slot_too() -> None:
    fleet = FakeFleet()
    stream = feed(fleet)
    stream.at(10)
    fleet.change(instances=[a_view("new")])

    assert names(stream.latest(10)) == ["new"]
    assert names(stream.at(10)) == ["new"]


def test_who_comes_while_nothing_changed_shares_the_message() -> None:
    stream = feed(FakeFleet())

    assert stream.latest(10) is stream.latest(10)
