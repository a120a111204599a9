"""Errors after which the same request may work later."""

from __future__ import annotations

from dataclasses import dataclass

from shared.contracts.errors.base import TemporaryError


@dataclass(eq=False)
class HostUnreachable(TemporaryError):
    """No worker of the host received the request; it was certainly not carried out."""

    code = "host_unreachable"
    text = "host {host!r} is not connected"
    host: str


@dataclass(eq=False)
class LxdUnavailable(TemporaryError):
    """The host's worker runs, but its LXD does not answer."""

    code = "lxd_unavailable"
    text = "LXD on host {host!r} does not answer"
    host: str


class BrokerUnavailable(TemporaryError):
    """The message broker is not connected; nothing was sent."""

    code = "broker_unavailable"
    text = "the message broker is not connected"


class DatabaseUnavailable(TemporaryError):
    """The service's database does not answer."""

    code = "database_unavailable"
    text = "the database does not answer"


class FleetViewNotReady(TemporaryError):
    """The gateway has just started and is still reading the fleet."""

    code = "fleet_view_not_ready"
    text = "the fleet is still being read"


class SnapshotsUnavailable(TemporaryError):
    """The snapshots service does not answer; hosts carry out the plans that they have."""

    code = "snapshots_unavailable"
    text = "the snapshots service does not answer"


@dataclass(eq=False)
class OperationInProgress(TemporaryError):
    """Another operation holds the instance's lock."""

    code = "operation_in_progress"
    text = "operation {operation_id} is in progress on instance {instance!r}"
    instance: str
    operation_id: str


@dataclass(eq=False)
class OutcomeUnknown(TemporaryError):
    """A request was sent but not answered; read the operation by its id, never repeat it."""

    code = "outcome_unknown"
    text = "no answer from host {host!r}"
    host: str


class SnapshotsSilent(TemporaryError):
    """The snapshots service was sent a request but did not answer; it may be carried out."""

    code = "snapshots_silent"
    text = "no answer from the snapshots service"


@dataclass(eq=False)
class HostBusy(TemporaryError):
    """The host's worker has as many unfinished operations as it may have."""

    code = "host_busy"
    text = "host {host!r} has too many unfinished operations"
    host: str


@dataclass(eq=False)
class LxdBusy(TemporaryError):
    """LXD is busy with the instance, perhaps on its own account; `reason` is its own text."""

    code = "lxd_busy"
    text = "LXD is busy with the instance: {reason}"
    reason: str


@dataclass(eq=False)
class StepInterrupted(TemporaryError):
    """The worker or LXD stopped in the middle of a step, which left the instance unchanged."""

    code = "step_interrupted"
    text = "{step} was interrupted and had no effect"
    step: str


@dataclass(eq=False)
class SecretsNotReceived(TemporaryError):
    """The secrets did not follow the operation in time; nothing was started."""

    code = "secrets_not_received"
    text = "the secrets of operation {operation_id} did not arrive in time; it was not started"
    operation_id: str


@dataclass(eq=False)
class TooManyConsoles(TemporaryError):
    """The host has as many consoles open as its operator allows."""

    code = "too_many_consoles"
    text = "host {host!r} has {most} consoles open and allows no more"
    host: str
    most: str


@dataclass(eq=False)
class ConsoleInUse(TemporaryError):
    """The instance's text console, which allows one user, is in use."""

    code = "console_in_use"
    text = "the text console of instance {name!r} is in use"
    name: str


@dataclass(eq=False)
class StreamLost(TemporaryError):
    """The other end of a stream has gone, or broke the protocol."""

    code = "stream_lost"
    text = "the connection was lost: {reason}"
    reason: str
