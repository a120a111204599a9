"""Call a worker's RPC API: the only module with its method names.

History (major.minor; a minor change is compatible, a major one is served side by side for a
release):

    1.0  2026-11  submit, resolve, cancel, operations_since, publish_inventory
    1.1  2026-11  snapshots, open_console; SnapshotList: every field has a bound
    1.2  2026-11  OperationPage: every field has a bound
                  prepare, deliver_secrets; gateways of this release submit no secrets
    1.3  2026-11  instance_log
                  prepare accepts password
                  submit accepts rebuild and revert; OperationPage: see operations
    1.4  2026-11  set_plan, run_policy, simulate_policy, mark_snapshot, policy_runs_since
                  Snapshot: policy, protected, tags
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

from msgspec import Meta, Struct

from shared.contracts import errors
from shared.contracts.bounds import Count, Moment, Version, Word
from shared.contracts.codec import from_wire, to_wire
from shared.contracts.consoles import OpenConsole
from shared.contracts.errors import UnreadableMessage
from shared.contracts.operations import VERSION, Operation, Secrets, Submission, is_answer_to
from shared.contracts.policies import (
    Choices,
    Plan,
    PolicyRunPage,
    RunRequest,
    RunsStarted,
    Simulation,
    SimulationRequest,
    SnapshotMark,
)

SERVICE = "lxd_worker"
MOST_SNAPSHOTS = 10_000
# Characters of a log.
MOST_LOG = 64 * 1024
# Of one page.
MOST_OPERATIONS = 1000

# All errors that a worker answers with. A caller would mistake others for its own.
ERRORS: tuple[type[errors.FleetError], ...] = (
    errors.ConsoleInUse,
    errors.HostBusy,
    errors.ImageNotFound,
    errors.InstanceChangedSince,
    errors.InstanceExists,
    errors.InstanceNotFound,
    errors.InstanceNotFrozen,
    errors.InstanceNotRunning,
    errors.InstanceReplaced,
    errors.InstanceRunning,
    errors.InsufficientResources,
    errors.InvalidInput,
    errors.LogNotFound,
    errors.LxdBusy,
    errors.LxdRefused,
    errors.LxdUnavailable,
    errors.OperationExpired,
    errors.OperationInProgress,
    errors.OperationNotCancellable,
    errors.OperationNotFound,
    errors.OperationRefused,
    errors.PasswordNotSet,
    errors.PolicyNotFound,
    errors.PortInUse,
    errors.SnapshotExists,
    errors.SnapshotNotFound,
    errors.StreamLost,
    errors.TooManyConsoles,
    errors.TrashNotFound,
    errors.UnreadableMessage,
)

# All errors with which an operation can fail at a worker.
OUTCOMES: frozenset[type[errors.FleetError]] = frozenset(
    {
        *ERRORS,
        errors.Cancelled,
        errors.CommandFailed,
        errors.NoEffect,
        errors.OutcomeUnknown,
        errors.SecretsNotReceived,
        errors.StepInterrupted,
        errors.StepTimedOut,
    }
)

# Calls a method of a host's worker with JSON values and returns its answer for `from_wire`, None
# for `null`. Raises HostUnreachable (certainly not delivered), BrokerUnavailable (certainly not
# sent), OutcomeUnknown (sent, no answer), or the FleetError that the worker answered with.
Call = Callable[[str, str, list[object]], Awaitable[object]]


class OperationPage(Struct, frozen=True, kw_only=True):
    """Operations in the order of their sequence; `more`: the limit cut the page.

    Its version is that of the records.
    """

    operations: Annotated[list[Operation], Meta(max_length=MOST_OPERATIONS)]
    more: bool = False
    version: Version = VERSION


class Snapshot(Struct, frozen=True, kw_only=True):
    """A snapshot of an instance; `size` in bytes, None if the storage does not report it.

    Times are RFC 3339 with `Z`; `expires_at` is empty if it never expires. `policy` is the name of
    the policy that took it; `protected` and `tags` as in `SnapshotMark`.
    """

    name: Word
    created_at: Moment
    stateful: bool = False
    size: Count | None = None
    expires_at: Moment = ""
    policy: Word = ""
    protected: bool = False
    tags: Choices = ()


class SnapshotList(Struct, frozen=True, kw_only=True):
    """All snapshots of one instance, oldest first."""

    snapshots: Annotated[list[Snapshot], Meta(max_length=MOST_SNAPSHOTS)]
    version: Version = "1.4"


class InstanceLog(Struct, frozen=True, kw_only=True):
    """LXD's log of the last start of an instance; `truncated`: its end only."""

    text: Annotated[str, Meta(max_length=MOST_LOG)]
    truncated: bool = False
    version: Version = "1.3"


