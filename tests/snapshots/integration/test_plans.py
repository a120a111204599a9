"""How plans reach hosts, on a real broker."""

from __future__ import annotations

import time
from pathlib import Path

from msgspec.structs import replace

from shared.contracts.policies import Plan
from shared.contracts.policy_api import PlanStatus
from tests.support.polling import wait_until
from tests.support.snapshots import (
    PlanHost,
    PolicyCaller,
    ServiceProcess,
    StartHost,
    StartService,
    a_policy,
)

PATIENCE_S = 30.0


def newer(host: PlanHost, than: Plan) -> Plan | None:
    """Return the host's plan if it is newer than this one."""
    plan = host.plan
    return plan if plan and plan.plan_version > than.plan_version else None


def reported(caller: PolicyCaller, plan: Plan) -> PlanStatus | None:
    """Return what the service knows of a host that has reported this plan."""
    status = caller.plan(plan.host)
    return status if status and status.carried_version == plan.plan_version else None


def next_version(caller: PolicyCaller, last: int) -> int:
    """Return the version of the plan for `h1` once it is another one."""

    def version() -> int:
        status = caller.plan("h1")
        return status.plan_version if status and status.plan_version > last else 0

    return wait_until(version, within_s=PATIENCE_S)


def trusted(status: PlanStatus | None) -> bool:
    return status is not None and status.clock_trusted


def test_a_policy_becomes_the_plan_of_a_host_that_reports_it(
    caller: PolicyCaller, start_host: StartHost, service: ServiceProcess
) -> None:
    host = start_host()
    before_ms = int(time.time() * 1000)

    caller.create(a_policy())

    plan = wait_until(lambda: host.plan, within_s=PATIENCE_S, seen=lambda: service.log)
    assert [policy.name for policy in plan.policies] == ["nightly"]
    assert plan.plan_version >= before_ms
    assert abs(float(plan.clock) - time.time()) < PATIENCE_S
    wait_until(lambda: trusted(caller.plan("h1")), within_s=PATIENCE_S)
    status = caller.plan("h1")
    assert status is not None
    assert (status.plan_version, status.digest) == (plan.plan_version, plan.digest)
    assert (status.carried_version, status.carried_digest) == (plan.plan_version, plan.digest)


def test_a_host_that_was_away_for_ten_versions_gets_the_newest_only(
    caller: PolicyCaller, start_host: StartHost, service: ServiceProcess
) -> None:
    host = start_host()
    policy = caller.create(a_policy())
    version = wait_until(lambda: host.plan, within_s=PATIENCE_S).plan_version
    host.stop()
    for number in range(10):
        policy = caller.update(replace(policy, pattern=f"version{number}-{{time}}"))
        version = next_version(caller, version)
    host.plans.clear()

    host.start()

    plan = wait_until(lambda: host.plan, within_s=60, seen=lambda: service.log)
    assert plan.plan_version == version
    assert [each.pattern for each in plan.policies] == ["version9-{time}"]


def test_a_plan_that_was_stored_before_the_service_was_killed_is_sent_by_the_next_one(
    caller: PolicyCaller, start_host: StartHost, service: ServiceProcess
) -> None:
    host = start_host()
    caller.create(a_policy())
    version = wait_until(lambda: host.plan, within_s=PATIENCE_S).plan_version
    host.stop()
    caller.update(replace(caller.policies()[0], pattern="unsent-{time}"))
    version = next_version(caller, version)

    service.kill()
    service.start()
    host.plans.clear()
    host.start()

    plan = wait_until(lambda: host.plan, within_s=60, seen=lambda: service.log)
    assert (plan.plan_version, plan.policies[0].pattern) == (version, "unsent-{time}")


def test_a_change_is_planned_although_the_service_is_killed_right_after_it(
    caller: PolicyCaller, start_host: StartHost, service: ServiceProcess
) -> None:
    host = start_host()
    wait_until(lambda: caller.plan("h1"), within_s=PATIENCE_S)

    caller.create(a_policy())
    service.kill()
    service.start()

    plan = wait_until(lambda: host.plan, within_s=60, seen=lambda: service.log)
    assert [each.name for each in plan.policies] == ["nightly"]


def test_hosts_go_on_with_their_plans_when_the_database_was_lost(
    caller: PolicyCaller,
    service: ServiceProcess,
    start_host: StartHost,
    start_service: StartService,
    tmp_path: Path,
) -> None:
    host = start_host()
    caller.create(a_policy())
    before = wait_until(lambda: host.plan, within_s=PATIENCE_S)
    wait_until(lambda: trusted(caller.plan("h1")), within_s=PATIENCE_S)
    service.kill()

    second = start_service("b", f"sqlite:///{tmp_path}/new.db")
    caller.wait_until_it_answers(second)
    known = wait_until(lambda: reported(caller, before), within_s=60, seen=lambda: second.log)

    assert known.plan_version == 0
    assert host.plans == [before]
    caller.create(a_policy("hourly"))
    after = wait_until(lambda: newer(host, before), within_s=PATIENCE_S, seen=lambda: second.log)
    assert [each.name for each in after.policies] == ["hourly"]
