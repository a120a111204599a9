"""What hosts did comes into the history, whoever was away meanwhile."""

from __future__ import annotations

from pathlib import Path

from shared.contracts.policies import PolicyRun, RunState
from tests.support.polling import wait_until
from tests.support.snapshots import (
    PolicyCaller,
    ServiceProcess,
    StartHost,
    StartService,
    a_run,
)

PATIENCE_S = 60.0


def history(caller: PolicyCaller, **query: object) -> list[PolicyRun]:
    return [each.run for each in caller.runs(**query).runs]


def test_a_run_is_in_the_history_as_its_host_reported_it_last(
    caller: PolicyCaller, start_host: StartHost, service: ServiceProcess
) -> None:
    host = start_host()
    wait_until(lambda: caller.plan("h1"), within_s=PATIENCE_S, seen=lambda: service.log)

    host.publish_run(a_run(1, state=RunState.RUNNING))
    host.publish_run(a_run(2, snapshot="nightly-20261129T030000Z"))

    wait_until(lambda: history(caller) == [host.recorded[-1]], within_s=PATIENCE_S)
    assert [each.host for each in caller.runs(host="h1").runs] == ["h1"]
    assert history(caller, state=RunState.FAILED) == []


def test_runs_that_nobody_heard_are_asked_for_and_those_of_a_lost_database_come_back(
    caller: PolicyCaller,
    service: ServiceProcess,
    start_host: StartHost,
    start_service: StartService,
    tmp_path: Path,
) -> None:
    host = start_host()
    host.recorded = [
        a_run(number, f"2026-11-29T{number // 60:02}:{number % 60:02}:00Z")
        for number in range(1, 451)
    ]
    newest_first = list(reversed(host.recorded))
    wait_until(
        lambda: history(caller, limit=1000) == newest_first,
        within_s=PATIENCE_S,
        seen=lambda: service.log,
    )
    service.kill()

    second = start_service("b", f"sqlite:///{tmp_path}/new.db")
    caller.wait_until_it_answers(second)

    wait_until(
        lambda: history(caller, limit=1000) == newest_first,
        within_s=PATIENCE_S,
        seen=lambda: second.log,
    )


def test_the_history_is_read_page_by_page(
    caller: PolicyCaller, start_host: StartHost, service: ServiceProcess
) -> None:
    host = start_host()
    host.recorded = [a_run(hour + 1, f"2026-11-29T{hour:02}:00:00Z") for hour in range(5)]
    wait_until(lambda: len(history(caller)) == 5, within_s=PATIENCE_S, seen=lambda: service.log)

    pages, before = [], ""
    while not pages or before:
        page = caller.runs(limit=2, before=before)
        pages.append([each.run.sequence for each in page.runs])
        before = page.cursor

    assert pages == [[5, 4], [3, 2], [1]]