class WorkerClient:
    """Calls the workers of hosts.

    An answer about another operation, or another host's, raises UnreadableMessage.
    """

    def __init__(self, call: Call) -> None:
        self._call = call

    async def submit(self, submission: Submission) -> Operation:
        """Submit an operation; return it as journalled.

        A repeated id is answered from the journal. Raises OperationInProgress, InstanceNotFound,
        InstanceReplaced, OperationRefused, OperationExpired, HostBusy, LxdUnavailable,
        InvalidInput, and if a new instance or a change is impossible: InstanceExists,
        ImageNotFound, InsufficientResources, PortInUse, InstanceChangedSince, SnapshotNotFound,
        SnapshotExists, TrashNotFound. All of them mean that nothing was started.
        """
        return await self._submit("submit", submission)

    async def prepare(self, submission: Submission) -> Operation:
        """Submit a create or password that begins once its secrets arrive; else as `submit`.

        A host that refuses it never receives them. Raises WorkerOutdated too, and for a password
        InstanceNotRunning and PasswordNotSet.
        """
        return await self._submit("prepare", submission)

    async def deliver_secrets(self, host: str, operation_id: str, secrets: Secrets) -> Operation:
        """Send a prepared operation its secrets; return its current record.

        It has begun, has ended already, or ends because the secrets are unusable. Only the first
        secrets count. Raises OperationNotFound.
        """
        answer = await self._call(host, "deliver_secrets", [operation_id, to_wire(secrets)])
        return _about(host, operation_id, answer)

    async def resolve(self, host: str, operation_id: str) -> Operation | None:
        """Return the journal's entry, or None: it never arrived, and a tombstone now refuses it."""
        answer = await self._call(host, "resolve", [operation_id])
        return None if answer is None else _about(host, operation_id, answer)

    async def cancel(self, host: str, operation_id: str) -> Operation:
        """Request an operation's cancellation; return its current record.

        Raises OperationNotFound and OperationNotCancellable.
        """
        answer = await self._call(host, "cancel", [operation_id])
        return _about(host, operation_id, answer)

    async def operations_since(self, host: str, sequence: int, limit: int = 500) -> OperationPage:
        """Return the operations that changed after a journal sequence, oldest change first."""
        answer = await self._call(host, "operations_since", [sequence, limit])
        return from_wire(OperationPage, answer)

    async def snapshots(self, host: str, project: str, name: str, uuid: str) -> SnapshotList:
        """Return the snapshots of the instance with this uuid.

        Raises InstanceNotFound, InstanceReplaced, LxdUnavailable.
        """
        return from_wire(SnapshotList, await self._call(host, "snapshots", [project, name, uuid]))

    async def instance_log(self, host: str, project: str, name: str, uuid: str) -> InstanceLog:
        """Return LXD's log of the last start of the instance with this uuid.

        Raises InstanceNotFound, InstanceReplaced, LogNotFound, LxdUnavailable, WorkerOutdated.
        """
        answer = await self._call(host, "instance_log", [project, name, uuid])
        return from_wire(InstanceLog, answer)

    async def open_console(self, host: str, request: OpenConsole) -> None:
        """Open a console at the host's end of a stream to which the caller listens already.

        Once this returns, it receives input. Raises InstanceNotFound, InstanceReplaced,
        InstanceNotRunning, TooManyConsoles, ConsoleInUse, LxdRefused, LxdUnavailable. After
        OutcomeUnknown it may be open; it closes once nobody listens.
        """
        await self._call(host, "open_console", [to_wire(request)])

    async def set_plan(self, plan: Plan) -> None:
        """Give a host its plan of snapshot policies, or confirm its clock with the present one.

        An older version than the host has changes nothing. Raises InvalidInput for another host's
        plan, a policy that cannot be carried out, and a version that the host has with another
        digest; DatabaseUnavailable, WorkerOutdated.
        """
        await self._call(plan.host, "set_plan", [to_wire(plan)])

    async def run_policy(self, host: str, request: RunRequest) -> RunsStarted:
        """Run a policy now; return once the host has recorded what it will do.

        Raises PolicyNotFound if it is not in the host's plan, InstanceNotFound, LxdUnavailable,
        DatabaseUnavailable, WorkerOutdated.
        """
        return from_wire(RunsStarted, await self._call(host, "run_policy", [to_wire(request)]))

    async def simulate_policy(self, host: str, request: SimulationRequest) -> Simulation:
        """Return what a policy would do on a host.

        Raises InvalidInput, InstanceNotFound, LxdUnavailable, DatabaseUnavailable, WorkerOutdated.
        """
        answer = await self._call(host, "simulate_policy", [to_wire(request)])
        return from_wire(Simulation, answer)

    async def mark_snapshot(self, host: str, mark: SnapshotMark) -> None:
        """Protect a snapshot from all policies, or tag it; replaces earlier marks.

        Raises InstanceNotFound, InstanceReplaced, SnapshotNotFound, InvalidInput, LxdUnavailable,
        DatabaseUnavailable, WorkerOutdated.
        """
        await self._call(host, "mark_snapshot", [to_wire(mark)])

    async def policy_runs_since(self, host: str, sequence: int, limit: int = 500) -> PolicyRunPage:
        """Return the runs of policies that changed after a sequence, oldest change first."""
        answer = await self._call(host, "policy_runs_since", [sequence, limit])
        return from_wire(PolicyRunPage, answer)

    async def publish_inventory(self, host: str) -> None:
        """Make the worker publish its inventory as an event, in order with its other events."""
        await self._call(host, "publish_inventory", [])

    async def _submit(self, method: str, submission: Submission) -> Operation:
        answer = await self._call(submission.host, method, [to_wire(submission)])
        operation = from_wire(Operation, answer)
        if not is_answer_to(submission, operation):
            raise UnreadableMessage("the answer is about another operation")
        return operation


def _about(host: str, operation_id: str, answer: object) -> Operation:
    operation = from_wire(Operation, answer)
    if (operation.host, operation.operation_id) != (host, operation_id):
        raise UnreadableMessage("the answer is about another operation")
    return operation
