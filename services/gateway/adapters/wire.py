"""nameko's wire format for calls and answers; see docs/broker-notes.md for where it comes from."""

from __future__ import annotations

import logging
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from shared.contracts.bounds import MOST_VALUES, Word
from shared.contracts.codec import decode
from shared.contracts.errors import BY_CODE, FleetError, PermanentError

log = logging.getLogger(__name__)

_BY_NAME = {kind.__name__: kind for kind in BY_CODE.values()}


class RemoteError(msgspec.Struct, frozen=True):
    """What a worker raised: the name of its class and its positional arguments."""

    exc_type: Word
    exc_args: Annotated[list[Any], Meta(max_length=MOST_VALUES)] = []
    value: Annotated[str, Meta(max_length=64 * 1024)] = ""


class Answer(msgspec.Struct, frozen=True):
    """What a worker answered: a result or an error."""

    result: Any = None
    error: RemoteError | None = None


def call(args: list[object]) -> bytes:
    """Return the body of a call."""
    return msgspec.json.encode({"args": args, "kwargs": {}})


def result(body: bytes) -> object:
    """Return what an answer holds; raise the FleetError it holds, or UnreadableMessage."""
    answer = decode(Answer, body)
    if answer.error is not None:
        raise _error(answer.error)
    return answer.result


def _error(remote: RemoteError) -> FleetError:
    kind = _BY_NAME.get(remote.exc_type)
    if kind and all(isinstance(value, str) for value in remote.exc_args):
        try:
            return kind(*remote.exc_args)
        except TypeError:
            pass  # Another number of values: it is of another release, and logged as any other.
    log.error("a worker failed", extra={"error": remote.exc_type, "text": remote.value})
    return PermanentError(f"{remote.exc_type}: {remote.value}")
