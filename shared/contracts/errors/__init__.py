"""Every error that one service may report to another, and whether trying again can help.

    FleetError
    +-- TemporaryError: the same request may work later
    |   +-- HostUnreachable, LxdUnavailable, BrokerUnavailable, DatabaseUnavailable
    |   +-- SnapshotsUnavailable, SnapshotsSilent
    |   +-- FleetViewNotReady, OperationInProgress, OutcomeUnknown, HostBusy, StepInterrupted
    |   +-- LxdBusy
    |   +-- SecretsNotReceived, TooManyConsoles, ConsoleInUse, StreamLost
    +-- PermanentError: the same request will fail again
        +-- InvalidInput, UnreadableMessage, IdempotencyKeyReused
        +-- HostNotFound, HostIdentityMismatch, HostStillOnline
        +-- InstanceNotFound, AmbiguousName, AmbiguousProject, InstanceReplaced
        +-- InstanceRunning, InstanceNotRunning, InstanceNotFrozen
        +-- InstanceExists, InstanceChangedSince, InsufficientResources, PortInUse
        +-- ImageNotFound, SnapshotNotFound, SnapshotExists, LogNotFound, PasswordNotSet
        +-- CommandFailed
        +-- PolicyNotFound, PolicyExists, PolicyChangedSince
        +-- TrashNotFound
        +-- OperationNotFound, OperationRefused, OperationExpired, OperationNotCancellable
        +-- LxdRefused, NoEffect, StepTimedOut, Cancelled, WorkerOutdated, WorkerFailed

An error crosses the bus as its code and raw values, in the order of the constructor; whoever
receives it formats the text. The codes are stable: clients and the HTTP table rely on them.
"""

from __future__ import annotations

from shared.contracts.errors.base import FleetError, PermanentError, TemporaryError
from shared.contracts.errors.permanent import (
    AmbiguousName,
    AmbiguousProject,
    Cancelled,
    CommandFailed,
    HostIdentityMismatch,
    HostNotFound,
    HostStillOnline,
    IdempotencyKeyReused,
    ImageNotFound,
    InstanceChangedSince,
    InstanceExists,
    InstanceNotFound,
    InstanceNotFrozen,
    InstanceNotRunning,
    InstanceReplaced,
    InstanceRunning,
    InsufficientResources,
    InvalidInput,
    LogNotFound,
    LxdRefused,
    NoEffect,
    OperationExpired,
    OperationNotCancellable,
    OperationNotFound,
    OperationRefused,
    PasswordNotSet,
    PolicyChangedSince,
    PolicyExists,
    PolicyNotFound,
    PortInUse,
    SnapshotExists,
    SnapshotNotFound,
    StepTimedOut,
    TrashNotFound,
    UnreadableMessage,
    WorkerFailed,
    WorkerOutdated,
)
from shared.contracts.errors.temporary import (
    BrokerUnavailable,
    ConsoleInUse,
    DatabaseUnavailable,
    FleetViewNotReady,
    HostBusy,
    HostUnreachable,
    LxdBusy,
    LxdUnavailable,
    OperationInProgress,
    OutcomeUnknown,
    SecretsNotReceived,
    SnapshotsSilent,
    SnapshotsUnavailable,
    StepInterrupted,
    StreamLost,
    TooManyConsoles,
)

__all__ = [
    "BY_CODE",
    "AmbiguousName",
    "AmbiguousProject",
    "BrokerUnavailable",
    "Cancelled",
    "CommandFailed",
    "ConsoleInUse",
    "DatabaseUnavailable",
    "FleetError",
    "FleetViewNotReady",
    "HostBusy",
    "HostIdentityMismatch",
    "HostNotFound",
    "HostStillOnline",
    "HostUnreachable",
    "IdempotencyKeyReused",
    "ImageNotFound",
    "InstanceChangedSince",
    "InstanceExists",
    "InstanceNotFound",
    "InstanceNotFrozen",
    "InstanceNotRunning",
    "InstanceReplaced",
    "InstanceRunning",
    "InsufficientResources",
    "InvalidInput",
    "LogNotFound",
    "LxdBusy",
    "LxdRefused",
    "LxdUnavailable",
    "NoEffect",
    "OperationExpired",
    "OperationInProgress",
    "OperationNotCancellable",
    "OperationNotFound",
    "OperationRefused",
    "OutcomeUnknown",
    "PasswordNotSet",
    "PermanentError",
    "PolicyChangedSince",
    "PolicyExists",
    "PolicyNotFound",
    "PortInUse",
    "SecretsNotReceived",
    "SnapshotExists",
    "SnapshotNotFound",
    "SnapshotsSilent",
    "SnapshotsUnavailable",
    "StepInterrupted",
    "StepTimedOut",
    "StreamLost",
    "TemporaryError",
    "TooManyConsoles",
    "TrashNotFound",
    "UnreadableMessage",
    "WorkerFailed",
    "WorkerOutdated",
    "error_from_code",
]


def _leaves(root: type[FleetError]) -> list[type[FleetError]]:
    children = root.__subclasses__()
    return [leaf for child in children for leaf in _leaves(child)] if children else [root]


BY_CODE: dict[str, type[FleetError]] = {leaf.code: leaf for leaf in _leaves(FleetError)}


def error_from_code(code: str, values: list[str]) -> FleetError:
    """Return the error with this code and these raw values.

    An unknown code, or values that do not match it, come from a newer release: they become an
    `LxdRefused` that quotes them, so that nothing is lost and nothing crashes.
    """
    try:
        return BY_CODE[code](*values)
    except (KeyError, TypeError):
        return LxdRefused(f"{code}: {', '.join(values)}")
