"""An operation: one accepted request to change something, from its submission to its outcome.

docs/architecture.md has the states and their order. Whoever holds a copy of an operation merges
each report into it with `merge`; no other code decides which of two copies is right.

History:

    1.0  2026-11  start, stop, restart, freeze, unfreeze, delete
    1.1  2026-11  create, update, rename, snapshot, restore, delete-snapshot, with their arguments
                  Operation: waits_for, needs_restart; Submission: secrets
    1.2  2026-11  every field has a bound
                  Secrets 1.0: sent to a worker after it has accepted. Gateways leave
                  Submission.secrets and NewInstance.cloud_init_digest empty; workers read the
                  former for one more release
    1.3  2026-11  Operation: gone
                  Instance: all options of a proxy device, ephemeral
                  Submission: start_within_s; without it workers read start_by
                  Failure: log
                  password, with the new password in Secrets.root_password
                  Instance, NewInstance, Changes: limits
                  rebuild, revert, with Arguments.image; Instance.trash
    1.4  2026-11  Arguments: pre, post, safety_snapshot, snapshot_created_at
                  NewInstance: copy_of
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct
from msgspec.structs import replace

from shared.contracts.bounds import (
    LONGEST_TEXT,
    MOST_VALUES,
    Count,
    Duration,
    Lines,
    Moment,
    Name,
    Text,
    Version,
    Word,
    clip,
)
from shared.contracts.errors import FleetError
from shared.contracts.instance_config import Changes, GuestCommand, ImageSource, NewInstance
from shared.contracts.instances import DEFAULT_PROJECT, Instance

VERSION = "1.4"
LONGEST_CLOUD_INIT = 64 * 1024
LONGEST_PASSWORD = 128

MOST_SECRETS = 8
Secret = Annotated[str, Meta(max_length=LONGEST_CLOUD_INIT)]
# An error's text consists of its values and a few words.
LONGEST_MESSAGE = 2 * LONGEST_TEXT
Message = Annotated[str, Meta(max_length=LONGEST_MESSAGE)]


class State(StrEnum):
    """The state of an operation."""

    SUBMITTING = "submitting"
    ACCEPTED = "accepted"
    RUNNING = "running"
    CANCELLING = "cancelling"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


FINAL = frozenset({State.DONE, State.FAILED, State.CANCELLED, State.REJECTED, State.UNKNOWN})


class Kind(StrEnum):
    """What an operation does, in LXD's words."""

    START = "start"
    STOP = "stop"
    RESTART = "restart"
    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    DELETE = "delete"
    CREATE = "create"
    UPDATE = "update"
    RENAME = "rename"
    SNAPSHOT = "snapshot"
    RESTORE = "restore"
    DELETE_SNAPSHOT = "delete-snapshot"
    PASSWORD = "password"  # noqa: S105 - what it changes
    REBUILD = "rebuild"
    REVERT = "revert"


class Arguments(Struct, frozen=True, kw_only=True):
    """The arguments of an operation; each kind uses some of them.

    `force`: do not wait for the guest, and for delete: stop it first. `stop_timeout_s` is how long
    a clean stop may take before the instance is stopped by force. `create` and `changes` are for
    create and update. `etag` (see `instances.etag`) makes an update conditional: it is refused if
    the instance has changed since the caller read it. `new_name` and `display_name` are for rename.
    `snapshot` names the snapshot to make, restore or delete; `stateful` includes the memory,
    `description` is the user's. `pre` and `post` are commands that run in the guest before and
    after a snapshot, `safety_snapshot` is the name of one to take before a restore. A snapshot to
    delete that was not made at `snapshot_created_at` is a namesake, and stays; empty: whenever it
    was. `image` is the image of a rebuild. `placement` says why this host was chosen; gateways
    store it, and do not send it to workers.
    """

    force: bool = False
    stop_timeout_s: Duration = 20.0
    create: NewInstance | None = None
    changes: Changes | None = None
    etag: Word = ""
    new_name: Word = ""
    display_name: Word = ""
    snapshot: Word = ""
    stateful: bool = False
    description: Text = ""
    pre: GuestCommand | None = None
    post: GuestCommand | None = None
    safety_snapshot: Word = ""
    snapshot_created_at: Word = ""
    image: ImageSource | None = None
    placement: Text = ""


class Command(Struct, frozen=True, kw_only=True):
    """What to do to which instance, and who requested it.

    It stays the same from the API's endpoint to the worker's journal, and in every record of the
    outcome. `uuid` is the `volatile.uuid` that the caller read: an instance of the same name with
    another uuid is never touched; empty: LXD assigned none. For a create it is the new instance's.
    """

    kind: Kind
    host: Word
    instance: Name
    uuid: Word
    principal: Word
    project: Word = DEFAULT_PROJECT
    arguments: Arguments = Arguments()
    correlation_id: Word = ""


def command_fields(record: Command) -> dict[str, Any]:
    """Return the fields that a submission or an operation has from its command, by name."""
    return {name: getattr(record, name) for name in Command.__struct_fields__}


