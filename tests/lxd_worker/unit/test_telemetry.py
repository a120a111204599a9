from __future__ import annotations

import logging

import pytest

from services.lxd_worker.omissions import Omission
from services.lxd_worker.telemetry import WorkerTelemetry
from shared.contracts.operations import Kind, State
from tests.support.builders import an_operation


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


def test_an_operation_that_began_nobody_knows_when_is_counted_all_the_same() -> None:
    telemetry = WorkerTelemetry()
    odd = an_operation(kind=Kind.STOP, state=State.DONE, accepted_at="2026-13-45T00:00:00Z")

    telemetry.operation_ended(odd)

    labels = {"kind": "stop", "outcome": "done"}
    value = telemetry.registry.get_sample_value
    assert value("lxdfleet_worker_operations_total", labels) == 1
    assert value("lxdfleet_worker_operation_seconds_count", labels) is None


def test_what_is_left_out_is_counted_each_time_and_logged_once_for_each_subject(
    caplog: pytest.LogCaptureFixture,
) -> None:
    telemetry = WorkerTelemetry()

    with caplog.at_level(logging.WARNING):
        for subject in ("default/web", "default/web", "x" * 2000):
            telemetry.omissions(Omission.FIELDS, subject, "y" * 2000)

    value = telemetry.registry.get_sample_value
    assert value("lxdfleet_worker_dropped_total", {"what": "fields"}) == 3
    assert value("lxdfleet_worker_dropped_total", {"what": "operation"}) == 0
    assert [vars(line)["of"] for line in caplog.records] == ["default/web", "x" * 255]
    assert max(len(vars(line)["reason"]) for line in caplog.records) == 500


def test_the_journal_and_lxd_are_asked_at_every_scrape() -> None:
    telemetry = WorkerTelemetry()
    journal: list[str] = []
    telemetry.watch(lambda: len(journal), lambda: bool(journal))

    journal += ["op-1", "op-2"]

    value = telemetry.registry.get_sample_value
    assert value("lxdfleet_worker_journal_length") == 2
    assert value("lxdfleet_worker_lxd_connected") == 1
