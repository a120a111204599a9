"""Validates and decodes a host's message, the cheapest checks first.

The origin is checked before anything is decoded: the broker wrote the exchange, whose name says
which host alone may publish to it, and the size; the host wrote everything else.
"""

from __future__ import annotations

from aiormq.abc import DeliveredMessage

from services.gateway.bus.frame_decoder import undecodable
from services.gateway.fleet.encoded_protection import encoded_protection, read_protection
from services.gateway.fleet.encoded_samples import encoded_sample, read_sample
from services.gateway.fleet.host_events import HostEvent
from shared.contracts.codec import decode
from shared.contracts.errors import UnreadableMessage
from shared.contracts.events import (
    MAX_BYTES,
    Event,
    OperationChanged,
    ProtectionReported,
    Sampled,
    SampledV1,
)
from shared.contracts.operations import Operation, State
from shared.platform.bus import topology
from shared.platform.bus.delivery import check_origin, check_plain_json

# What a host publishes, decoded but for the samples of instances.
HostMessage = HostEvent | OperationChanged

# States that only gateways set; a worker has no such operation in its journal.
_GATEWAY_STATES = frozenset({State.SUBMITTING, State.REJECTED})


def read_key(message: DeliveredMessage) -> tuple[str, str]:
    """Return the publisher of a message and its routing key; raise UnreadableMessage.

    The message must have been published directly to the host's own exchange.
    """
    if reason := undecodable(message):
        raise UnreadableMessage(reason)
    key = message.routing_key or ""
    host = check_origin(message.exchange or "", key, message.header.properties.headers)
    return host, key


def check_encoding(message: DeliveredMessage) -> None:
    """Raise UnreadableMessage if the properties declare anything but plain JSON in UTF-8."""
    properties = message.header.properties
    check_plain_json(properties.content_type, properties.content_encoding, properties.headers)


def read_event(message: DeliveredMessage) -> tuple[str, HostMessage]:
    """Return an event and its host; raise UnreadableMessage."""
    _, key = read_key(message)
    named = topology.read_event_key(key)
    if named is None:
        raise UnreadableMessage("not an event of a host")
    host, kind = named
    if len(message.body) > MAX_BYTES[kind]:
        raise UnreadableMessage(f"larger than {MAX_BYTES[kind]} bytes")
    check_encoding(message)
    event = _decode(kind, message.body)
    if isinstance(event, OperationChanged):
        _check_operation(event.operation, host)
    return host, event


def _decode(kind: type[Event], body: bytes) -> HostMessage:
    if kind is Sampled:
        return read_sample(body)
    if kind is ProtectionReported:
        return read_protection(body)
    event = decode(kind, body)
    if isinstance(event, Sampled | SampledV1):
        return encoded_sample(event)
    return encoded_protection(event) if isinstance(event, ProtectionReported) else event


def _check_operation(operation: Operation, host: str) -> None:
    if operation.host != host:
        raise UnreadableMessage("an operation of another host")
    if operation.state in _GATEWAY_STATES:
        raise UnreadableMessage(f"no worker has an operation that is {operation.state.value}")
