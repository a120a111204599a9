"""Whatever a worker has to say, what it sends can be read."""

from __future__ import annotations

import pytest

from services.lxd_worker.omissions import Omission
from services.lxd_worker.protocols import LxdServer
from services.lxd_worker.reports.heartbeat import LxdHealth, heartbeat
from services.lxd_worker.reports.publishing import BoundedPublisher, ReportContext
from shared.contracts.codec import decode, encode
from shared.contracts.events import Event, Heartbeat, InstanceRemoved
from tests.support.lxd_worker.bench import Bench
from tests.support.lxd_worker.wire import Omissions


class Wire:
    """What was sent and what was left out."""

    def __init__(self) -> None:
        self.sent: list[Event] = []
        self.omissions = Omissions()
        self.publish = BoundedPublisher(self.sent.append, self.omissions)


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.mark.attack
def test_a_heartbeat_is_heard_whatever_lxd_says_of_itself(bench: Bench, wire: Wire) -> None:
    odd = LxdServer(fingerprint="f" * 300, version="5\x00", kind="\ud800", name="x" * 300)
    watch = LxdHealth(lambda: None, server=odd, answers=True, listening=True)

    context = ReportContext(3, wire.publish, bench.clock, wire.omissions, lambda *_: None)

    wire.publish(heartbeat(context, watch, bench.journal, 5.0, 7))

    (beat,) = wire.sent
    assert isinstance(beat, Heartbeat)
    assert decode(Heartbeat, encode(beat)) == beat
    assert (beat.epoch, beat.sequence, beat.lxd_connected) == (3, 7, True)
    assert (beat.server_name, beat.lxd, beat.server) == ("x" * 255, "5\ufffd", "\ufffd")
    assert wire.omissions.of(Omission.FIELDS) == {"heartbeat"}


def test_an_event_that_names_nothing_is_not_sent(wire: Wire) -> None:
    wire.publish(
        InstanceRemoved(epoch=1, sequence=1, at="", action="a", name="no name", revision=1)
    )

    assert wire.sent == []
    assert wire.omissions.of(Omission.MESSAGE) == {"instance-removed"}