class Submission(Command, frozen=True, kw_only=True):
    """A command as a gateway sends it to a worker.

    `host` must be the worker's own. `start_within_s` is how long after its arrival the worker may
    begin it, by the worker's clock. `start_by` is the same limit as a Unix time in seconds by the
    gateway's clock, as text; it is used only if the former is missing, from an earlier release.
    `timeout_s` limits the work itself, by the worker's monotonic clock. Gateways of an earlier
    release sent `secrets` before they knew whether the host would accept; see `Secrets`.
    """

    operation_id: Word
    start_by: Word
    timeout_s: Duration = 600.0
    secrets: Annotated[dict[Word, Secret], Meta(max_length=MOST_SECRETS)] = {}
    start_within_s: Duration | None = None
    version: Version = VERSION


class Secrets(Struct, frozen=True, kw_only=True):
    """The arguments of a create or password that no journal, database, event or log may contain.

    They are sent only to the host that has accepted the operation.
    """

    cloud_init: Annotated[str, Meta(max_length=LONGEST_CLOUD_INIT)] = ""
    root_password: Annotated[str, Meta(max_length=LONGEST_PASSWORD)] = ""
    version: Version = "1.0"

    def __repr__(self) -> str:
        return "Secrets(...)"

    def non_empty(self) -> dict[str, str]:
        """Return those that are not empty, by name."""
        secrets = {"cloud_init": self.cloud_init, "root_password": self.root_password}
        return {name: value for name, value in secrets.items() if value}


class Failure(Struct, frozen=True, kw_only=True):
    """Why an operation failed: an error's code and raw values (see `errors.error_from_code`).

    `log` has the last lines of LXD's log of a failed start.
    """

    code: Word
    values: Annotated[list[Text], Meta(max_length=MOST_VALUES)] = []
    message: Message = ""
    log: Lines = ""


def failure_of(error: FleetError) -> Failure:
    """Return an error as an operation's record stores it, with its text cut if it is too long."""
    message = clip(str(error), LONGEST_MESSAGE)
    return Failure(code=error.code, values=list(error.values), message=message)


class Operation(Command, frozen=True, kw_only=True):
    """The complete record of an accepted command, in journals, events and answers.

    `sequence` grows with every change that the worker journals, across all operations of the host;
    0: no worker has journalled it yet. `changed` is False if the instance was already in the
    requested state (start of a running one). `after` is the instance when the operation ended
    (None: unknown, or deleted), read in the worker's epoch `after_epoch`. `overdue`: the time-out
    has passed, and LXD could not be stopped. `waits_for` is the creation of the same instance after
    which the operation begins. `needs_restart` are the fields of an update that take effect at the
    next start. `gone`: the instance no longer exists; LXD deletes an ephemeral one that stops.
    Times are RFC 3339 with `Z`, empty until then.
    """

    operation_id: Word
    state: State
    sequence: Count = 0
    progress: Count | None = None
    step: Word = ""
    changed: bool = True
    failure: Failure | None = None
    after: Instance | None = None
    after_epoch: Count = 0
    overdue: bool = False
    created_at: Moment = ""
    accepted_at: Moment = ""
    started_at: Moment = ""
    finished_at: Moment = ""
    parent_id: Word = ""
    waits_for: Word = ""
    needs_restart: Annotated[tuple[Word, ...], Meta(max_length=MOST_VALUES)] = ()
    gone: bool = False
    version: Version = VERSION

    @property
    def final(self) -> bool:
        """Whether the operation has ended."""
        return self.state in FINAL


def merge(record: Operation, report: Operation) -> Operation:
    """Merge a report into the record of an operation, and return the result.

    A final state stays. Otherwise the higher sequence wins, as reports arrive late and out of
    order. A report changes only the progress and outcome of an operation, never what was requested,
    by whom and when.
    """
    if record.final or report.sequence < record.sequence:
        return record
    command = {**command_fields(record), "instance": _name_now(record, report)}
    return replace(
        report,
        **command,
        created_at=record.created_at or report.created_at,
        parent_id=record.parent_id,
    )


def is_gone(operation: Operation) -> bool:
    """Return whether the operation has removed the instance.

    Workers of earlier releases report `gone` for no deletion, only its state.
    """
    removes = operation.kind is Kind.DELETE or operation.gone
    return removes and operation.state is State.DONE


def _name_now(record: Operation, report: Operation) -> str:
    is_renamed = record.kind is Kind.RENAME and report.instance == record.arguments.new_name
    return report.instance if is_renamed else record.instance


def is_answer_to(submission: Submission, operation: Operation) -> bool:
    """Return whether a worker's record of an operation belongs to this submission."""
    names = {submission.instance}
    if submission.kind is Kind.RENAME:
        names.add(submission.arguments.new_name)
    fields = ("operation_id", "host", "kind", "project", "uuid")
    return operation.instance in names and all(
        getattr(submission, name) == getattr(operation, name) for name in fields
    )
