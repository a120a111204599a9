"""The worker on the bus: a service of its own for each host, called by gateways only."""

from __future__ import annotations

from collections.abc import Callable

from nameko.extensions import DependencyProvider

from services.lxd_worker.ports import Journal, Omit
from services.lxd_worker.settings import Settings
from services.lxd_worker.telemetry import WorkerTelemetry
from services.lxd_worker.wiring import Worker, open_journal
from shared.contracts.codec import from_wire, to_wire
from shared.contracts.consoles import OpenConsole
from shared.contracts.operations import Secrets, Submission
from shared.contracts.worker_api import SERVICE
from shared.platform.bus.rpc import Correlation, HostRpcConsumer, host_rpc

OpenJournal = Callable[[Settings, Omit], Journal]


class WorkerProvider(DependencyProvider):  # type: ignore[misc]
    """Builds the worker and lets it live as long as the service."""

    rpc_consumer = HostRpcConsumer()

    def __init__(
        self, settings: Settings, telemetry: WorkerTelemetry, journal: OpenJournal
    ) -> None:
        self._settings = settings
        self._telemetry = telemetry
        self._open_journal = journal

    def setup(self) -> None:
        """Open the journal; nothing goes out yet."""
        journal = self._open_journal(self._settings, self._telemetry.omissions)
        self._worker = Worker(self._settings, journal, self._telemetry, self.rpc_consumer)

    def start(self) -> None:
        """Go on with what is unfinished and begin to report."""
        self._worker.start()

    def stop(self) -> None:
        """End; what is under way is settled at the next start."""
        self._worker.stop()

    def get_dependency(self, worker_ctx: object) -> Worker:
        """Return the worker; all calls share it."""
        return self._worker


class LxdWorker:
    """The methods of `shared.contracts.worker_api.WorkerClient`, where their promises stand."""

    correlation = Correlation()
    worker: Worker  # by WorkerProvider

    @host_rpc
    def submit(self, submission: object) -> object:
        """Take an operation on."""
        return to_wire(self.worker.orders.submit(from_wire(Submission, submission)))

    @host_rpc
    def prepare(self, submission: object) -> object:
        """Take an operation on that begins when its secrets come."""
        return to_wire(self.worker.orders.prepare(from_wire(Submission, submission)))

    @host_rpc
    def deliver_secrets(self, operation_id: str, secrets: object) -> object:
        """Begin an operation that waits for these."""
        given = from_wire(Secrets, secrets).given()
        return to_wire(self.worker.orders.deliver_secrets(operation_id, given))

    @host_rpc
    def resolve(self, operation_id: str) -> object:
        """Say what became of an operation, or that it never will become anything."""
        operation = self.worker.orders.resolve(operation_id)
        return to_wire(operation) if operation else None

    @host_rpc
    def cancel(self, operation_id: str) -> object:
        """Call an operation off."""
        return to_wire(self.worker.orders.cancel(operation_id))

    @host_rpc
    def operations_since(self, sequence: int, limit: int) -> object:
        """List what changed."""
        return to_wire(self.worker.orders.operations_since(sequence, limit))

    @host_rpc
    def open_console(self, request: object) -> None:
        """Let somebody sit down at an instance."""
        self.worker.consoles.open(from_wire(OpenConsole, request))

    @host_rpc
    def snapshots(self, project: str, name: str, uuid: str) -> object:
        """List the snapshots of an instance."""
        return to_wire(self.worker.snapshots(project, name, uuid))

    @host_rpc
    def instance_log(self, project: str, name: str, uuid: str) -> object:
        """Tell what LXD has written about the last start of an instance."""
        return to_wire(self.worker.instance_log(project, name, uuid))

    @host_rpc
    def publish_inventory(self) -> None:
        """Send the inventory, and what there is for new instances, as events soon."""
        self.worker.report_everything()


def service_for(
    settings: Settings, telemetry: WorkerTelemetry, journal: OpenJournal = open_journal
) -> type[LxdWorker]:
    """Return the service of this host, as nameko wants it: a class with a name."""
    members = {
        "name": f"{SERVICE}.{settings.host}",
        "worker": WorkerProvider(settings, telemetry, journal),
    }
    return type("HostLxdWorker", (LxdWorker,), members)
