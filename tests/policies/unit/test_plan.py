"""The plan of a host, compiled from the policies of the fleet."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from shared.contracts.codec import from_wire, to_wire
from shared.contracts.policies import Plan, Policy, Retention, Schedule, Selection
from shared.policies.plan import GROUP_DELAY_S, digest, plan_for

HOSTS = tuple(f"h{number}" for number in range(1, 9))


def policy(id: str, **changed: Any) -> Policy:  # noqa: A002
    """Return a policy for all instances."""
    whole = Policy(
        id=id,
        name=id,
        schedule=Schedule(cron="0 2 * * *"),
        selection=Selection(names=("*",)),
        retention=Retention(keep_last=2),
    )
    return replace(whole, **changed)


def plan(host: str, *policies: Policy, at_once: int = 4, fleet_at_once: int = 64) -> Plan:
    """Return a host's plan in a fleet of eight."""
    return plan_for(host, policies, HOSTS, at_once, fleet_at_once, 7, "1796000000")


def test_a_host_is_given_the_enabled_policies_that_may_select_its_instances() -> None:
    given = plan(
        "h1",
        policy("d"),
        policy("c", enabled=False),
        policy("b", selection=Selection(hosts=("h2",))),
        policy("a", selection=Selection(hosts=("h1", "h2"), names=("web*",))),
        policy("nothing", selection=Selection()),
    )

    assert [each.id for each in given.policies] == ["a", "d"]
    assert (given.host, given.plan_version, given.clock) == ("h1", 7, "1796000000")


def test_the_digest_is_of_what_a_host_does_and_not_of_when_it_was_told() -> None:
    first = plan("h1", policy("a"), policy("b"))
    later = plan_for("h1", [policy("b"), policy("a")], HOSTS, 4, 64, 8, "1796009999")

    assert later.digest == first.digest
    assert plan("h1", policy("a")).digest != first.digest
    assert plan("h1", policy("a", stateful=True), policy("b")).digest != first.digest
    assert plan("h1", policy("a"), policy("b"), at_once=3).digest != first.digest
    assert from_wire(Plan, to_wire(first)) == first


def test_a_plan_has_no_descriptions_and_a_digest_without_them() -> None:
    described = plan("h1", policy("a", description="why it is there"))

    assert described.policies[0].description == ""
    assert described.digest == plan("h1", policy("a")).digest


def test_the_digest_of_a_host_that_does_not_know_an_unused_field_yet_is_the_same() -> None:
    class Newer(Policy, frozen=True, kw_only=True):
        later: str = ""

    known = policy("a")
    newer = Newer(**{name: getattr(known, name) for name in known.__struct_fields__})

    assert digest([replace(newer, version="1.7")], 4, 0.0) == digest([known], 4, 0.0)
    assert digest([replace(newer, later="x")], 4, 0.0) != digest([known], 4, 0.0)


def test_a_limit_of_the_fleet_is_divided_among_its_hosts() -> None:
    assert plan("h1", at_once=4, fleet_at_once=64).at_once == 4
    assert plan("h1", at_once=4, fleet_at_once=16).at_once == 2
    assert {plan(host, fleet_at_once=8).delay_s for host in HOSTS} == {0.0}


def test_more_hosts_than_the_limit_come_in_groups() -> None:
    plans = [plan(host, fleet_at_once=3) for host in HOSTS]

    assert [each.at_once for each in plans] == [1] * 8
    assert [each.delay_s / GROUP_DELAY_S for each in plans] == [0, 0, 0, 1, 1, 1, 2, 2]
