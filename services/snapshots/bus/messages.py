"""Validate and decode what a host publishes, the cheapest checks first.

The origin is checked before anything is decoded: the broker wrote the exchange and checked the
routing key, the host wrote everything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta, Raw, Struct

from shared.contracts.bounds import Count, Version, Word
from shared.contracts.codec import decode, from_wire
from shared.contracts.errors import UnreadableMessage
from shared.contracts.events import MAX_BYTES, Heartbeat, PolicyRunChanged, ProtectionReported
from shared.contracts.policies import VERSION, PolicyRun, PolicyRunPage
from shared.platform.bus import topology
from shared.platform.bus.delivery import check_origin, check_plain_json
from shared.platform.bus.lenient_delivery import UNDECODABLE_PROPERTY

# A page of runs, each of which may have 64 KiB.
MOST_ANSWER_BYTES = 16 * 2**20
# Ids of operations and instances as we store them.
LONGEST_ID = 64
_NULL = Raw(b"null")


@dataclass(slots=True)
class Received:
    """A delivery of a host's queue, undecoded; `tag` acknowledges it in its `session`."""

    host: str
    exchange: str
    key: str
    properties: dict[str, Any]
    body: bytes
    tag: int
    session: str

    @property
    def headers(self) -> dict[str, Any] | None:
        """The message's headers."""
        return self.properties.get("application_headers")


class ReportedPlan(Struct, frozen=True, kw_only=True):
    """What a `ProtectionReported` says of the plan; its instances are not read here."""

    epoch: Count
    plan_version: Count = 0
    digest: Annotated[str, Meta(max_length=64)] = ""
    clock_trusted: bool = False
    version: Version = VERSION


@dataclass(frozen=True, slots=True)
class CallAnswer:
    """An answer to one of our calls; `error` is the class of the error, empty: none."""

    call_id: str
    error: str = ""
    result: Raw | None = None

    def page(self) -> PolicyRunPage:
        """Return the page of runs that it is; raise UnreadableMessage."""
        page = from_wire(PolicyRunPage, self.result)
        for run in page.runs:
            _check_ids(run)
        return page


class _RemoteError(Struct, frozen=True):
    exc_type: Word
    value: Annotated[str, Meta(max_length=64 * 1024)] = ""


class _Reply(Struct, frozen=True):
    result: Raw = _NULL
    error: _RemoteError | None = None


Message = PolicyRun | ReportedPlan | CallAnswer


def read(received: Received, reply_id: str) -> Message:
    """Return a message of a host's queue; raise UnreadableMessage."""
    host = _check(received)
    if host != received.host:
        raise UnreadableMessage("of another host")
    if received.key == topology.reply_key(host, reply_id):
        return _answer(received)
    named = topology.read_event_key(received.key)
    kind = named[1] if named else None
    if kind is PolicyRunChanged:
        run = decode(PolicyRunChanged, _bounded(received.body, MAX_BYTES[kind])).run
        _check_ids(run)
        return run
    if kind is ProtectionReported:
        return decode(ReportedPlan, _bounded(received.body, MAX_BYTES[kind]))
    raise UnreadableMessage("not for this service")


def read_heartbeat(received: Received) -> str:
    """Return the host of a heartbeat; raise UnreadableMessage."""
    host = _check(received)
    if received.key != topology.heartbeat_key(host):
        raise UnreadableMessage("not a heartbeat")
    decode(Heartbeat, _bounded(received.body, MAX_BYTES[Heartbeat]))
    return host


def _check(received: Received) -> str:
    if reason := received.properties.get(UNDECODABLE_PROPERTY):
        raise UnreadableMessage(str(reason))
    host = check_origin(received.exchange, received.key, received.headers)
    properties = received.properties
    check_plain_json(
        properties.get("content_type"), properties.get("content_encoding"), received.headers
    )
    return host


def _answer(received: Received) -> CallAnswer:
    reply = decode(_Reply, _bounded(received.body, MOST_ANSWER_BYTES))
    call_id = received.properties.get("correlation_id")
    if not isinstance(call_id, str):
        raise UnreadableMessage("an answer to no call")
    if reply.error is not None:
        return CallAnswer(call_id, error=reply.error.exc_type)
    return CallAnswer(call_id, result=reply.result)


def _check_ids(run: PolicyRun) -> None:
    for value in (run.operation_id, run.policy_id, run.uuid):
        if not 0 < len(value) <= LONGEST_ID or not value.isprintable() or " " in value:
            raise UnreadableMessage(f"an id of more than {LONGEST_ID} characters, or none")
    if not run.slot:
        raise UnreadableMessage("a run without a slot")


def _bounded(body: bytes, most: int) -> bytes:
    if len(body) > most:
        raise UnreadableMessage(f"larger than {most} bytes")
    return body
