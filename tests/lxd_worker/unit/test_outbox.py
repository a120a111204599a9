"""Operations are reported until the broker has confirmed them."""

from __future__ import annotations

import pytest

from services.lxd_worker.operations.outbox import Outbox, operation_outbox
from services.lxd_worker.protocols import Publish
from shared.contracts.errors import BrokerUnavailable
from shared.contracts.events import (
    Event,
    OperationChanged,
)
from shared.contracts.operations import Kind, Operation, State
from tests.support.lxd_worker.bench import Bench
from tests.support.lxd_worker.observations import observation
from tests.support.lxd_worker.wire import Wire


@pytest.fixture
def wire() -> Wire:
    return Wire()


def outbox(bench: Bench, publish: Publish) -> Outbox[Operation]:
    return operation_outbox(bench.journal, publish, lambda: None, lambda *_: None)


def test_every_operation_is_reported_in_the_order_of_its_change(bench: Bench, wire: Wire) -> None:
    bench.submit(Kind.STOP, "web", operation_id="op-1")
    bench.submit(Kind.STOP, "db", operation_id="op-2")
    bench.journal.advance("op-1", lambda one: one.start("now"))

    outbox(bench, wire.publish).publish_unconfirmed()

    told = [one.operation for one in wire.sent if isinstance(one, OperationChanged)]
    assert [(one.operation_id, one.state) for one in told] == [
        ("op-2", State.ACCEPTED),
        ("op-1", State.RUNNING),
    ]
    assert bench.journal.unconfirmed(10) == []


def test_what_the_broker_did_not_confirm_is_reported_again(bench: Bench, wire: Wire) -> None:
    bench.submit(Kind.STOP, "web", operation_id="op-1")
    wire.cut = 1

    with pytest.raises(BrokerUnavailable):
        outbox(bench, wire.publish).publish_unconfirmed()
    outbox(bench, wire.publish).publish_unconfirmed()

    assert len(wire.sent) == 1


def test_a_change_during_the_report_is_left_for_the_next(bench: Bench, wire: Wire) -> None:
    bench.submit(Kind.STOP, "web", operation_id="op-1")

    def publish(event: Event) -> None:
        wire.publish(event)
        bench.journal.advance("op-1", lambda one: one.start("now"))

    outbox(bench, publish).publish_unconfirmed()
    outbox(bench, wire.publish).publish_unconfirmed()

    states = [one.operation.state for one in wire.sent]  # type: ignore[union-attr]
    assert states == [State.ACCEPTED, State.RUNNING]


def test_more_than_are_read_at_once_are_all_reported(bench: Bench, wire: Wire) -> None:
    bench.most_unfinished = 200
    for number in range(200):
        bench.lxd.holds[f"c{number}"] = observation(uuid=f"u-c{number}")
        bench.submit(Kind.STOP, f"c{number}", operation_id=f"op-{number}")

    outbox(bench, wire.publish).publish_unconfirmed()

    assert len(wire.sent) == 200
