"""The plan of a host, compiled from the policies of the fleet.

Hosts act alone, so a limit over the fleet is divided beforehand: each host gets its share of it, at
least one. Where there are more hosts than the limit, they come in groups of that many, each group
`GROUP_DELAY_S` later than the one before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from msgspec import Struct, json, structs

from shared.contracts.bounds import A_DAY_S
from shared.contracts.codec import encode
from shared.contracts.policies import Plan, Policy
from shared.policies.selection import may_select_host

GROUP_DELAY_S = 60.0
DEFAULT_AT_ONCE = 4
DEFAULT_FLEET_AT_ONCE = 64
# Of all enabled policies together, as they are in a plan. A worker takes no call above 1 MiB, and
# answers none: the rest is for what else is in the call.
MOST_PLAN_BYTES = 960 * 1024

_encoder = json.Encoder(order="deterministic")


def plan_for(
    host: str,
    policies: Sequence[Policy],
    hosts: Sequence[str],
    at_once: int,
    fleet_at_once: int,
    plan_version: int,
    clock: str,
) -> Plan:
    """Return the plan of one of the hosts: the enabled policies that may select its instances.

    Their descriptions are left out, as a host has no use for them.

    `at_once` is the most for one host, `fleet_at_once` the most for all hosts together; `clock` is
    the sender's Unix time.
    """
    given = tuple(
        sorted(
            (
                _planned(each)
                for each in policies
                if each.enabled and may_select_host(each.selection, host)
            ),
            key=lambda each: each.id,
        )
    )
    share = max(1, min(at_once, fleet_at_once // max(1, len(hosts))))
    delay = group_delay_s(host, hosts, fleet_at_once)
    return Plan(
        host=host,
        plan_version=plan_version,
        digest=digest(given, share, delay),
        clock=clock,
        policies=given,
        at_once=share,
        delay_s=delay,
    )


def size_in_plan(policy: Policy) -> int:
    """Return how many bytes a policy takes in a plan at most."""
    separator = 1
    return len(encode(_planned(policy))) + separator


def digest(policies: Sequence[Policy], at_once: int, delay: float) -> str:
    """Return the SHA-256 of what a plan makes its host do, in hexadecimal digits.

    Fields with their defaults are left out, and so is the message's version: a host that does not
    know a field yet gets the same digest as long as nobody uses it.
    """
    parts = [_without_defaults(policy) for policy in policies], at_once, delay
    return hashlib.sha256(_encoder.encode(parts)).hexdigest()


def _without_defaults(value: Struct) -> dict[str, object]:
    found: dict[str, object] = {}
    for field in structs.fields(value):
        its = getattr(value, field.name)
        if its != field.default and field.name != "version":
            found[field.name] = _without_defaults(its) if isinstance(its, Struct) else its
    return found


def _planned(policy: Policy) -> Policy:
    return structs.replace(policy, description="") if policy.description else policy


def group_delay_s(host: str, hosts: Sequence[str], fleet_at_once: int) -> float:
    """Return how long after a slot the host's group begins; a host that is not listed is first."""
    earlier = sum(each < host for each in set(hosts)) if host in hosts else 0
    return min(float(A_DAY_S), (earlier // max(1, fleet_at_once)) * GROUP_DELAY_S)
