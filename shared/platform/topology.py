"""Every exchange, queue and routing key of the fleet, and a host's rights on them.

The names put the host first (or, for calls, right after the service), because RabbitMQ's topic
permissions are regular expressions over the routing key: they hold a host to its own keys. Central
services declare this topology; a worker declares nothing but its own exclusive queues.

    fleet.calls        lxd_worker.<host>.<method>   a call, by a gateway
    fleet.answers      <host>.reply.<gateway>       its answer, by the host
    fleet.events       <host>.<producer>.<type>     an event, by the host
    fleet.streams.in   <host>.in.<stream>           bytes for the host, by a gateway
    fleet.streams.out  <host>.out.<stream>          bytes of the host
    fleet.dead         <host or service>.<reason>   a message nobody could read, by a gateway

A host reads from `fleet.calls` and `fleet.streams.in` only and writes to the others only: a routing
key can be evaded (by `CC` headers before RabbitMQ 4, by dead letters, by bindings), an exchange
without the right to write cannot.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

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

# Streams of one host that can be open at once; each has a queue with one of so many names.
MOST_STREAMS = 64
# Of one host's user. A worker needs 14 connections and one for each stream, a sampler two.
HOST_CONNECTIONS = 96
HOST_CHANNELS = 256

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


def calls_queue(host: str, password: str) -> str:
    """Return the name of a worker's own queue."""
    return f"{_own_queues(host, password)}.calls"


def reply_key(host: str, gateway: str) -> str:
    """Return the routing key under which a host answers a gateway."""
    return f"{host}.reply.{gateway}"


def stream_key_to(host: str, stream: str) -> str:
    """Return the routing key of a stream's frames for the host."""
    return f"{host}.in.{checked_stream(stream)}"


def stream_key_of(host: str, stream: str) -> str:
    """Return the routing key of a stream's frames by the host."""
    return f"{host}.out.{checked_stream(stream)}"


def stream_queue(host: str, password: str, slot: int) -> str:
    """Return the name of the host's own queue of a stream; `slot` is below `MOST_STREAMS`."""
    return f"{_own_queues(host, password)}.stream.{slot}"


def password_of(amqp_uri: str) -> str:
    """Return the password in a broker's address."""
    return unquote(urlsplit(amqp_uri).password or "")


def _own_queues(host: str, password: str) -> str:
    """Return what the names of a host's queues begin with.

    A passive declare tells everybody whether a queue is there, without any permission: who does not
    know a host's password must not guess the name either.
    """
    digest = hashlib.sha256(f"lxdfleet queues of {host}\0{password}".encode()).hexdigest()
    return f"{SERVICE}.{host}.{digest[:32]}"


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
    be open to every key, so each one that the user may write to or read from has one. `limits` are
    those of the user (`max-connections`, `max-channels`); what is not named is not limited.
    """

    configure: str
    write: str
    read: str
    topics: dict[str, tuple[str, str]]
    limits: dict[str, int] = field(default_factory=dict)


NOTHING = "^$"


def host_permissions(host: str, password: str) -> Permissions:
    """Return what a host may do on the broker: what it is called for, as itself, and no more.

    It takes calls and answers them, publishes its own events, and has its ends of streams. The
    names it may declare are `MOST_STREAMS` + 1, and what it may bind a queue to is spelled out: one
    key for its calls, and streams' ids.
    """
    name = re.escape(checked_host(host)).replace(r"\-", "-")
    prefix = re.escape(_own_queues(host, password)).replace(r"\-", "-")
    own_queues = rf"{prefix}\.(calls|stream\.([0-9]|[1-5][0-9]|6[0-3]))"
    return Permissions(
        configure=rf"^{own_queues}$",
        write=rf"^(fleet\.(answers|events|streams\.out)|{own_queues})$",
        read=rf"^(fleet\.(calls|streams\.in)|{own_queues})$",
        topics={
            CALLS.name: (NOTHING, rf"^{SERVICE}\.{name}\.\*$"),
            ANSWERS.name: (rf"^{name}\.reply\.[A-Za-z0-9]{{1,64}}$", NOTHING),
            EVENTS.name: (rf"^{name}\.(worker|sampler)\.[a-z-]{{1,32}}$", NOTHING),
            STREAMS_IN.name: (NOTHING, rf"^{name}\.in\.[0-9a-f]{{32}}$"),
            STREAMS_OUT.name: (rf"^{name}\.out\.[0-9a-f]{{32}}$", NOTHING),
        },
        limits={"max-connections": HOST_CONNECTIONS, "max-channels": HOST_CHANNELS},
    )


CENTRAL_PERMISSIONS = Permissions(configure=".*", write=".*", read=".*", topics={})
