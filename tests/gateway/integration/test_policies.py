"""Snapshot policies over a real broker: with a host, and with the snapshots service itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.gateway.wiring import Parts
from shared.contracts.errors import (
    InvalidInput,
    PolicyChangedSince,
    PolicyExists,
    PolicyNotFound,
    SnapshotsUnavailable,
)
from shared.contracts.events import PolicyRunChanged, ProtectionReported
from shared.contracts.policies import Retention, Selection
from shared.contracts.policy_api import RunQuery
from tests.support.broker import Vhost
from tests.support.builders import AT, a_policy, a_protection, a_run, an_instance
from tests.support.host import WireHost
from tests.support.polling import eventually
from tests.support.snapshots import processes

from .conftest import has_read

EVERYWHERE = Selection(names=("*",))


@pytest.fixture
async def host(gateway: Parts, vhost: Vhost) -> AsyncIterator[WireHost]:
    """Host h1 with its own credentials and a running `web`, in the gateway's view."""
    async with WireHost(vhost.host_uri("h1"), "h1", an_instance()) as host:
        await eventually(lambda: has_read(gateway))
        yield host


async def test_what_a_host_reports_is_in_the_view(gateway: Parts, host: WireHost) -> None:
    protections = gateway.fleet.protections
    report = ProtectionReported(
        epoch=1, at=AT, plan_version=7, clock_trusted=True, instances=[a_protection(an_instance())]
    )

    await host.publish("worker.protection", report)
    await host.publish("worker.policy-run", PolicyRunChanged(run=a_run()))

    await eventually(lambda: protections.run("h1", "run-1") == a_run())
    assert protections.of(("web", "h1", "default")).state == "protected"
    found = protections.report("h1")
    assert found is not None
    assert (found.plan_version, found.clock_trusted) == (7, True)


async def test_a_host_is_told_to_run_and_to_simulate(gateway: Parts, host: WireHost) -> None:
    policy = a_policy(selection=EVERYWHERE)

    [begun] = await gateway.policies.run(policy, "2026-11-18T11:00:00Z", None, 5)
    simulated = await gateway.policies.simulate(policy, 3, None, 10, 5)

    assert begun.answer is not None
    assert begun.answer.instances == 1
    assert [each.host for each in simulated.answers] == ["h1"]
    assert simulated.answers[0].answer is not None


async def test_without_the_snapshots_service_a_call_says_so(gateway: Parts) -> None:
    with pytest.raises(SnapshotsUnavailable):
        await gateway.policies.all()


async def test_policies_are_kept_by_the_snapshots_service(
    gateway: Parts, vhost: Vhost, tmp_path: Path
) -> None:
    policies = gateway.policies
    with processes(vhost, tmp_path) as start:
        start()

        async def answers() -> bool:
            try:
                await policies.all()
            except SnapshotsUnavailable:
                return False
            return True

        await eventually(answers, within_s=30)

        created = await policies.create(a_policy(), "k")
        again = await policies.create(a_policy(), "k")
        changed = await policies.replace(a_policy(description="new"), {"1"})

        assert created == again == a_policy()
        assert (changed.revision, changed.description) == (2, "new")
        assert await policies.get("p-1") == changed
        with pytest.raises(PolicyChangedSince):
            await policies.replace(a_policy(), {"1"})
        with pytest.raises(PolicyExists):
            await policies.create(a_policy("p-2"))
        with pytest.raises(InvalidInput):
            await policies.create(a_policy("p-3", name="x", retention=Retention()))
        assert (await policies.runs(RunQuery())).runs == []
        assert (await policies.plans()).plans == []
        await policies.delete("p-1", {"2"})
        with pytest.raises(PolicyNotFound):
            await policies.get("p-1")
