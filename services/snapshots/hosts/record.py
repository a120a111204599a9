"""What is known of a host."""

from __future__ import annotations

from dataclasses import dataclass

from services.snapshots.plans.delivery import Carried
from shared.contracts.policy_api import PlanStatus


@dataclass(slots=True)
class HostRecord:
    """A host: its exchange, its plan, the plan that it reports, and how far its runs are stored.

    `last_seen` is Unix time, `reported_at` RFC 3339, both by our clock. `runs_sequence`: all
    changes of its runs up to this one are stored.
    """

    host: str
    exchange: str
    last_seen: float
    plan_version: int = 0
    digest: str = ""
    carried_version: int = 0
    carried_digest: str = ""
    clock_trusted: bool = False
    reported_at: str = ""
    runs_sequence: int = 0

    @property
    def values(self) -> dict[str, object]:
        """All values by name."""
        return {name: getattr(self, name) for name in self.__slots__}

    @property
    def carried(self) -> Carried:
        """The plan that it reports."""
        return Carried(self.carried_version, self.carried_digest, self.clock_trusted)

    @property
    def status(self) -> PlanStatus:
        """What callers see of it."""
        return PlanStatus(**{name: getattr(self, name) for name in PlanStatus.__struct_fields__})
