"""Every exchange, queue and routing key of the fleet, and a host's rights on them.

The names put the host first (or, for calls, right after the service), because RabbitMQ's topic
permissions are regular expressions over the routing key: they hold a host to its own keys. Central
services declare this topology; a worker declares nothing but its own exclusive queues.

    fleet.calls        lxd_worker.<host>.<method>   a call, by a gateway
    fleet.answers      <host>.reply.<gateway>       its answer, by the host
    fleet.events       <host>.<producer>.<type>     an event, by the host
    fleet.streams.in   <host>.in.<stream>           bytes for the host, by a gateway
    fleet.streams.out  <host>.out.<stream>          bytes of the host
    fleet.dead         <host or service>.<reason>   a message nobody could read

A host reads from `fleet.calls` and `fleet.streams.in` only and writes to the others only: a routing
key can be evaded (by `CC` headers before RabbitMQ 4, by dead letters, by bindings), an exchange
without the right to write cannot.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kombu import Connection, Exchange, Queue

from shared.contracts.errors import InvalidInput
from shared.contracts.events import NAMES, PRODUCER, TYPES, Event
from shared.contracts.streams import checked_stream
from shared.contracts.worker_api import SERVICE

CALLS = Exchange("fleet.calls", type="topic", durable=True)
ANSWERS = Exchange("fleet.answers", type="topic", durable=True)
EVENTS = Exchange("fleet.events", type="topic", durable=True)
STREAMS_IN = Exchange("fleet.streams.in", type="topic", durable=True)
STREAMS_OUT = Exchange("fleet.streams.out", type="topic", durable=True)
DEAD = Exchange("fleet.dead", type="topic", durable=True)

DAY_MS = 24 * 3600 * 1000

OUTCOMES = Queue(
    "fleet.outcomes",
    exchange=EVENTS,
    routing_key="*.worker.operation",
    durable=True,
    queue_arguments={"x-dead-letter-exchange": DEAD.name},
)
DEAD_LETTERS = Queue(
    "fleet.dead-letters",
    exchange=DEAD,
    routing_key="#",
    durable=True,
    queue_arguments={"x-max-length": 10_000, "x-message-ttl": 7 * DAY_MS},
)

_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def checked_host(host: str) -> str:
    """Return the host id; raise `InvalidInput` where it could not stand in a routing key."""
    if not _HOST.fullmatch(host):
        raise InvalidInput(
            "host", "1-63 letters, digits, '-' or '_', starting with a letter or digit"
        )
    return host


def declare(amqp_uri: str, *, timeout_s: float = 5.0) -> None:
    """Declare all that is shared and lasting; what is there already stays as it is."""
    with Connection(amqp_uri, connect_timeout=timeout_s) as connection:
        channel = connection.channel()
        for exchange in (CALLS, ANSWERS, EVENTS, STREAMS_IN, STREAMS_OUT, DEAD):
            exchange(channel).declare()
        for queue in (OUTCOMES, DEAD_LETTERS):
            queue(channel).declare()


def call_key(host: str, method: str) -> str:
    """Return the routing key of a call."""
    return f"{SERVICE}.{host}.{method}"


def calls_queue(host: str) -> str:
    """Return the name of a worker's own queue."""
    return f"{SERVICE}.{host}.calls"


def host_of_call(routing_key: str) -> str | None:
    """Return the host that a call's routing key names; None when it is no call."""
    service, _, rest = routing_key.partition(".")
    host, _, method = rest.partition(".")
    return host if service == SERVICE and method and _HOST.fullmatch(host) else None


def reply_key(host: str, gateway: str) -> str:
    """Return the routing key under which a host answers a gateway."""
    return f"{host}.reply.{gateway}"


def stream_key_to(host: str, stream: str) -> str:
    """Return the routing key of a stream's frames for the host."""
    return f"{host}.in.{checked_stream(stream)}"


def stream_key_of(host: str, stream: str) -> str:
    """Return the routing key of a stream's frames by the host."""
    return f"{host}.out.{checked_stream(stream)}"


def stream_queue(host: str, stream: str) -> str:
    """Return the name of the host's own queue of a stream."""
    return f"{SERVICE}.{host}.stream.{checked_stream(stream)}"


def event_key(host: str, event: Event) -> str:
    """Return the routing key of a host's event."""
    return f"{host}.{PRODUCER[type(event)]}.{NAMES[type(event)]}"


def read_event_key(routing_key: str) -> tuple[str, type[Event]] | None:
    """Return the host and type that an event's routing key names; None when it names no event."""
    host, _, rest = routing_key.partition(".")
    producer, _, name = rest.partition(".")
    kind = TYPES.get(name)
    if kind is None or PRODUCER[kind] != producer or not _HOST.fullmatch(host):
        return None
    return host, kind


@dataclass(frozen=True, slots=True)
class Permissions:
    """A broker user's rights in RabbitMQ's terms: regular expressions over names and routing keys.

    `topics` maps an exchange to its (write, read) expressions; an exchange without an entry would
    be open to every key, so each one that the user may write to or read from has one.
    """

    configure: str
    write: str
    read: str
    topics: dict[str, tuple[str, str]]


NOTHING = "^$"


def host_permissions(host: str) -> Permissions:
    """Return what a host may do on the broker: what it is called for, as itself, and no more.

    It takes calls and answers them, publishes its own events, and has its ends of streams.
    """
    name = re.escape(checked_host(host)).replace(r"\-", "-")
    own_queues = rf"{SERVICE}\.{name}\.(calls|stream\.[0-9a-f]+)"
    return Permissions(
        configure=rf"^{own_queues}$",
        write=rf"^(fleet\.(answers|events|streams\.out|dead)|{own_queues})$",
        read=rf"^(fleet\.(calls|streams\.in)|{own_queues})$",
        topics={
            CALLS.name: (NOTHING, rf"^{SERVICE}\.{name}\.[^.]+$"),
            ANSWERS.name: (rf"^{name}\.reply\.[^.]+$", NOTHING),
            EVENTS.name: (rf"^{name}\.(worker|sampler)\.[^.]+$", NOTHING),
            STREAMS_IN.name: (NOTHING, rf"^{name}\.in\.[^.]+$"),
            STREAMS_OUT.name: (rf"^{name}\.out\.[^.]+$", NOTHING),
            DEAD.name: (rf"^{name}\.[^.]+$", NOTHING),
        },
    )


CENTRAL_PERMISSIONS = Permissions(configure=".*", write=".*", read=".*", topics={})
