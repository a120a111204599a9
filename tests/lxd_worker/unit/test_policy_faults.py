"""A policy that this host cannot carry out stops no other."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace

from shared.contracts.errors import InvalidInput
from shared.contracts.policies import (
    Policy,
    ProtectionState,
    Retention,
    RunRequest,
    RunState,
    Schedule,
    Selection,
)
from shared.policies import schedule, zones
from tests.support.lxd_worker.policies import PolicyBench, a_policy, policy_bench
from tests.support.lxd_worker.protection import protection_of

ONLY_WEB = Selection(names=("web",))
GOOD = a_policy("good", selection=ONLY_WEB)
IN_KYIV = a_policy("kyiv", schedule=Schedule(cron="0 * * * *", timezone="Europe/Kyiv"))
KEEPS_NOTHING = a_policy("nothing", retention=Retention())


@pytest.fixture
def host(tmp_path: Path) -> Iterator[PolicyBench]:
    with policy_bench(tmp_path) as bench:
        yield bench
    forget_zones()


def forget_zones() -> None:
    for cached in (zones.zone_of, schedule._next, schedule._latest):
        cached.cache_clear()


def without_kyiv(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the machine's time zones exchanged for a release that lacks one."""

    def zone(name: str) -> object:
        if name == "Europe/Kyiv":
            raise KeyError(name)
        return ZoneInfo(name)

    monkeypatch.setattr("shared.policies.zones.ZoneInfo", zone)
    forget_zones()


def test_a_zone_that_is_gone_stops_its_policy_alone(
    host: PolicyBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.give(IN_KYIV, GOOD)
    host.until_hour()
    without_kyiv(monkeypatch)
    host.kill()
    host.until_hour()

    last = [run for run in host.runs() if run.slot == "2026-11-18T13:00:00Z"]
    assert [(run.policy, run.state) for run in last] == [("good", RunState.TAKEN)]
    assert protection_of(host, "web").state is ProtectionState.FAILING


@pytest.mark.parametrize("bad", [IN_KYIV, KEEPS_NOTHING])
def test_a_plan_with_one_bad_policy_is_taken_and_tells_of_it(
    host: PolicyBench, monkeypatch: pytest.MonkeyPatch, bad: Policy
) -> None:
    without_kyiv(monkeypatch)
    host.give(bad, GOOD)
    host.kill()
    host.until_hour(2)

    assert {(run.policy, run.state) for run in host.runs()} == {("good", RunState.TAKEN)}
    with pytest.raises(InvalidInput):
        host.policies.run_policy(RunRequest(policy_id=bad.id, at="2026-11-18T11:06:41Z"))
    for name in ("web", "db"):
        found = protection_of(host, name)
        assert (found.state, found.code) == (ProtectionState.FAILING, "invalid_input")


def test_a_policy_that_is_mended_is_carried_out_again(
    host: PolicyBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_kyiv(monkeypatch)
    host.give(IN_KYIV, GOOD)
    host.until_hour()
    host.give(replace(IN_KYIV, schedule=Schedule(cron="0 * * * *")), GOOD)
    host.until_hour()

    assert {run.policy for run in host.runs()} == {"kyiv", "good"}
    assert protection_of(host, "web").state is ProtectionState.PROTECTED


def test_what_a_bad_policy_has_taken_before_stays_and_what_waits_fails(host: PolicyBench) -> None:
    host.give(replace(GOOD, selection=ONLY_WEB))
    host.until_hour(2)
    host.to_full_hour()
    host.policies.scheduler.work()
    host.give(replace(GOOD, retention=Retention()))
    host.work()

    last = max(host.runs(), key=lambda run: run.slot)
    assert (last.state, last.code) == (RunState.FAILED, "invalid_input")
    assert len(host.snapshots()) == 2


def test_a_slot_that_cannot_be_found_stops_no_other_policy(
    host: PolicyBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.give(a_policy("bad", schedule=Schedule(cron="*/30 * * * *")), GOOD)

    def latest(wanted: Schedule, after: datetime, until: datetime) -> datetime | None:
        if wanted.cron.startswith("*/30"):
            raise InvalidInput("schedule.cron", "another one")
        return schedule.latest_slot(wanted, after, until)

    monkeypatch.setattr("services.lxd_worker.policies.host_plan.latest_slot", latest)
    host.until_hour()

    assert {run.policy for run in host.runs()} == {"good"}
