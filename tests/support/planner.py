"""A planner of the snapshots service, its store and hosts in memory, with a clock of the test's."""

from __future__ import annotations

from services.snapshots.plans.delivery import Carried
from services.snapshots.plans.planner import PlanLimits, Planner
from shared.contracts.errors import BrokerUnavailable, DatabaseUnavailable
from shared.contracts.policies import Plan, Policy


class Versions:
    """Policies and versions in memory."""

    def __init__(self) -> None:
        self.changes = 0
        self.listed: list[Policy] = []
        self.last = 0
        self.issued: list[dict[str, int]] = []
        self.fails = False
        # The newest version and digest of each host.
        self.stored: dict[str, tuple[int, str]] = {}

    def change(self, *policies: Policy) -> None:
        self.listed, self.changes = list(policies), self.changes + 1

    def generation(self) -> int:
        return self.changes

    def policies(self) -> tuple[int, list[Policy]]:
        return self.changes, list(self.listed)

    def issue(self, digests: dict[str, str], above: dict[str, int], least: int) -> dict[str, int]:
        if self.fails:
            raise DatabaseUnavailable
        first = max(self.last + 1, least)
        self.last = first + len(digests) - 1
        versions = {
            host: max(first + place, above.get(host, 0) + 1) for place, host in enumerate(digests)
        }
        self.issued.append(versions)
        self.stored |= {host: (version, digests[host]) for host, version in versions.items()}
        return versions


class PlannerBench:
    """A planner; `now` is its clock, `hosts` are known, those in `absent` have no worker."""

    def __init__(self, *hosts: str, store: Versions | None = None) -> None:
        self.store = store or Versions()
        self.hosts = list(hosts)
        self.now = 100.0
        self.sent: list[Plan] = []
        self.absent: set[str] = set()
        self.broker_away = False
        self.planner = Planner(
            self.store,
            PlanLimits(at_once=4, fleet_at_once=8),
            lambda: self.hosts,
            self._send,
            lambda: None,
            lambda: self.now,
        )

    def _send(self, plan: Plan) -> bool:
        if self.broker_away:
            raise BrokerUnavailable
        if plan.host in self.absent:
            return False
        self.sent.append(plan)
        return True

    def run(self, seconds: float) -> None:
        """Let time pass, and the planner do what is due each second."""
        end = self.now + seconds
        while self.now < end:
            self.now += 1.0
            self.planner.compile_if_due()
            self.planner.send_due()

    def carry(self, *, trusted: bool = True) -> None:
        """Have each host report the last plan that it was sent."""
        for plan in {plan.host: plan for plan in self.sent}.values():
            carried = Carried(plan.plan_version, plan.digest, trusted)
            self.planner.on_report(plan.host, carried, is_back=False)

    def policies_of(self, host: str) -> list[str]:
        """Return the policies in the last plan that the host was sent."""
        last = [plan for plan in self.sent if plan.host == host][-1]
        return [policy.name for policy in last.policies]
