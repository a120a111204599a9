"""Descriptions of snapshots, which no LXD 5.0 keeps and no restore should change.

A description travels in the operation that makes its snapshot, and is noted in the same transaction
that notes the operation's success: a gateway that dies in between loses neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from services.gateway import units
from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import Target
from shared.contracts.operations import Kind, Operation, State
from shared.contracts.worker_api import Snapshot, WorkerClient


class SnapshotNote(NamedTuple):
    """What is noted of a snapshot; `noted_at` (RFC 3339) is when it was complete, by its host."""

    description: str
    noted_at: str


class SnapshotNotes(Protocol):
    """What is kept of snapshots; an OperationStore writes it with the outcomes that it merges."""

    async def of(self, host: str, uuid: str) -> Mapping[str, SnapshotNote]:
        """Return the notes on an instance's snapshots, by the snapshots' names.

        Raises DatabaseUnavailable.
        """


class DescribedSnapshot(NamedTuple):
    """A snapshot with what its maker said of it, empty for one that was not made through us."""

    snapshot: Snapshot
    description: str


class SnapshotService:
    """The snapshots of instances; they are changed by operations like all else."""

    def __init__(self, fleet: FleetView, worker: WorkerClient, notes: SnapshotNotes) -> None:
        self._fleet = fleet
        self._worker = worker
        self._notes = notes

    async def list(self, target: Target) -> Sequence[DescribedSnapshot]:
        """Return what the instance's host lists, oldest first, with the descriptions kept here.

        Raises HostUnreachable, HostIdentityMismatch, LxdUnavailable, BrokerUnavailable,
        OutcomeUnknown, InstanceNotFound, InstanceReplaced, DatabaseUnavailable.
        """
        if refusal := self._fleet.access_error(target.host):
            raise refusal
        listed = await self._worker.snapshots(*target)
        return with_descriptions(listed.snapshots, await self._notes.of(target.host, target.uuid))


def note_of(operation: Operation) -> SnapshotNote | None:
    """Return what a finished operation says of its snapshot; None: nothing."""
    if operation.kind is not Kind.SNAPSHOT or not _is_done(operation):
        return None
    return SnapshotNote(operation.arguments.description, operation.finished_at)


def deletes_snapshot(operation: Operation) -> bool:
    """Whether the operation's snapshot is gone now."""
    return operation.kind is Kind.DELETE_SNAPSHOT and _is_done(operation)


def deletes_instance(operation: Operation) -> bool:
    """Whether the operation's instance is gone now, with its snapshots."""
    return operation.kind is Kind.DELETE and _is_done(operation)


def with_descriptions(
    snapshots: Iterable[Snapshot], notes: Mapping[str, SnapshotNote]
) -> list[DescribedSnapshot]:
    """Return the snapshots with their descriptions, by the notes on those of the instance."""
    return [DescribedSnapshot(each, _description(each, notes.get(each.name))) for each in snapshots]


def _description(snapshot: Snapshot, note: SnapshotNote | None) -> str:
    # A namesake that somebody made since, past us, is not the one that was described.
    if note is None or units.parse_time_or_epoch(snapshot.created_at) > units.parse_time_or_epoch(
        note.noted_at
    ):
        return ""
    return note.description


def _is_done(operation: Operation) -> bool:
    return operation.state is State.DONE
