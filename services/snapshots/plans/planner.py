"""Compiles the policies into a plan for each host, gives plans their versions, and sends them.

Only the copy with the lease does so. A plan's version is stored before it is sent; what a plan
contains follows from the policies, so that it is made again whenever it is sent.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Protocol

from msgspec.structs import replace

from services.snapshots.plans.delivery import Carried, Delivery
from shared.contracts.bounds import MOST
from shared.contracts.policies import Plan, Policy
from shared.policies.plan import plan_for

log = logging.getLogger(__name__)

# Plans that are sent before others are let run.
SENT_AT_ONCE = 50
# New hosts change the plans of all others, so several are waited for.
SETTLE_S, MOST_SETTLE_S = 3.0, 10.0


@dataclass(frozen=True, slots=True)
class PlanLimits:
    """How many snapshots are taken at the same time: on a host, and in the fleet."""

    at_once: int
    fleet_at_once: int


class VersionStore(Protocol):
    """What the planner needs of `SqlPlans`, see there; raises DatabaseUnavailable, LeaseLost."""

    def generation(self) -> int:
        """Return how often policies were changed; 0: never."""

    def policies(self) -> tuple[int, list[Policy]]:
        """Return all policies, and how often policies were changed before."""

    def issue(self, digests: dict[str, str], above: dict[str, int], least: int) -> dict[str, int]:
        """Store new plans, by their digests; return their versions."""


# Sends a plan; returns whether a worker took it. Raises BrokerUnavailable.
SendPlan = Callable[[Plan], bool]


class Planner:
    """The plans of all hosts; `hosts` returns the known ones, sorted.

    `rest` lets other greenthreads run; `clock` is monotonic.
    """

    def __init__(
        self,
        store: VersionStore,
        limits: PlanLimits,
        hosts: Callable[[], Collection[str]],
        send: SendPlan,
        rest: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._limits = limits
        self._hosts = hosts
        self._send = send
        self._rest = rest
        self._clock = clock
        self._generation = -1
        self._policies: list[Policy] = []
        # The hosts that the present plans were made for; None: none were.
        self._planned_for: tuple[str, ...] | None = None
        self._hosts_seen: tuple[str, ...] = ()
        self._changed_at = self._unsettled_since = clock()
        self.deliveries: dict[str, Delivery] = {}

    @property
    def pending(self) -> int:
        """How many hosts have not reported the plan that they are to have."""
        return sum(not each.confirmed for each in self.deliveries.values() if each.plan_version)

    @property
    def untrusted(self) -> int:
        """How many hosts do not prune, as they do not trust their clocks."""
        return sum(
            each.confirmed and not each.carried.clock_trusted
            for each in self.deliveries.values()
            if each.plan_version
        )

    @property
    def policies(self) -> int:
        """How many policies there were when plans were made last."""
        return len(self._policies)

    def load(self, host: str, plan_version: int, digest: str, carried: Carried) -> None:
        """Begin with what is stored of a host."""
        self.deliveries[host] = Delivery(plan_version, digest, carried)

    def forget(self, host: str) -> None:
        """Drop a host."""
        self.deliveries.pop(host, None)

    def on_report(self, host: str, carried: Carried, *, is_back: bool) -> None:
        """Record what a host reports of its plan."""
        delivery = self.deliveries.setdefault(host, Delivery())
        delivery.note_report(carried, self._clock(), is_back=is_back)

    def compile_if_due(self) -> None:
        """Make new plans if policies or hosts have changed, or a host has a later plan.

        A database that never had a policy makes no plans: it may be the successor of a lost one,
        and hosts go on with the plans that they have.
        """
        if self._is_due():
            generation, policies = self._store.policies()
            if generation:
                hosts = self._hosts_seen
                self._issue(self._changed_plans(policies, hosts))
                self._planned_for = hosts
            self._generation, self._policies = generation, policies
            self._unsettled_since = self._clock()
        self._reissue()

    def send_due(self) -> int:
        """Send the plans that are due; return how many were. Raises BrokerUnavailable."""
        now, sent = self._clock(), 0
        for host in [name for name, each in self.deliveries.items() if each.is_due(now)]:
            self._send_to(host)
            sent += 1
            if sent % SENT_AT_ONCE == 0:
                self._rest()
        return sent

    def _send_to(self, host: str) -> None:
        delivery = self.deliveries.get(host)
        if delivery is None or self._planned_for is None:
            return
        plan = self._plan(host, self._policies, self._planned_for)
        if plan.digest != delivery.digest:
            return  # A new one is about to be issued.
        reached = self._send(replace(plan, plan_version=delivery.plan_version))
        delivery.note_sent(self._clock(), reached=reached)

    def _is_due(self) -> bool:
        generation, now = self._store.generation(), self._clock()
        if self._generation != generation and self._planned_for is not None:
            return True
        return self._have_hosts_settled(now) and (
            self._generation != generation or self._planned_for != self._hosts_seen
        )

    def _have_hosts_settled(self, now: float) -> bool:
        hosts = tuple(self._hosts())
        if hosts != self._hosts_seen:
            self._hosts_seen, self._changed_at = hosts, now
        if hosts == self._planned_for:
            self._unsettled_since = now
            return True
        settled = now - self._changed_at >= SETTLE_S
        return settled or now - self._unsettled_since >= MOST_SETTLE_S

    def _changed_plans(self, policies: list[Policy], hosts: tuple[str, ...]) -> dict[str, str]:
        """Return the digests of the plans that need a new version, by host."""
        changed = {}
        for host in hosts:
            delivery = self.deliveries.setdefault(host, Delivery())
            digest = self._plan(host, policies, hosts).digest
            if digest != delivery.digest:
                changed[host] = digest
            self._rest()
        return changed

    def _reissue(self) -> None:
        """Give plans that hosts would refuse a version that they take."""
        now = self._clock()
        self._issue(
            {host: each.digest for host, each in self.deliveries.items() if each.needs_version(now)}
        )

    def _issue(self, digests: dict[str, str]) -> None:
        if not digests:
            return
        # A host may report any number, to its own harm only.
        above = {
            host: min(self.deliveries[host].carried.plan_version, MOST - 1) for host in digests
        }
        versions = self._store.issue(digests, above, int(time.time() * 1000))
        now = self._clock()
        for host, version in versions.items():
            self.deliveries[host].issue(version, digests[host], now)
        log.info("plans changed", extra={"hosts": len(versions)})

    def _plan(self, host: str, policies: list[Policy], hosts: tuple[str, ...]) -> Plan:
        limits = self._limits
        clock = f"{time.time():.3f}"
        return plan_for(host, policies, hosts, limits.at_once, limits.fleet_at_once, 0, clock)
