"""nameko's wire format for calls and replies; see docs/broker-notes.md for its source.

The snapshots service may raise what its API lists; any other error of it leaves the outcome
unknown. A host's reply may only raise the errors that a worker has cause to raise, and only about
that host. Any other error, such as one of the broker, the database or another host, is reported as
a failure of this host's worker.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from shared.contracts.bounds import Word, clip
from shared.contracts.codec import UNREADABLE, decode
from shared.contracts.errors import (
    FleetError,
    OutcomeUnknown,
    SnapshotsSilent,
    SnapshotsUnavailable,
    WorkerFailed,
    WorkerOutdated,
)
from shared.contracts.policy_api import ERRORS as CENTRAL_ERRORS
from shared.contracts.worker_api import ERRORS

log = logging.getLogger(__name__)

_BY_NAME = {kind.__name__: kind for kind in ERRORS}
_CENTRAL_BY_NAME = {kind.__name__: kind for kind in CENTRAL_ERRORS}
# Per value, and for the text of an unknown error.
_LONGEST = 500
# For all values of an error, in bytes: more than our errors can hold.
_LONGEST_ARGUMENTS = 2**20
# Raised by nameko before it calls the method.
_NOT_BEGUN = frozenset({"MethodNotFound", "IncorrectSignature"})
# Errors of the worker's own journal or broker connection, not of the gateway's.
_UNSURE = frozenset({"BrokerUnavailable", "DatabaseUnavailable"})


# Raw JSON is decoded once its type is known: decoding a reply of five million lists would block the
# event loop for seconds.
_NULL, _NO_ARGUMENTS = Raw(b"null"), Raw(b"[]")


class RemoteError(msgspec.Struct, frozen=True):
    """An exception of a worker: its class name and positional arguments."""

    exc_type: Word
    exc_args: Raw = _NO_ARGUMENTS
    value: Annotated[str, Meta(max_length=64 * 1024)] = ""


class Reply(msgspec.Struct, frozen=True):
    """A reply: a result or an error."""

    result: Raw = _NULL
    error: RemoteError | None = None


def encode_call(args: list[object]) -> bytes:
    """Encode the body of a call."""
    return msgspec.json.encode({"args": args, "kwargs": {}})


def decode_reply(body: bytes, host: str) -> Raw | None:
    """Return the JSON result in a host's reply, None for `null`.

    Raises the FleetError in the reply, or UnreadableMessage. After OutcomeUnknown and WorkerFailed
    the call may or may not have been executed.
    """
    reply = decode(Reply, body)
    if reply.error is not None:
        raise _to_error(reply.error, host)
    return None if reply.result == _NULL else reply.result


def decode_central_reply(body: bytes) -> Raw | None:
    """Return the JSON result in a reply of the snapshots service, None for `null`.

    Raises the FleetError in the reply, or UnreadableMessage.
    """
    reply = decode(Reply, body)
    if reply.error is not None:
        raise _to_central_error(reply.error)
    return None if reply.result == _NULL else reply.result


def _to_central_error(remote: RemoteError) -> FleetError:
    kind, values = _CENTRAL_BY_NAME.get(remote.exc_type), _values(remote, _CENTRAL_BY_NAME)
    if kind is not None and values is not None:
        return kind(**values)
    text = clip(f"{remote.exc_type}: {remote.value}", _LONGEST)
    log.error("call of the snapshots service failed", extra={"error": text})
    # One of an earlier release does not know the method, and has done nothing.
    return SnapshotsUnavailable() if remote.exc_type in _NOT_BEGUN else SnapshotsSilent()


def _to_error(remote: RemoteError, host: str) -> FleetError:
    if remote.exc_type == "MethodNotFound":
        return WorkerOutdated(host)
    if error := _fleet_error(remote, host):
        return error
    text = clip(f"{remote.exc_type}: {remote.value}", _LONGEST)
    log.error("worker call failed", extra={"host": host, "error": text})
    return OutcomeUnknown(host) if remote.exc_type in _UNSURE else WorkerFailed(host, text)


def _fleet_error(remote: RemoteError, host: str) -> FleetError | None:
    kind, values = _BY_NAME.get(remote.exc_type), _values(remote, _BY_NAME)
    if kind is None or values is None:
        return None
    return kind(**(values | {"host": host} if "host" in values else values))


def _values(remote: RemoteError, kinds: Mapping[str, type[FleetError]]) -> dict[str, str] | None:
    """Return an error's values by name; None: it is not one of these, or of another release."""
    arguments = _strings(remote.exc_args)
    if remote.exc_type not in kinds or arguments is None:
        return None
    names: tuple[str, ...] = getattr(kinds[remote.exc_type], "__match_args__", ())
    if len(names) != len(arguments):
        return None
    return dict(zip(names, (clip(value, _LONGEST) for value in arguments), strict=True))


def _strings(arguments: Raw) -> list[str] | None:
    """Return the strings of a JSON array; None: it is no such array, or too long."""
    encoded = bytes(arguments)
    if len(encoded) > _LONGEST_ARGUMENTS:
        return None
    try:
        return msgspec.json.decode(encoded, type=list[str])
    except UNREADABLE:
        return None
