"""Several copies of the service on one database: any answers, one makes plans."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.support.broker import Vhost
from tests.support.polling import wait_until
from tests.support.postgresql import fresh_database
from tests.support.snapshots import (
    PlanHost,
    PolicyCaller,
    ServiceProcess,
    StartHost,
    StartService,
    a_policy,
)

PATIENCE_S = 60.0


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/snapshots.db"
    return fresh_database(request.getfixturevalue("postgresql"))


@pytest.fixture
def copies(start_service: StartService, database: str) -> list[ServiceProcess]:
    first = start_service("a", database)
    wait_until(lambda: first.leads, within_s=PATIENCE_S, seen=lambda: first.log)
    return [first, start_service("b", database)]


@pytest.fixture
def both(vhost: Vhost, copies: list[ServiceProcess]) -> Iterator[PolicyCaller]:
    with contextlib.closing(PolicyCaller(vhost.uri)) as caller:
        caller.wait_until_it_answers(copies[0])
        wait_until(lambda: consumers(vhost) == 2, within_s=PATIENCE_S, seen=lambda: copies[1].log)
        yield caller


def consumers(vhost: Vhost) -> int:
    return sum(each.get("consumers", 0) for each in vhost.queues() if is_calls(each["name"]))


def is_calls(queue: str) -> bool:
    return queue == "snapshots.calls"


def plan_of(host: PlanHost, pattern: str) -> bool:
    plan = host.plan
    return plan is not None and [each.pattern for each in plan.policies] == [f"{pattern}-{{time}}"]


def test_one_of_two_copies_makes_plans_and_both_answer_until_one_is_left(
    copies: list[ServiceProcess], both: PolicyCaller, start_host: StartHost
) -> None:
    first, second = copies
    host = start_host()
    policy = both.create(a_policy(pattern="before-{time}"))
    wait_until(lambda: plan_of(host, "before"), within_s=PATIENCE_S, seen=lambda: first.log)

    # The calls go to the copies in turn.
    for number in range(6):
        policy = both.update(replace(policy, pattern=f"change{number}-{{time}}"))
        assert both.policies() == [policy]
    wait_until(lambda: plan_of(host, "change5"), within_s=PATIENCE_S, seen=lambda: first.log)
    assert (first.leads, second.leads) == (True, False)
    sent_before = [plan.plan_version for plan in host.plans]

    first.kill()
    both.update(replace(policy, pattern="after-{time}"))

    wait_until(lambda: plan_of(host, "after"), within_s=PATIENCE_S, seen=lambda: second.log)
    assert second.leads
    versions = [plan.plan_version for plan in host.plans]
    assert versions == sorted(versions)
    assert versions[len(sent_before) :][-1] > max(sent_before)


def test_a_copy_that_is_stopped_lets_the_other_lead_at_once(
    copies: list[ServiceProcess], both: PolicyCaller
) -> None:
    first, second = copies

    assert first.stop() == 0

    wait_until(lambda: second.leads, within_s=10, seen=lambda: second.log)
