"""Every exchange, queue and routing key of the fleet; `permissions` has the rights on them.

Routing keys begin with the host (or, for calls, the service and the host), because RabbitMQ's topic
permissions are regular expressions over them, which confine a host to its own keys. Central
services declare this topology; a host declares and binds nothing.

    fleet.calls                  lxd_worker.<host>.<method>  a call, by a gateway
    fleet.streams.in             <host>.in.<stream>          bytes for the host, by a gateway
    fleet.hosts.<host>.<digest>  <host>.reply.<gateway>      an answer, by the host
                                 <host>.<producer>.<type>    an event; `<type>.v2` in a later form
                                 <host>.out.<stream>         bytes of a stream
    fleet.heartbeats             <host>.worker.heartbeat     by bindings to the hosts' exchanges
    fleet.dead                   <host or service>.<reason>  an unreadable message, by a gateway
    nameko-rpc                   <service>.<method>          a call of a central service, by another
                                 <id of the caller>          its answer; no host has a right on it

A host reads only from queues that gateways declare and bind for it, and writes only to an exchange
of its own. So its messages reach the queues that gateways hold for it, and no other host's: a check
of routing keys can be evaded (by `CC` headers before RabbitMQ 4, by dead letters, by bindings),
missing write permission on an exchange cannot.

A passive declare reveals to any user, without permissions, whether an exchange or queue exists. So
each name with a host's id in it ends in a digest of the host's password, or in a gateway's random
id: trying out host ids finds nothing. Gateways, which have no host's password, learn the name of
its exchange from the heartbeats that arrive through it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from urllib.parse import unquote, urlsplit

from kombu import Connection, Exchange, Queue

from shared.contracts.errors import InvalidInput
from shared.contracts.events import (
    NAMES,
    PRODUCER,
    TYPES,
    WORKER,
    Event,
    Heartbeat,
    OperationChanged,
)
from shared.contracts.streams import validate_stream
from shared.contracts.worker_api import SERVICE

CALLS = Exchange("fleet.calls", type="topic", durable=True)
STREAMS_IN = Exchange("fleet.streams.in", type="topic", durable=True)
HEARTBEATS = Exchange("fleet.heartbeats", type="topic", durable=True)
DEAD = Exchange("fleet.dead", type="topic", durable=True)

# nameko's name for it.
CENTRAL_CALLS = Exchange("nameko-rpc", type="topic", durable=True)

# Prefixes of each host's exchange and of its queue of outcomes.
HOST_EXCHANGES = "fleet.hosts."
OUTCOMES = "fleet.operations."

# Concurrent streams of one host.
MOST_STREAMS = 64

DAY_MS = 24 * 3600 * 1000

# The queue of all hosts' outcomes of an earlier release, which is no longer read.
OLD_OUTCOMES = "fleet.outcomes"
DEAD_LETTERS = Queue(
    "fleet.dead-letters",
    exchange=DEAD,
    routing_key="#",
    durable=True,
    queue_arguments={"x-max-length": 10_000, "x-message-ttl": 7 * DAY_MS},
)

_ID = "[A-Za-z0-9][A-Za-z0-9_-]{0,62}"
_HOST = re.compile(_ID)
_HOST_EXCHANGE = re.compile(rf"{re.escape(HOST_EXCHANGES)}({_ID})\.[0-9a-f]{{32}}")


def validate_host(host: str) -> str:
    """Return the host id; raise `InvalidInput` if it cannot be part of a routing key."""
    if not _HOST.fullmatch(host):
        raise InvalidInput(
            "host", "1-63 letters, digits, '-' or '_', starting with a letter or digit"
        )
    return host


def declare(amqp_uri: str, exchanges: Iterable[str] = (), *, timeout_s: float = 5.0) -> None:
    """Declare the shared durable topology, and these exchanges of hosts.

    What exists stays as it is, except leftovers of an earlier release.
    """
    with Connection(amqp_uri, connect_timeout=timeout_s) as connection:
        # Without it kombu would retry after two seconds.
        connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
        channel = connection.channel()
        for exchange in (CALLS, STREAMS_IN, HEARTBEATS, DEAD, CENTRAL_CALLS):
            exchange(channel).declare()
        for name in exchanges:
            Exchange(name, type="topic", durable=True)(channel).declare()
            key = heartbeat_key(host_of(name))
            HEARTBEATS(channel).bind_to(name, routing_key=key)
        DEAD_LETTERS(channel).declare()
        channel.queue_delete(OLD_OUTCOMES)


def host_exchange(host: str, password: str) -> str:
    """Return the name of the exchange to which a host publishes; it is created with its user."""
    return f"{HOST_EXCHANGES}{validate_host(host)}.{_digest('exchange', host, password)}"


def host_of(exchange: str) -> str:
    """Return the host whose exchange this is; empty: it is no host's."""
    match = _HOST_EXCHANGE.fullmatch(exchange)
    return match[1] if match else ""


