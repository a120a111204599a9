from __future__ import annotations

import pytest

from services.lxd_worker.adapters.telemetry import WorkerTelemetry
from shared.contracts.operations import Kind, State
from shared.testing.reports import an_operation


@pytest.mark.parametrize(
    ("finished_at", "took_s"), [("2026-11-20T10:00:02.500Z", 1.5), ("2026-11-20T09:59:00Z", 0.0)]
)
def test_an_operation_took_the_time_from_acceptance_to_end(finished_at: str, took_s: float) -> None:
    telemetry = WorkerTelemetry()
    operation = an_operation(
        kind=Kind.STOP,
        state=State.FAILED,
        accepted_at="2026-11-20T10:00:01Z",
        finished_at=finished_at,
    )

    telemetry.operation_ended(operation)

    labels = {"kind": "stop", "outcome": "failed"}
    name = "lxdfleet_worker_operation_seconds"
    assert telemetry.registry.get_sample_value(f"{name}_count", labels) == 1
    assert telemetry.registry.get_sample_value(f"{name}_sum", labels) == took_s


def test_the_journal_and_lxd_are_asked_at_every_scrape() -> None:
    telemetry = WorkerTelemetry()
    journal: list[str] = []
    telemetry.watch(lambda: len(journal), lambda: bool(journal))

    journal += ["op-1", "op-2"]

    value = telemetry.registry.get_sample_value
    assert value("lxdfleet_worker_journal_length") == 2
    assert value("lxdfleet_worker_lxd_connected") == 1
