"""Failures after which the same request will fail again."""

from __future__ import annotations

from dataclasses import dataclass

from shared.contracts.errors.base import PermanentError


@dataclass(eq=False)
class InvalidInput(PermanentError):
    """A value from outside breaks a rule; `rule` says what would be right."""

    code = "invalid_input"
    text = "{field}: {rule}"
    field: str
    rule: str


@dataclass(eq=False)
class UnreadableMessage(PermanentError):
    """A message this release cannot read: no JSON, a missing field, a newer major version."""

    code = "unreadable_message"
    text = "unreadable message: {reason}"
    reason: str


@dataclass(eq=False)
class IdempotencyKeyReused(PermanentError):
    """The same Idempotency-Key came with another request."""

    code = "idempotency_key_reused"
    text = "Idempotency-Key {key!r} was used for another request"
    key: str


@dataclass(eq=False)
class HostNotFound(PermanentError):
    """No host of this id has ever reported."""

    code = "host_not_found"
    text = "host {host!r} is not known"
    host: str


@dataclass(eq=False)
class HostIdentityMismatch(PermanentError):
    """A daemon with another certificate reports under a host id that is pinned to a first one."""

    code = "host_identity_mismatch"
    text = "host {host!r} reports with another certificate than the one it is pinned to"
    host: str


@dataclass(eq=False)
class HostStillOnline(PermanentError):
    """A host that reports cannot be forgotten."""

    code = "host_still_online"
    text = "host {host!r} is online; stop its worker first"
    host: str


@dataclass(eq=False)
class InstanceNotFound(PermanentError):
    """No instance of this name."""

    code = "instance_not_found"
    text = "instance {name!r} does not exist"
    name: str


@dataclass(eq=False)
class AmbiguousName(PermanentError):
    """The name stands on more than one host; the hosts are listed, separated by commas."""

    code = "ambiguous_name"
    text = "instance {name!r} exists on several hosts: {hosts}"
    name: str
    hosts: str


@dataclass(eq=False)
class AmbiguousProject(PermanentError):
    """The name stands in more than one project of a host; they are separated by commas."""

    code = "ambiguous_project"
    text = "instance {name!r} exists in several projects of host {host!r}: {projects}"
    name: str
    host: str
    projects: str


@dataclass(eq=False)
class InstanceReplaced(PermanentError):
    """An instance of this name exists, but it is not the one the request meant."""

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
    """The name that a new or renamed instance shall have is taken."""

    code = "instance_exists"
    text = "an instance {name!r} exists already"
    name: str


@dataclass(eq=False)
class InstanceChangedSince(PermanentError):
    """The instance is not as it was when the caller saw it; see `instances.etag`."""

    code = "instance_changed_since"
    text = "instance {name!r} was changed since it was read"
    name: str


@dataclass(eq=False)
class InsufficientResources(PermanentError):
    """The host cannot promise so much; `resource` is `cpu`, `memory`, `disk` or `ports`.

    `wanted` and `free` are numbers as text, sizes in bytes.
    """

    code = "insufficient_resources"
    text = "host {host!r} has {free} of {resource} left, {wanted} are wanted"
    host: str
    resource: str
    wanted: str
    free: str


@dataclass(eq=False)
class PortInUse(PermanentError):
    """A port of the host is taken, by another instance or a program of the host itself."""

    code = "port_in_use"
    text = "port {port} of host {host!r} is in use"
    host: str
    port: str


@dataclass(eq=False)
class ImageNotFound(PermanentError):
    """The host has no such image, or its operator does not allow where it would come from."""

    code = "image_not_found"
    text = "image {image!r} cannot be had"
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
    """LXD keeps no log of the instance, which it writes when it starts it."""

    code = "log_not_found"
    text = "instance {name!r} has no log"
    name: str


@dataclass(eq=False)
class PasswordNotSet(PermanentError):
    """Nobody can set a password inside the guest as it is; `reason` says why."""

    code = "password_not_set"
    text = "the password of instance {name!r} was not set: {reason}"
    name: str
    reason: str


@dataclass(eq=False)
class TrashNotFound(PermanentError):
    """The instance was not rebuilt, or so long ago that its earlier root is gone."""

    code = "trash_not_found"
    text = "nothing is kept of what instance {name!r} was before a rebuild"
    name: str


@dataclass(eq=False)
class OperationNotFound(PermanentError):
    """No operation of this id is known."""

    code = "operation_not_found"
    text = "operation {operation_id} is not known"
    operation_id: str


@dataclass(eq=False)
class OperationRefused(PermanentError):
    """The id carries a tombstone: it was resolved as never started and may never start."""

    code = "operation_refused"
    text = "operation {operation_id} was given up before it reached the host"
    operation_id: str


@dataclass(eq=False)
class OperationExpired(PermanentError):
    """The request reached the worker after its `start_by` time and was not started."""

    code = "operation_expired"
    text = "operation {operation_id} arrived too late and was not started"
    operation_id: str


@dataclass(eq=False)
class OperationNotCancellable(PermanentError):
    """The operation has ended, or LXD cannot interrupt its present step."""

    code = "operation_not_cancellable"
    text = "operation {operation_id} cannot be cancelled"
    operation_id: str


@dataclass(eq=False)
class LxdRefused(PermanentError):
    """LXD said no; its own words follow."""

    code = "lxd_refused"
    text = "LXD refused: {reason}"
    reason: str


@dataclass(eq=False)
class NoEffect(PermanentError):
    """LXD says that it has done a step, but what the step was to change is as it was."""

    code = "no_effect"
    text = "LXD says that {step} is done, but it had no effect"
    step: str


@dataclass(eq=False)
class StepTimedOut(PermanentError):
    """A step ended without effect after its time-out; nothing of it is still running."""

    code = "step_timed_out"
    text = "{step} did not finish in time"
    step: str


class Cancelled(PermanentError):
    """Somebody asked for the operation to be cancelled, and it was."""

    code = "cancelled"
    text = "cancelled"


@dataclass(eq=False)
class WorkerOutdated(PermanentError):
    """The host's worker is of an earlier release that cannot do this; nothing was started."""

    code = "worker_outdated"
    text = "the worker of host {host!r} is too old for this; update it"
    host: str


@dataclass(eq=False)
class WorkerFailed(PermanentError):
    """The host's worker answered with something that is no answer; it may have begun."""

    code = "worker_failed"
    text = "the worker of host {host!r} failed: {reason}"
    host: str
    reason: str
