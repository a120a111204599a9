"""What a host tells the fleet, as facts.

The type and the host stand in the routing key, never in the body.

A producer (`worker` or `sampler`) numbers its events: `epoch` grows at every start of it,
`sequence` by one with every event. A reader that sees a gap asks for a full inventory, which is
itself such an event. A sample is complete in itself and needs no gap handling.

Ledger:

    1.0  2026-11  Heartbeat, Inventory, InstanceChanged, InstanceRemoved, OperationChanged, Sampled
    1.1  2026-11  Sampled: CPU time, parts of memory, interfaces and block devices of instances
                  CPU of one core and in ns, disk traffic, rates, the host's network
                  Inventory, InstanceChanged: names, labels, origin, networks of instances
                  OperationChanged: see operations
    1.0  2026-11  HostDescribed
    1.0  2026-11  ImageServersRead
    1.1, and 1.2 of Inventory, InstanceChanged, OperationChanged and Sampled
         2026-11  every field has a bound
    1.2  2026-11  Heartbeat: the queue that the worker has to be given
    1.3  2026-11  Inventory, InstanceChanged: all options of a proxy
                  Inventory, InstanceChanged: ephemeral
                  Inventory, InstanceChanged: limits of instances
                  Inventory, InstanceChanged: what a revert brings back
                  OperationChanged: see operations
                  Sampled: which addresses are of configured NICs
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from shared.contracts import operations
from shared.contracts.bounds import MOST_INSTANCES, Count, Duration, Name, Version, Word
from shared.contracts.hosts import (
    MOST_IMAGES,
    MOST_NETWORKS,
    MOST_SERVERS,
    Capacity,
    Image,
    Network,
    Served,
)
from shared.contracts.instances import DEFAULT_PROJECT, HostSample, Instance, InstanceSample
from shared.contracts.operations import Operation

VERSION = "1.1"
HEARTBEAT_VERSION = "1.2"
INSTANCE_VERSION = "1.3"
SAMPLED_VERSION = "1.3"
WORKER = "worker"
SAMPLER = "sampler"


class Heartbeat(Struct, frozen=True, kw_only=True):
    """The worker lives; `sequence` is that of its last other event, for it has none of its own.

    `fingerprint` is the SHA-256 of the daemon's certificate, in hex; empty until LXD was reached
    once. `lxd` is the server's version text, `clock` the worker's Unix time as text (for clock
    skew). `server` is `lxd` or `incus`, `server_name` LXD's own name of the machine.
    `calls_queue` names the queue from which the worker wants to take calls and which is not there;
    hosts may not declare any. Empty: it takes calls.
    """

    epoch: Count
    sequence: Count
    clock: Word
    lxd_connected: bool
    interval_s: Duration
    fingerprint: Word = ""
    lxd: Word = ""
    server: Word = ""
    server_name: Word = ""
    journal_length: Count = 0
    calls_queue: Word = ""
    version: Version = HEARTBEAT_VERSION


class Inventory(Struct, frozen=True, kw_only=True):
    """Everything the host's LXD holds; replaces whatever a reader knew of the host."""

    epoch: Count
    sequence: Count
    at: Word
    instances: Annotated[list[Instance], Meta(max_length=MOST_INSTANCES)]
    version: Version = INSTANCE_VERSION


class InstanceChanged(Struct, frozen=True, kw_only=True):
    """An instance was created or is different now; `action` is LXD's lifecycle action."""

    epoch: Count
    sequence: Count
    at: Word
    action: Word
    instance: Instance
    version: Version = INSTANCE_VERSION


class InstanceRemoved(Struct, frozen=True, kw_only=True):
    """An instance is gone: deleted, or renamed away.

    `revision` orders it against readings of the instance.
    """

    epoch: Count
    sequence: Count
    at: Word
    action: Word
    name: Name
    revision: Count
    project: Word = DEFAULT_PROJECT
    version: Version = VERSION


class HostDescribed(Struct, frozen=True, kw_only=True):
    """What the host has for instances yet to be created.

    It is complete in itself and takes no event number. `capacity` is None while LXD does not tell;
    `address` is where the ports of the host's pool are reached, empty where it has no pool.
    `projects` are those whose instances the worker reports.
    """

    epoch: Count
    at: Word
    capacity: Capacity | None = None
    images: Annotated[list[Image], Meta(max_length=MOST_IMAGES)] = []
    networks: Annotated[list[Network], Meta(max_length=MOST_NETWORKS)] = []
    projects: Annotated[list[Word], Meta(max_length=MOST_NETWORKS)] = []
    address: Word = ""
    version: Version = VERSION


class ImageServersRead(Struct, frozen=True, kw_only=True):
    """What the image servers have that the host's operator allows, by the operator's names of them.

    It is complete in itself and takes no event number. No address is told, for nobody but the host
    shall ask an image server.
    """

    epoch: Count
    at: Word
    servers: Annotated[dict[Word, Served], Meta(max_length=MOST_SERVERS)] = {}
    version: Version = VERSION


class OperationChanged(Struct, frozen=True, kw_only=True):
    """An operation moved on.

    It has its own order (`operation.sequence`) and takes no event number. It is as new as the
    record that it carries.
    """

    operation: Operation
    version: Version = operations.VERSION


class Sampled(Struct, frozen=True, kw_only=True):
    """One sample of the host and its running instances.

    `source` says how the instances were read: `cgroup`, `lxd`, or `mixed` for some one way and some
    the other. What only LXD can tell (disk use, addresses, virtual machines) is up to a minute old.
    """

    epoch: Count
    sequence: Count
    at: Word
    interval_s: Duration
    source: Word
    host: HostSample
    instances: Annotated[list[InstanceSample], Meta(max_length=MOST_INSTANCES)]
    version: Version = SAMPLED_VERSION


Event = (
    Heartbeat
    | Inventory
    | InstanceChanged
    | InstanceRemoved
    | HostDescribed
    | ImageServersRead
    | OperationChanged
    | Sampled
)

# The last word of the routing key, for each event.
TYPES: dict[str, type[Event]] = {
    "heartbeat": Heartbeat,
    "inventory": Inventory,
    "instance-changed": InstanceChanged,
    "instance-removed": InstanceRemoved,
    "host": HostDescribed,
    "image-servers": ImageServersRead,
    "operation": OperationChanged,
    "sample": Sampled,
}
NAMES: dict[type[Event], str] = {kind: name for name, kind in TYPES.items()}
PRODUCER: dict[type[Event], str] = {kind: SAMPLER if kind is Sampled else WORKER for kind in NAMES}

_KIB, _MIB = 2**10, 2**20

# The bytes of an event as it is sent; a larger one is not read. The most of each field together
# would be more by far: a producer sees to it that one instance cannot take the room of the others.
MAX_BYTES: dict[type[Event], int] = {
    Heartbeat: 8 * _KIB,
    Inventory: 16 * _MIB,
    InstanceChanged: 128 * _KIB,
    InstanceRemoved: 8 * _KIB,
    HostDescribed: 4 * _MIB,
    ImageServersRead: 4 * _MIB,
    # A creation with all the SSH keys that it may have, and the instance it made.
    OperationChanged: 1 * _MIB,
    Sampled: 16 * _MIB,
}
