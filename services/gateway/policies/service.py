"""Snapshot policies, kept by the snapshots service and carried out by the hosts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from msgspec.structs import replace

from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import Target
from services.gateway.operations.store import IdempotencyKey
from services.gateway.policies.host_calls import HostAnswer, call_hosts
from services.gateway.policies.matching import matches_any, matching_hosts
from shared.contracts.errors import (
    IdempotencyKeyReused,
    PolicyChangedSince,
    PolicyExists,
    PolicyNotFound,
)
from shared.contracts.policies import (
    Policy,
    RunRequest,
    RunsStarted,
    Selection,
    Simulation,
    SimulationRequest,
)
from shared.contracts.policy_api import PlanList, RunPage, RunQuery, SnapshotsClient
from shared.contracts.worker_api import WorkerClient

# Hosts that one simulation asks.
MOST_SIMULATED_HOSTS = 20


@dataclass(frozen=True, slots=True)
class FleetSimulation:
    """What hosts would do; `left_out` is how many more have selected instances."""

    answers: Sequence[HostAnswer[Simulation]]
    left_out: int = 0


class RunKeys(Protocol):
    """Remembers when requests under Idempotency-Keys were to run policies."""

    async def moment_of(self, key: IdempotencyKey, at: str) -> str:
        """Return the moment of the first request under a key: this one, if it is the first.

        Raises IdempotencyKeyReused if that was another request, and DatabaseUnavailable.
        """


class PolicyService:
    """Reads and changes policies; every method may raise what `SnapshotsClient` lists."""

    def __init__(
        self, fleet: FleetView, client: SnapshotsClient, worker: WorkerClient, keys: RunKeys
    ) -> None:
        self._fleet = fleet
        self._client = client
        self._worker = worker
        self._keys = keys

    async def all(self) -> Sequence[Policy]:
        """Return all policies, by name."""
        return (await self._client.policies()).policies

    async def get(self, policy_id: str) -> Policy:
        """Return a policy; raise PolicyNotFound."""
        found = next((each for each in await self.all() if each.id == policy_id), None)
        if found is None:
            raise PolicyNotFound(policy_id)
        return found

    async def create(self, policy: Policy, key: str = "") -> Policy:
        """Create a policy; raise InvalidInput, PolicyExists for its name.

        With a `key` its id follows from that: the same again returns what the first request made,
        as it is now, and another policy under the same key raises IdempotencyKeyReused.
        """
        try:
            return await self._client.create(policy)
        except PolicyExists:
            first = await self._find(policy.id) if key else None
            if first is None:
                raise
            # One that was changed since says nothing any more of what it was made as.
            if first.revision == policy.revision and first != policy:
                raise IdempotencyKeyReused(key) from None
            return first

    async def replace(self, policy: Policy, revisions: set[str] | None) -> Policy:
        """Replace a policy that has one of these revisions, or any; return it as it is then.

        Raises InvalidInput, PolicyNotFound, PolicyChangedSince, PolicyExists for its name.
        """
        present = await self._present(policy.id, revisions)
        return await self._client.update(replace(policy, revision=present.revision))

    async def delete(self, policy_id: str, revisions: set[str] | None) -> None:
        """Delete a policy that has one of these revisions, or any; its snapshots stay.

        Raises PolicyNotFound, PolicyChangedSince.
        """
        if revisions is None:
            return await self._client.delete(policy_id, 0)
        present = await self._present(policy_id, revisions)
        return await self._client.delete(policy_id, present.revision)

    async def matches_any(self, selection: Selection) -> bool:
        """Whether a selection finds any instance of the fleet at present."""
        return await matches_any(self._fleet, selection)

    async def moment_of(self, key: IdempotencyKey | None, at: str) -> str:
        """Return when a request is to run a policy: with a key, when the first one under it was.

        Raises IdempotencyKeyReused, DatabaseUnavailable.
        """
        return await self._keys.moment_of(key, at) if key else at

    async def run(
        self, policy: Policy, at: str, instance: Target | None, within_s: float
    ) -> Sequence[HostAnswer[RunsStarted]]:
        """Run a policy now, for one instance or for all that it selects; see `RunRequest`."""
        request = RunRequest(policy_id=policy.id, at=at)
        if instance:
            request = replace(request, project=instance.project, name=instance.name)

        async def call(host: str) -> RunsStarted:
            return await self._worker.run_policy(host, request)

        hosts = await self._hosts_of(policy, instance)
        return await call_hosts(self._fleet, hosts, call, within_s=within_s)

    async def simulate(
        self, policy: Policy, days: int, instance: Target | None, limit: int, within_s: float
    ) -> FleetSimulation:
        """Return what a policy would do, for one instance or for the first that it selects.

        `limit` is the most instances in all; hosts have equal shares of it.
        """
        hosts = await self._hosts_of(policy, instance)
        asked = hosts[:MOST_SIMULATED_HOSTS]
        request = SimulationRequest(policy=policy, days=days, limit=-(-limit // (len(asked) or 1)))
        if instance:
            request = replace(request, project=instance.project, name=instance.name)

        async def call(host: str) -> Simulation:
            return await self._worker.simulate_policy(host, request)

        answers = await call_hosts(self._fleet, asked, call, within_s=within_s)
        return FleetSimulation(answers, left_out=len(hosts) - len(asked))

    async def runs(self, query: RunQuery) -> RunPage:
        """Return what was done for slots of policies; raise InvalidInput for a bad cursor."""
        return await self._client.runs(query)

    async def plans(self) -> PlanList:
        """Return which host has which plan."""
        return await self._client.plans()

    async def _hosts_of(self, policy: Policy, instance: Target | None) -> list[str]:
        if instance:
            return [instance.host]
        return [host async for host in matching_hosts(self._fleet, policy.selection)]

    async def _present(self, policy_id: str, revisions: set[str] | None) -> Policy:
        present = await self.get(policy_id)
        if revisions is not None and str(present.revision) not in revisions:
            raise PolicyChangedSince(present.name)
        return present

    async def _find(self, policy_id: str) -> Policy | None:
        return next((each for each in await self.all() if each.id == policy_id), None)
