"""Errors after which the same request will fail again."""

from __future__ import annotations

from dataclasses import dataclass

from shared.contracts.errors.base import PermanentError


@dataclass(eq=False)
class InvalidInput(PermanentError):
    """An external value breaks a rule; `rule` says what is valid."""

    code = "invalid_input"
    text = "{field}: {rule}"
    field: str
    rule: str


@dataclass(eq=False)
class UnreadableMessage(PermanentError):
    """This release cannot read a message: no JSON, a missing field, another major version."""

    code = "unreadable_message"
    text = "unreadable message: {reason}"
    reason: str


@dataclass(eq=False)
class IdempotencyKeyReused(PermanentError):
    """The Idempotency-Key was sent with a different request before."""

    code = "idempotency_key_reused"
    text = "Idempotency-Key {key!r} was used for another request"
    key: str


@dataclass(eq=False)
class HostNotFound(PermanentError):
    """No host with this id has ever reported."""

    code = "host_not_found"
    text = "host {host!r} is not known"
    host: str


@dataclass(eq=False)
class HostIdentityMismatch(PermanentError):
    """A daemon reports with another certificate than the one that its host id is pinned to."""

    code = "host_identity_mismatch"
    text = "host {host!r} reports with another certificate than the one it is pinned to"
    host: str


@dataclass(eq=False)
class HostStillOnline(PermanentError):
    """A host cannot be removed while it reports."""

    code = "host_still_online"
    text = "host {host!r} is online; stop its worker first"
    host: str


@dataclass(eq=False)
class InstanceNotFound(PermanentError):
    """There is no instance of this name."""

    code = "instance_not_found"
    text = "instance {name!r} does not exist"
    name: str


@dataclass(eq=False)
class AmbiguousName(PermanentError):
    """Several hosts have an instance of this name; `hosts` lists them, separated by commas."""

    code = "ambiguous_name"
    text = "instance {name!r} exists on several hosts: {hosts}"
    name: str
    hosts: str


@dataclass(eq=False)
class AmbiguousProject(PermanentError):
    """Several projects of a host have an instance of this name; `projects` lists them."""

    code = "ambiguous_project"
    text = "instance {name!r} exists in several projects of host {host!r}: {projects}"
    name: str
    host: str
    projects: str


@dataclass(eq=False)
class InstanceReplaced(PermanentError):
    """An instance of this name exists, but not the one that the request meant."""

    code = "instance_replaced"
    text = "instance {name!r} was re-created since it was listed"
    name: str


@dataclass(eq=False)
class InstanceRunning(PermanentError):
    """The request needs an instance that is not running."""

    code = "instance_running"
    text = "instance {name!r} is running"
    name: str


@dataclass(eq=False)
class InstanceNotRunning(PermanentError):
    """The request needs a running instance."""

    code = "instance_not_running"
    text = "instance {name!r} is not running"
    name: str


@dataclass(eq=False)
class InstanceNotFrozen(PermanentError):
    """Resume needs a paused (LXD: Frozen) instance."""

    code = "instance_not_frozen"
    text = "instance {name!r} is not paused"
    name: str


@dataclass(eq=False)
class InstanceExists(PermanentError):
    """The name for a new or renamed instance is taken."""

    code = "instance_exists"
    text = "an instance {name!r} exists already"
    name: str


@dataclass(eq=False)
class InstanceChangedSince(PermanentError):
    """The instance has changed since the caller read it; see `instances.etag`."""

    code = "instance_changed_since"
    text = "instance {name!r} was changed since it was read"
    name: str


@dataclass(eq=False)
class InsufficientResources(PermanentError):
    """The host has too little left; `resource` is `cpu`, `memory`, `disk` or `ports`.

    `wanted` and `free` are numbers as text, sizes in bytes.
    """

    code = "insufficient_resources"
    text = "host {host!r} has {free} of {resource} left, {wanted} needed"
    host: str
    resource: str
    wanted: str
    free: str


@dataclass(eq=False)
class PortInUse(PermanentError):
    """A port of the host is taken by another instance, or by a program on the host itself."""

    code = "port_in_use"
    text = "port {port} of host {host!r} is in use"
    host: str
    port: str


@dataclass(eq=False)
class ImageNotFound(PermanentError):
    """The host has no such image, or its operator does not allow the image's server."""

    code = "image_not_found"
    text = "image {image!r} is not available"
    image: str


