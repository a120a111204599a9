"""What users of the broker may read, write and declare: a host's, and the central services'."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from shared.contracts.worker_api import SERVICE
from shared.platform.bus.topology import (
    CALLS,
    CENTRAL_CALLS,
    DEAD,
    HEARTBEATS,
    calls_queue,
    host_exchange,
    validate_host,
)

# Limits of one host's user. A worker needs 14 connections and one for each stream, a sampler two;
# most of them have one channel.
HOST_CONNECTIONS = 96
HOST_CHANNELS = 128

NOTHING = "^$"


@dataclass(frozen=True, slots=True)
class Permissions:
    """A broker user's rights in RabbitMQ's terms: regular expressions over names and routing keys.

    `topics` maps an exchange to its (write, read) expressions; an exchange without an entry would
    be open to every key, so each one that the user may use has one. `limits` are the user's
    (`max-connections`, `max-channels`). `exchange` is the one that a host's user needs; empty: the
    user is no host's.
    """

    configure: str
    write: str
    read: str
    topics: dict[str, tuple[str, str]]
    limits: dict[str, int] = field(default_factory=dict)
    exchange: str = ""


CENTRAL_PERMISSIONS = Permissions(configure=".*", write=".*", read=".*", topics={})

# The snapshots service calls two methods of workers, answers its own callers, and reads what hosts
# publish. It declares its own queues only, and the exchange of the calls to it. Before RabbitMQ 4 a
# `CC` header evades the limits on routing keys, so they protect hosts from its mistakes, and from
# whoever takes it over only since then.
SNAPSHOTS_PERMISSIONS = Permissions(
    configure=r"^(nameko-rpc|snapshots\..+)$",
    write=r"^(fleet\.calls|fleet\.dead|nameko-rpc|snapshots\..+)$",
    read=r"^(fleet\.heartbeats|fleet\.hosts\..+|nameko-rpc|snapshots\..+)$",
    topics={
        CALLS.name: (rf"^{SERVICE}\.[A-Za-z0-9_-]+\.(set_plan|policy_runs_since)$", NOTHING),
        # The callers' addresses: a gateway's, and those that nameko makes.
        CENTRAL_CALLS.name: (
            r"^(gateway\.[A-Za-z0-9.-]{1,200}|[0-9a-f-]{32,36})$",
            r"^snapshots\.\*$",
        ),
        DEAD.name: (r"^[A-Za-z0-9_-]+\.unreadable$", NOTHING),
        HEARTBEATS.name: (NOTHING, "^#$"),
    },
    # Of all copies. One needs four, and some for answers that it gives at the same time.
    limits={"max-connections": 128, "max-channels": 256},
)


def host_permissions(host: str, password: str) -> Permissions:
    """Return a host's rights on the broker: those of its role, under its own name only.

    It reads from queues that gateways declare for it, and publishes answers, events and its ends of
    streams to its own exchange. It declares and binds nothing: RabbitMQ limits neither the number
    of bindings nor the disk space of a stream queue (`x-queue-type`).
    """
    name = _escaped(validate_host(host))
    exchange = host_exchange(host, password)
    calls = _escaped(calls_queue(host, password))
    return Permissions(
        configure=NOTHING,
        write=rf"^{_escaped(exchange)}$",
        read=rf"^({calls}|{SERVICE}\.{name}\.in\.[0-9a-f]{{32}})$",
        topics={
            exchange: (
                rf"^{name}\.(reply\.[A-Za-z0-9]{{1,64}}|(worker|sampler)\.[a-z-]{{1,32}}(\.v[0-9])?"
                r"|out\.[0-9a-f]{32})$",
                NOTHING,
            ),
        },
        limits={"max-connections": HOST_CONNECTIONS, "max-channels": HOST_CHANNELS},
        exchange=exchange,
    )


def _escaped(name: str) -> str:
    return re.escape(name).replace(r"\-", "-")
