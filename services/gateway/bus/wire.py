"""nameko's wire format for calls and answers; see docs/broker-notes.md for where it comes from.

An error in an answer is its host's word, and costs that host's call only: of our errors a host may
name those that a worker has cause to raise, and speak of itself only. What it calls one that would
be believed of the broker, the database or another host is told as that host's failure.
"""

from __future__ import annotations

import logging
from typing import Annotated

import msgspec
from msgspec import Meta, Raw

from shared.contracts.bounds import Word, clip
from shared.contracts.codec import UNREADABLE, decode
from shared.contracts.errors import FleetError, OutcomeUnknown, WorkerFailed, WorkerOutdated
from shared.contracts.worker_api import ERRORS

log = logging.getLogger(__name__)

_BY_NAME = {kind.__name__: kind for kind in ERRORS}
# Of each value, and of the text of what is no error of ours.
_LONGEST = 500
# Of all values of an error, in bytes: more than our errors can hold.
_LONGEST_ARGUMENTS = 2**20
# A worker's own journal or line to the broker, of which a caller would think that it is ours.
_UNSURE = frozenset({"BrokerUnavailable", "DatabaseUnavailable"})


# JSON that is read once it is known what it must be. A host may write five million lists into one
# answer; to make them would stop everything else for seconds.
_NULL, _NO_ARGUMENTS = Raw(b"null"), Raw(b"[]")


class RemoteError(msgspec.Struct, frozen=True):
    """What a worker raised: the name of its class and its positional arguments."""

    exc_type: Word
    exc_args: Raw = _NO_ARGUMENTS
    value: Annotated[str, Meta(max_length=64 * 1024)] = ""


class Reply(msgspec.Struct, frozen=True):
    """What a worker answered: a result or an error."""

    result: Raw = _NULL
    error: RemoteError | None = None


def encode_call(args: list[object]) -> bytes:
    """Return the body of a call."""
    return msgspec.json.encode({"args": args, "kwargs": {}})


def decode_reply(body: bytes, host: str) -> Raw | None:
    """Return the JSON that an answer of a host holds, None for `null`.

    Raises the FleetError that it holds instead, or UnreadableMessage.
    OutcomeUnknown and WorkerFailed leave open whether the call was carried out.
    """
    answer = decode(Reply, body)
    if answer.error is not None:
        raise _error(answer.error, host)
    return None if answer.result == _NULL else answer.result


def _error(remote: RemoteError, host: str) -> FleetError:
    if remote.exc_type == "MethodNotFound":
        return WorkerOutdated(host)
    if known := _known(remote, host):
        return known
    said = clip(f"{remote.exc_type}: {remote.value}", _LONGEST)
    log.error("a worker failed", extra={"host": host, "error": said})
    return OutcomeUnknown(host) if remote.exc_type in _UNSURE else WorkerFailed(host, said)


def _known(remote: RemoteError, host: str) -> FleetError | None:
    kind = _BY_NAME.get(remote.exc_type)
    arguments = _texts(remote.exc_args)
    # Another number of values, or others than texts: it is of another release.
    if kind is None or arguments is None:
        return None
    names: tuple[str, ...] = getattr(kind, "__match_args__", ())
    if len(names) != len(arguments):
        return None
    texts = (clip(value, _LONGEST) for value in arguments)
    values = dict(zip(names, texts, strict=True))
    return kind(**(values | {"host": host} if "host" in values else values))


def _texts(arguments: Raw) -> list[str] | None:
    """Return the texts of a JSON array; None: it is no such array, or too long."""
    encoded = bytes(arguments)
    if len(encoded) > _LONGEST_ARGUMENTS:
        return None
    try:
        return msgspec.json.decode(encoded, type=list[str])
    except UNREADABLE:
        return None
