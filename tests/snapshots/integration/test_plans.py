"""How plans reach hosts, on a real broker."""

from __future__ import annotations

import time

from shared.contracts.policy_api import PlanStatus
from tests.support.polling import wait_until
from tests.support.snapshots import PolicyCaller, ServiceProcess, StartHost, a_policy

PATIENCE_S = 30.0


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
