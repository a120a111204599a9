"""The service on the bus, called by gateways only."""

from __future__ import annotations

from msgspec import Struct
from nameko.extensions import DependencyProvider

from services.snapshots.wiring import Snapshots
from shared.contracts.bounds import Count, Word
from shared.contracts.codec import from_wire, to_wire
from shared.contracts.policies import Policy
from shared.contracts.policy_api import SERVICE, RunQuery
from shared.platform.bus.central_rpc import central_rpc
from shared.platform.bus.checked_rpc import Correlation


class _Revision(Struct, frozen=True):
    policy_id: Word
    revision: Count


class SnapshotsProvider(DependencyProvider):  # type: ignore[misc]
    """Provides the service's parts; they live as long as the service."""

    def __init__(self, snapshots: Snapshots) -> None:
        self._snapshots = snapshots

    def start(self) -> None:
        """Compete for the lease."""
        self._snapshots.leadership.start()

    def stop(self) -> None:
        """Stop, and let another copy lead."""
        self._snapshots.leadership.stop()
        self._snapshots.database.close()

    def get_dependency(self, worker_ctx: object) -> Snapshots:
        """Return the parts; all calls share them."""
        return self._snapshots


class SnapshotsService:
    """Implements `shared.contracts.policy_api.SnapshotsClient`, which documents the calls."""

    name = SERVICE
    correlation = Correlation()
    snapshots: Snapshots  # by SnapshotsProvider

    @central_rpc
    def create(self, policy: object) -> object:
        """Create a policy."""
        return to_wire(self.snapshots.policies.create(from_wire(Policy, policy)))

    @central_rpc
    def update(self, policy: object) -> object:
        """Replace a policy."""
        return to_wire(self.snapshots.policies.update(from_wire(Policy, policy)))

    @central_rpc
    def delete(self, policy_id: object, revision: object) -> None:
        """Delete a policy."""
        given = from_wire(_Revision, {"policy_id": policy_id, "revision": revision})
        self.snapshots.policies.delete(given.policy_id, given.revision)

    @central_rpc
    def policies(self) -> object:
        """List all policies."""
        return to_wire(self.snapshots.policies.policies())

    @central_rpc
    def runs(self, query: object) -> object:
        """List runs of policies."""
        return to_wire(self.snapshots.runs(from_wire(RunQuery, query)))

    @central_rpc
    def plans(self) -> object:
        """List the hosts' plans."""
        return to_wire(self.snapshots.plans())


def service_for(snapshots: Snapshots) -> type[SnapshotsService]:
    """Return the service, as nameko expects it; its database is migrated."""
    members = {"snapshots": SnapshotsProvider(snapshots)}
    return type("Snapshots", (SnapshotsService,), members)
