"""An operation: one accepted request to change something, from its submission to its outcome.

The states and their order are those of docs/architecture.md. Whoever holds an older copy merges a
reported one with `merged`; no other code decides which of two copies is true.

Ledger:

    1.0  2026-11  start, stop, restart, freeze, unfreeze, delete
    1.1  2026-11  create, update, rename, snapshot, restore, delete-snapshot, with their arguments
                  Operation: waits_for, needs_restart; Submission: secrets
    1.2  2026-11  every field has a bound
                  Secrets 1.0: a worker gets them when it has accepted. Gateways leave
                  Submission.secrets and NewInstance.cloud_init_digest empty; workers read the
                  former for one release more
    1.3  2026-11  Operation: gone
                  Instance: all options of a proxy device, ephemeral
                  Submission: start_within_s; workers read start_by where it is not told
                  Failure: log
                  password, whose new password travels as Secrets.root_password
                  Instance, NewInstance, Changes: limits
                  rebuild, revert, with Arguments.image; Instance.trash
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
from shared.contracts.changes import Changes, ImageSource, NewInstance
from shared.contracts.errors import FleetError
from shared.contracts.instances import DEFAULT_PROJECT, Instance

VERSION = "1.3"
LONGEST_CLOUD_INIT = 64 * 1024
LONGEST_PASSWORD = 128

MOST_SECRETS = 8
Secret = Annotated[str, Meta(max_length=LONGEST_CLOUD_INIT)]
# An error's text holds its values, and some words around them.
LONGEST_MESSAGE = 2 * LONGEST_TEXT
Message = Annotated[str, Meta(max_length=LONGEST_MESSAGE)]


class State(StrEnum):
    """Where an operation stands."""

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
    """What an operation does, in LXD's words for it."""

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
    """What a kind may be told. `force`: do not wait for the guest, and for delete: stop it first.

    `stop_timeout_s` is how long a clean stop may take before the instance is stopped by force.

    `create` and `changes` are for the kinds of these names. `etag` (see `instances.etag`) makes an
    update conditional: it is refused when the instance is not as the caller saw it. `new_name` and
    `display_name` are for rename. `snapshot` names the snapshot that is made, restored or deleted;
    `stateful` includes the memory, `description` is the user's. `image` is what a rebuild makes the
    new root of. `placement` says why this host; gateways keep it, and tell no worker.
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
    image: ImageSource | None = None
    placement: Text = ""


class Command(Struct, frozen=True, kw_only=True):
    """What is to be done to which instance, and who asked for it.

    The same from the endpoint of an API to the worker's journal, and in every record of what became
    of it. `uuid` is the `volatile.uuid` that the caller saw: an instance of the same name with
    another one is never touched; empty means that LXD gave it none. For a create it is the one that
    the new instance gets.
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
    """Return the fields of the command in a submission or an operation, by name."""
    return {name: getattr(record, name) for name in Command.__struct_fields__}


class Submission(Command, frozen=True, kw_only=True):
    """A command as a gateway hands it to a worker.

    `host` must be the worker's own. `start_within_s` is how long after its arrival the worker may
    begin it, by the worker's own clock. `start_by` says the same as a Unix time in seconds by the
    gateway's clock, as text; it counts only where the former is missing, from an earlier release.
    `timeout_s` bounds the work itself, by the worker's monotonic clock. `secrets` is what gateways
    of an earlier release sent before they knew whether the host accepts; see `Secrets`.
    """

    operation_id: Word
    start_by: Word
    timeout_s: Duration = 600.0
    secrets: Annotated[dict[Word, Secret], Meta(max_length=MOST_SECRETS)] = {}
    start_within_s: Duration | None = None
    version: Version = VERSION


class Secrets(Struct, frozen=True, kw_only=True):
    """The arguments of a create or password that no journal, database, event or log may hold.

    They are sent to the host that has accepted the operation, and to no other.
    """

    cloud_init: Annotated[str, Meta(max_length=LONGEST_CLOUD_INIT)] = ""
    root_password: Annotated[str, Meta(max_length=LONGEST_PASSWORD)] = ""
    version: Version = "1.0"

    def __repr__(self) -> str:
        return "Secrets(...)"

    def given(self) -> dict[str, str]:
        """Return those that there are, by name."""
        named = {"cloud_init": self.cloud_init, "root_password": self.root_password}
        return {name: value for name, value in named.items() if value}


class Failure(Struct, frozen=True, kw_only=True):
    """Why an operation did not succeed: an error's code and raw values (see `errors.rebuilt`).

    `log` are the last lines that LXD wrote about a start that failed.
    """

    code: Word
    values: Annotated[list[Text], Meta(max_length=MOST_VALUES)] = []
    message: Message = ""
    log: Lines = ""


def failure_of(error: FleetError) -> Failure:
    """Return an error as the record of an operation carries it, however long its text is."""
    message = clip(str(error), LONGEST_MESSAGE)
    return Failure(code=error.code, values=list(error.values), message=message)


class Operation(Command, frozen=True, kw_only=True):
    """The whole record of a command that was accepted, as journal, event and answer carry it.

    `sequence` grows with every change the worker journals, over all operations of the host; 0 means
    that no worker has seen it yet. `changed` is False when the instance already was as asked (start
    of a running one). `after` is the instance as it stood when the operation ended (None: unknown,
    or deleted), read in the worker's epoch `after_epoch`. `overdue`: the time-out has passed and
    LXD could not be made to stop. `waits_for` is the creation of the same instance that the
    operation begins after. `needs_restart` are the fields of an update that count from the next
    start. `gone`: the instance is there no more; LXD deletes an ephemeral one that stops. Times are
    RFC 3339 with `Z`, empty until they happen.
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


def merged(known: Operation, reported: Operation) -> Operation:
    """Return what is true of a host's operation of which two copies are known.

    A final state stays. Otherwise the higher sequence wins; copies arrive late and out of order.
    Only what becomes of an operation is taken from a report: what was asked for, of what, by whom
    and when stays as it was known first.
    """
    if known.final or reported.sequence < known.sequence:
        return known
    command = {**command_fields(known), "instance": _name_now(known, reported)}
    return replace(
        reported,
        **command,
        created_at=known.created_at or reported.created_at,
        parent_id=known.parent_id,
    )


def is_gone(operation: Operation) -> bool:
    """Whether the operation has ended the instance itself; workers of earlier releases say so of a
    deletion only by its state.
    """
    deleted = operation.kind is Kind.DELETE or operation.gone
    return deleted and operation.state is State.DONE


def _name_now(known: Operation, reported: Operation) -> str:
    renamed = known.kind is Kind.RENAME and reported.instance == known.arguments.new_name
    return reported.instance if renamed else known.instance


def is_answer_to(submission: Submission, operation: Operation) -> bool:
    """Whether a worker's record of an operation is that of what was submitted."""
    names = {submission.instance}
    if submission.kind is Kind.RENAME:
        names.add(submission.arguments.new_name)
    same = ("operation_id", "host", "kind", "project", "uuid")
    return operation.instance in names and all(
        getattr(submission, name) == getattr(operation, name) for name in same
    )
