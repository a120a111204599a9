from __future__ import annotations

from shared.contracts.operations import Kind, State
from shared.platform.telemetry import BrokerTelemetry, OperationTelemetry, new_registry
from tests.support.builders import an_operation


def test_the_first_operation_of_an_outcome_is_an_increase() -> None:
    registry = new_registry()
    operations = OperationTelemetry("lxdfleet", "request", registry)
    labels = {"kind": "delete", "outcome": "unknown"}

    counts = [registry.get_sample_value("lxdfleet_operations_total", labels)]
    operations.ended(an_operation(kind=Kind.DELETE, state=State.UNKNOWN), 3.0)
    counts.append(registry.get_sample_value("lxdfleet_operations_total", labels))

    assert counts == [0, 1]


def test_a_first_connection_is_no_reconnection() -> None:
    registry = new_registry()
    broker = BrokerTelemetry(registry)

    counts = []
    for _ in range(3):
        broker.note_connection()
        counts.append(registry.get_sample_value("lxdfleet_broker_reconnects_total"))

    assert counts == [0, 1, 2]


def test_the_connection_is_asked_for_at_every_scrape() -> None:
    registry = new_registry()
    broker = BrokerTelemetry(registry)
    answers = iter([True, False])

    broker.watch(lambda: next(answers))

    told = [registry.get_sample_value("lxdfleet_broker_connected") for _ in range(2)]
    assert told == [1, 0]