def heartbeat_key(host: str) -> str:
    """Return the routing key of a worker's heartbeats."""
    return event_key_of(host, Heartbeat)


def outcomes_queue(exchange: str) -> Queue:
    """Return the queue in which outcomes published to a host's exchange wait for a gateway.

    When it is full, it refuses outcomes, and the worker's journal keeps them. An outcome that has
    killed a gateway as often as the delivery limit says, or found no consumer for a month, becomes
    a dead letter; gateways request what they miss from the worker.
    """
    host = host_of(exchange)
    return Queue(
        f"{OUTCOMES}{exchange.removeprefix(HOST_EXCHANGES)}",
        exchange=Exchange(exchange, type="topic", durable=True),
        routing_key=f"{host}.{WORKER}.{NAMES[OperationChanged]}",
        durable=True,
        queue_arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": 20,
            "x-max-length-bytes": 16 * 2**20,
            "x-overflow": "reject-publish",
            "x-expires": 30 * DAY_MS,
            "x-dead-letter-exchange": DEAD.name,
            "x-dead-letter-routing-key": f"{host}.undelivered",
        },
    )


def call_key(host: str, method: str) -> str:
    """Return the routing key of a call."""
    return f"{SERVICE}.{host}.{method}"


def calls_queue(host: str, password: str) -> str:
    """Return the name of the queue from which a worker consumes its calls."""
    return f"{SERVICE}.{host}.{_digest('queues', host, password)}.calls"


def is_calls_queue(name: str, host: str) -> bool:
    """Return whether a host may have its worker consume calls from a queue of this name."""
    return re.fullmatch(rf"{SERVICE}\.{re.escape(host)}\.[0-9a-f]{{32}}\.calls", name) is not None


def central_calls_queue(service: str) -> Queue:
    """Return the queue from which all copies of a central service take their calls.

    It goes with the last of them, so that the broker returns a call that nobody would serve; one
    whose caller has given up is dropped.
    """
    return Queue(
        f"{service}.calls",
        exchange=CENTRAL_CALLS,
        routing_key=f"{service}.*",
        durable=False,
        auto_delete=True,
        queue_arguments={
            "x-message-ttl": 10_000,
            "x-max-length": 1_000,
            "x-max-length-bytes": 32 * 2**20,
        },
    )


def reply_key(host: str, gateway: str) -> str:
    """Return the routing key of a host's answers to a gateway."""
    return f"{host}.reply.{gateway}"


def stream_key_to(host: str, stream: str) -> str:
    """Return the routing key of a stream's frames to the host."""
    return f"{host}.in.{validate_stream(stream)}"


def stream_key_of(host: str, stream: str) -> str:
    """Return the routing key of a stream's frames from the host."""
    return f"{host}.out.{validate_stream(stream)}"


def stream_queue(host: str, stream: str) -> str:
    """Return the name of the queue from which a host consumes a stream's frames."""
    return f"{SERVICE}.{host}.in.{validate_stream(stream)}"


def password_of(amqp_uri: str) -> str:
    """Return the password in a broker URI."""
    return unquote(urlsplit(amqp_uri).password or "")


def _digest(purpose: str, host: str, password: str) -> str:
    """Return a digest that cannot be guessed without the host's password, nor reveals it."""
    text = f"lxdfleet {purpose} of {host}\0{password}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def event_key(host: str, event: Event) -> str:
    """Return the routing key of a host's event."""
    return event_key_of(host, type(event))


def event_key_of(host: str, kind: type[Event]) -> str:
    """Return the routing key of a host's events of a type."""
    return f"{host}.{PRODUCER[kind]}.{NAMES[kind]}"


def read_event_key(routing_key: str) -> tuple[str, type[Event]] | None:
    """Return the host and type in an event's routing key; None if it is no event's."""
    host, _, rest = routing_key.partition(".")
    producer, _, name = rest.partition(".")
    kind = TYPES.get(name)
    if kind is None or PRODUCER[kind] != producer or not _HOST.fullmatch(host):
        return None
    return host, kind
