"""Call the snapshots service: the only module with its method names.

A gateway calls it by nameko's RPC, `snapshots.<method>`; hosts have no right on that exchange.

History:

    1.0  2026-11  create, update, delete, policies, runs, plans
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from msgspec import Meta, Struct

from shared.contracts import errors
from shared.contracts.bounds import Count, Moment, Version, Word
from shared.contracts.codec import from_wire, to_wire
from shared.contracts.policies import MOST_POLICIES, MOST_RUNS, Policy, PolicyRun, RunState

SERVICE = "snapshots"
VERSION = "1.0"
MOST_HOSTS = 10_000

# All errors that the service answers with.
ERRORS: tuple[type[errors.FleetError], ...] = (
    errors.DatabaseUnavailable,
    errors.InvalidInput,
    errors.PolicyChangedSince,
    errors.PolicyExists,
    errors.PolicyNotFound,
    errors.UnreadableMessage,
)

# Calls a method with JSON values and returns its answer. Raises SnapshotsUnavailable (certainly not
# carried out), BrokerUnavailable (certainly not sent), SnapshotsSilent (sent, no answer), or the
# FleetError that the service answered with.
CallSnapshots = Callable[[str, list[object]], Awaitable[object]]


class PolicyList(Struct, frozen=True, kw_only=True):
    """All policies of the fleet, by name."""

    policies: Annotated[list[Policy], Meta(max_length=MOST_POLICIES)]
    version: Version = VERSION


class RunQuery(Struct, frozen=True, kw_only=True):
    """Which runs to list, newest first; an empty field does not restrict.

    `before` is the cursor of the page before.
    """

    policy_id: Word = ""
    host: Word = ""
    uuid: Word = ""
    state: RunState | None = None
    before: Word = ""
    limit: Annotated[int, Meta(ge=1, le=MOST_RUNS)] = 100
    version: Version = VERSION


class HostRun(Struct, frozen=True, kw_only=True):
    """A run, and the host that it was on."""

    host: Word
    run: PolicyRun


class RunPage(Struct, frozen=True, kw_only=True):
    """Runs, newest first; `cursor` is that of the next page, empty at the end."""

    runs: Annotated[list[HostRun], Meta(max_length=MOST_RUNS)]
    cursor: Word = ""
    version: Version = VERSION


class PlanStatus(Struct, frozen=True, kw_only=True):
    """The plan that a host is to have, and the one that it reported last, at `reported_at`.

    `clock_trusted` as in `ProtectionReported`.
    """

    host: Word
    plan_version: Count
    digest: Word
    carried_version: Count = 0
    carried_digest: Word = ""
    clock_trusted: bool = False
    reported_at: Moment = ""


class PlanList(Struct, frozen=True, kw_only=True):
    """The plans of all hosts."""

    plans: Annotated[list[PlanStatus], Meta(max_length=MOST_HOSTS)]
    version: Version = VERSION


class SnapshotsClient:
    """Calls the snapshots service; every method raises what `CallSnapshots` lists."""

    def __init__(self, call: CallSnapshots) -> None:
        self._call = call

    async def create(self, policy: Policy) -> Policy:
        """Create a policy under the id that the caller chose; the same again changes nothing.

        Raises InvalidInput, PolicyExists for its name, DatabaseUnavailable.
        """
        return from_wire(Policy, await self._call("create", [to_wire(policy)]))

    async def update(self, policy: Policy) -> Policy:
        """Replace a policy whose revision is still the given one; return it with the next one.

        Raises InvalidInput, PolicyNotFound, PolicyChangedSince, PolicyExists, DatabaseUnavailable.
        """
        return from_wire(Policy, await self._call("update", [to_wire(policy)]))

    async def delete(self, policy_id: str, revision: int) -> None:
        """Delete a policy; its snapshots stay. A revision of 0 stands for any.

        Raises PolicyNotFound, PolicyChangedSince, DatabaseUnavailable.
        """
        await self._call("delete", [policy_id, revision])

    async def policies(self) -> PolicyList:
        """Return all policies, by name."""
        return from_wire(PolicyList, await self._call("policies", []))

    async def runs(self, query: RunQuery) -> RunPage:
        """Return what was done for slots of policies; raises InvalidInput for a bad cursor."""
        return from_wire(RunPage, await self._call("runs", [to_wire(query)]))

    async def plans(self) -> PlanList:
        """Return which host has which plan."""
        return from_wire(PlanList, await self._call("plans", []))
