"""The worker on the bus: one service for each host, called by gateways only."""

from __future__ import annotations

from collections.abc import Callable

from nameko.extensions import DependencyProvider

from services.lxd_worker.instance_queries import read_log
from services.lxd_worker.journal.store import SqlJournal
from services.lxd_worker.omissions import Omit
from services.lxd_worker.settings import Settings
from services.lxd_worker.telemetry import WorkerTelemetry
from services.lxd_worker.wiring import build_worker, open_journal
from services.lxd_worker.worker import Worker
from shared.contracts.codec import from_wire, to_wire
from shared.contracts.consoles import OpenConsole
from shared.contracts.operations import Secrets, Submission
from shared.contracts.policies import Plan, RunRequest, SimulationRequest, SnapshotMark
from shared.contracts.worker_api import SERVICE
from shared.platform.bus.rpc import Correlation, HostRpcConsumer, host_rpc

OpenJournal = Callable[[Settings, Omit], SqlJournal]


class WorkerProvider(DependencyProvider):  # type: ignore[misc]
    """Builds the worker; it lives as long as the service."""

    rpc_consumer = HostRpcConsumer()

    def __init__(
        self, settings: Settings, telemetry: WorkerTelemetry, journal: OpenJournal
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._open_journal = journal

    def setup(self) -> None:
        """Open the journal; nothing is sent yet."""
        journal = self._open_journal(self._settings, self._telemetry.omissions)
        self._worker = build_worker(self._settings, journal, self._telemetry, self.rpc_consumer)

    def start(self) -> None:
        """Go on with what is unfinished, and begin to report."""
        self._worker.start()

    def stop(self) -> None:
        """Stop; what is under way is settled at the next start."""
        self._worker.stop()

    def get_dependency(self, worker_ctx: object) -> Worker:
        """Return the worker; all calls share it."""
        return self._worker


class HostWorker:
    """Implements `shared.contracts.worker_api.WorkerClient`, which documents the calls."""

    correlation = Correlation()
    worker: Worker  # by WorkerProvider

    @host_rpc
    def submit(self, submission: object) -> object:
        """Accept a command."""
        return to_wire(self.worker.operations.submit(from_wire(Submission, submission)))

    @host_rpc
    def prepare(self, submission: object) -> object:
        """Accept a command that begins when its secrets come."""
        return to_wire(self.worker.operations.prepare(from_wire(Submission, submission)))

    @host_rpc
    def deliver_secrets(self, operation_id: str, secrets: object) -> object:
        """Begin an operation that waits for its secrets."""
        given = from_wire(Secrets, secrets).non_empty()
        return to_wire(self.worker.operations.deliver_secrets(operation_id, given))

    @host_rpc
    def resolve(self, operation_id: str) -> object:
        """Return what became of an operation, or None: nothing ever will."""
        operation = self.worker.operations.resolve(operation_id)
        return to_wire(operation) if operation else None

    @host_rpc
    def cancel(self, operation_id: str) -> object:
        """Cancel an operation."""
        return to_wire(self.worker.operations.cancel(operation_id))

    @host_rpc
    def operations_since(self, sequence: int, limit: int) -> object:
        """List the operations that changed."""
        return to_wire(self.worker.operations.operations_since(sequence, limit))

    @host_rpc
    def open_console(self, request: object) -> None:
        """Open a console of an instance."""
        self.worker.consoles.open(from_wire(OpenConsole, request))

    @host_rpc
    def snapshots(self, project: str, name: str, uuid: str) -> object:
        """List the snapshots of an instance."""
        return to_wire(self.worker.policies.snapshots(project, name, uuid))

    @host_rpc
    def instance_log(self, project: str, name: str, uuid: str) -> object:
        """Return LXD's log of the last start of an instance."""
        return to_wire(read_log(self.worker.context.lxd, project, name, uuid))

    @host_rpc
    def set_plan(self, plan: object) -> None:
        """Take this host's plan of snapshot policies."""
        self.worker.policies.set_plan(from_wire(Plan, plan))

    @host_rpc
    def run_policy(self, request: object) -> object:
        """Run a policy now."""
        return to_wire(self.worker.policies.run_policy(from_wire(RunRequest, request)))

    @host_rpc
    def simulate_policy(self, request: object) -> object:
        """Return what a policy would do."""
        return to_wire(self.worker.policies.simulate_policy(from_wire(SimulationRequest, request)))

    @host_rpc
    def mark_snapshot(self, mark: object) -> None:
        """Protect a snapshot from policies, or tag it."""
        self.worker.policies.mark_snapshot(from_wire(SnapshotMark, mark))

    @host_rpc
    def policy_runs_since(self, sequence: int, limit: int) -> object:
        """List the runs of policies that changed."""
        return to_wire(self.worker.policies.policy_runs_since(sequence, limit))

    @host_rpc
    def publish_inventory(self) -> None:
        """Have the inventory, and what there is for new instances, sent as events soon."""
        self.worker.reporting.request_everything()


def service_for(
    settings: Settings, telemetry: WorkerTelemetry, journal: OpenJournal = open_journal
) -> type[HostWorker]:
    """Return the service of this host, as nameko expects it: a class with a name."""
    members = {
        "name": f"{SERVICE}.{settings.host}",
        "worker": WorkerProvider(settings, telemetry, journal),
    }
    return type("HostLxdWorker", (HostWorker,), members)
