"""The host's instances, as policies see them: without asking LXD wherever that is possible."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from services.lxd_worker.policies.host_plan import HostPlan
from services.lxd_worker.protocols import CachedInstances, Lxd
from shared.contracts.instances import Instance
from shared.contracts.policies import Policy


@dataclass(slots=True)
class HostInstances:
    """Finds instances and the policies that select them. Raises LxdUnavailable."""

    lxd: Lxd
    cached: CachedInstances
    plan: HostPlan
    # An instance that was not read again is selected by the same policies of the same plan.
    _selecting: dict[tuple[str, str], tuple[Instance, tuple[Policy, ...]]] = field(
        default_factory=dict
    )
    _selecting_of: object = None

    def all(self) -> Collection[Instance]:
        """Return all instances as they are now."""
        cached = self.cached()
        return self.lxd.instances() if cached is None else tuple(cached.values())

    def known(self) -> Collection[Instance] | None:
        """Return all instances as they were read last, without asking LXD; None: never."""
        known = self.lxd.cached_instances()
        return None if known is None else tuple(known.values())

    def selected_by(self, policy: Policy) -> list[Instance]:
        """Return the instances that a policy selects now."""
        return [one for one in self.all() if self.plan.selects(policy, one)]

    def is_ambiguous(self, uuid: str) -> bool:
        """Whether several instances have this uuid: then nothing tells whose a record is."""
        return sum(one.uuid == uuid for one in self.all()) > 1

    def find(self, project: str, name: str, uuid: str) -> Instance | None:
        """Return the instance with a uuid: the one of this name, or else whatever it is called."""
        cached = self.cached()
        if cached and (one := cached.get((project, name))) and one.uuid == uuid:
            return one
        same = [one for one in self.all() if (one.project, one.uuid) == (project, uuid)]
        return next((one for one in same if one.name == name), same[0] if same else None)

    def named(self, project: str, name: str) -> Instance | None:
        """Return the instance of a name."""
        same = (one for one in self.all() if (one.project, one.name) == (project, name))
        return next(same, None)

    def with_policies(
        self, instances: Iterable[Instance]
    ) -> list[tuple[Instance, tuple[Policy, ...]]]:
        """Return instances with the policies of the present plan that select them."""
        plan = self.plan.plan
        before = self._selecting if self._selecting_of is plan else {}
        found = {}
        for one in instances:
            known = before.get((one.project, one.name))
            if known is None or known[0] is not one:
                known = (
                    one,
                    tuple(each for each in self.plan.policies if self.plan.selects(each, one)),
                )
            found[one.project, one.name] = known
        self._selecting, self._selecting_of = found, plan
        return list(found.values())