@dataclass(eq=False)
class SnapshotNotFound(PermanentError):
    """The instance has no snapshot of this name."""

    code = "snapshot_not_found"
    text = "instance {name!r} has no snapshot {snapshot!r}"
    name: str
    snapshot: str


@dataclass(eq=False)
class SnapshotExists(PermanentError):
    """The instance has a snapshot of this name already."""

    code = "snapshot_exists"
    text = "instance {name!r} has a snapshot {snapshot!r} already"
    name: str
    snapshot: str


@dataclass(eq=False)
class LogNotFound(PermanentError):
    """LXD has no log of the instance; it writes one at each start."""

    code = "log_not_found"
    text = "instance {name!r} has no log"
    name: str


@dataclass(eq=False)
class PasswordNotSet(PermanentError):
    """The password could not be set inside the guest; `reason` says why."""

    code = "password_not_set"
    text = "the password of instance {name!r} was not set: {reason}"
    name: str
    reason: str


@dataclass(eq=False)
class CommandFailed(PermanentError):
    """A command inside the guest, before or after a snapshot, failed; `reason` says why."""

    code = "command_failed"
    text = "the command {command!r} in instance {name!r} failed: {reason}"
    name: str
    command: str
    reason: str


@dataclass(eq=False)
class PolicyNotFound(PermanentError):
    """There is no such snapshot policy, or the host has not been given it yet."""

    code = "policy_not_found"
    text = "there is no snapshot policy {policy!r}"
    policy: str


@dataclass(eq=False)
class PolicyExists(PermanentError):
    """Another snapshot policy has this name."""

    code = "policy_exists"
    text = "there is a snapshot policy {policy!r} already"
    policy: str


@dataclass(eq=False)
class PolicyChangedSince(PermanentError):
    """The snapshot policy has changed since the caller read it."""

    code = "policy_changed_since"
    text = "the snapshot policy {policy!r} has changed since it was read"
    policy: str


@dataclass(eq=False)
class TrashNotFound(PermanentError):
    """The instance was never rebuilt, or its earlier root has been deleted since."""

    code = "trash_not_found"
    text = "instance {name!r} has no earlier root to revert to"
    name: str


@dataclass(eq=False)
class OperationNotFound(PermanentError):
    """There is no operation with this id."""

    code = "operation_not_found"
    text = "operation {operation_id} does not exist"
    operation_id: str


@dataclass(eq=False)
class OperationRefused(PermanentError):
    """The id has a tombstone: the operation was resolved as never started and may never start."""

    code = "operation_refused"
    text = "operation {operation_id} was abandoned before it reached the host"
    operation_id: str


@dataclass(eq=False)
class OperationExpired(PermanentError):
    """The request reached the worker too late to be started."""

    code = "operation_expired"
    text = "operation {operation_id} arrived too late and was not started"
    operation_id: str


@dataclass(eq=False)
class OperationNotCancellable(PermanentError):
    """The operation has ended, or LXD cannot interrupt its current step."""

    code = "operation_not_cancellable"
    text = "operation {operation_id} cannot be cancelled"
    operation_id: str


@dataclass(eq=False)
class LxdRefused(PermanentError):
    """LXD refused the request; `reason` is its own text."""

    code = "lxd_refused"
    text = "LXD refused: {reason}"
    reason: str


@dataclass(eq=False)
class NoEffect(PermanentError):
    """LXD reports that a step succeeded, but the instance has not changed."""

    code = "no_effect"
    text = "LXD reports that {step} succeeded, but it had no effect"
    step: str


@dataclass(eq=False)
class StepTimedOut(PermanentError):
    """A step ended without effect after its time-out; nothing is still running."""

    code = "step_timed_out"
    text = "{step} did not finish in time"
    step: str


class Cancelled(PermanentError):
    """The operation was cancelled on request."""

    code = "cancelled"
    text = "cancelled"


@dataclass(eq=False)
class WorkerOutdated(PermanentError):
    """The host's worker runs an earlier release that cannot do this; nothing was started."""

    code = "worker_outdated"
    text = "the worker of host {host!r} is too old for this; update it"
    host: str


@dataclass(eq=False)
class WorkerFailed(PermanentError):
    """The host's worker returned an invalid answer; the operation may have begun."""

    code = "worker_failed"
    text = "the worker of host {host!r} failed: {reason}"
    host: str
    reason: str
