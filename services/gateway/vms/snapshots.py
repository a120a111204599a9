"""Snapshots with their descriptions, which LXD 5.0 does not support and no restore should change.

A description is part of the operation that takes the snapshot, and is stored in the transaction
that stores the operation's success: a gateway that dies in between loses neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from services.gateway import units
from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import Target
from shared.contracts.operations import Kind, Operation, State
from shared.contracts.policies import SnapshotMark
from shared.contracts.worker_api import Snapshot, WorkerClient

Tags = tuple[str, ...]


class SnapshotNote(NamedTuple):
    """The description of a snapshot; `noted_at` (RFC 3339) is by the host's clock."""

    description: str
    noted_at: str


class SnapshotNotes(Protocol):
    """Reads the notes on snapshots; an OperationStore writes them with the outcomes it merges."""

    async def of(self, host: str, uuid: str) -> Mapping[str, SnapshotNote]:
        """Return the notes on an instance's snapshots, by snapshot name.

        Raises DatabaseUnavailable.
        """


class DescribedSnapshot(NamedTuple):
    """A snapshot with its description, empty for one that was not taken through the gateway."""

    snapshot: Snapshot
    description: str


class SnapshotService:
    """Lists the snapshots of instances, and marks them; operations change them."""

    def __init__(self, fleet: FleetView, worker: WorkerClient, notes: SnapshotNotes) -> None:
        self._fleet = fleet
        self._worker = worker
        self._notes = notes

    async def list(self, target: Target) -> Sequence[DescribedSnapshot]:
        """Return the snapshots that the host lists, oldest first, with their descriptions.

        Raises HostUnreachable, HostIdentityMismatch, LxdUnavailable, BrokerUnavailable,
        OutcomeUnknown, InstanceNotFound, InstanceReplaced, DatabaseUnavailable.
        """
        if refusal := self._fleet.access_error(target.host):
            raise refusal
        answer = await self._worker.snapshots(*target)
        return with_descriptions(answer.snapshots, await self._notes.of(target.host, target.uuid))

    async def mark(self, target: Target, snapshot: str, *, protected: bool, tags: Tags) -> None:
        """Protect a snapshot from all policies, and tag it; replaces earlier marks.

        Raises as `list` does, and SnapshotNotFound, WorkerOutdated.
        """
        if refusal := self._fleet.access_error(target.host):
            raise refusal
        mark = SnapshotMark(
            project=target.project,
            name=target.name,
            uuid=target.uuid,
            snapshot=snapshot,
            protected=protected,
            tags=tags,
        )
        await self._worker.mark_snapshot(target.host, mark)

    async def require_policies(self, host: str) -> None:
        """Raise WorkerOutdated if the host's worker knows no policies, or why it cannot be asked.

        One of an earlier release would leave out of a command what it does not know of.
        """
        if refusal := self._fleet.access_error(host):
            raise refusal
        await self._worker.policy_runs_since(host, 0, limit=1)


def note_of(operation: Operation) -> SnapshotNote | None:
    """Return the note of a finished operation; None: it has none."""
    if operation.kind is not Kind.SNAPSHOT or not _is_done(operation):
        return None
    return SnapshotNote(operation.arguments.description, operation.finished_at)


def deletes_snapshot(operation: Operation) -> bool:
    """Whether the operation has deleted its snapshot."""
    return operation.kind is Kind.DELETE_SNAPSHOT and _is_done(operation)


def deletes_instance(operation: Operation) -> bool:
    """Whether the operation has deleted its instance, with all snapshots."""
    return operation.kind is Kind.DELETE and _is_done(operation)


def with_descriptions(
    snapshots: Iterable[Snapshot], notes: Mapping[str, SnapshotNote]
) -> list[DescribedSnapshot]:
    """Return the snapshots with the descriptions in their notes."""
    return [DescribedSnapshot(each, _description(each, notes.get(each.name))) for each in snapshots]


def _description(snapshot: Snapshot, note: SnapshotNote | None) -> str:
    # A later snapshot of the same name, taken elsewhere, is not the described one.
    if note is None or units.parse_time_or_epoch(snapshot.created_at) > units.parse_time_or_epoch(
        note.noted_at
    ):
        return ""
    return note.description


def _is_done(operation: Operation) -> bool:
    return operation.state is State.DONE
