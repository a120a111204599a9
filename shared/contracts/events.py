"""The events that a host publishes.

Their type and host are in the routing key, never in the body.

A producer (`worker` or `sampler`) numbers its events: `epoch` grows with every start of the
producer, `sequence` by one with every event. A reader that finds a gap requests a full inventory,
which is itself such an event. Samples are self-contained and need no gap handling.

A second major version of an event has a key of its own, so that a reader of the first does not get
it (`host.sampler.*` fits no key of four words).

History:

    1.0  2026-11  Heartbeat, Inventory, InstanceChanged, InstanceRemoved, OperationChanged, Sampled
    1.1  2026-11  Sampled: CPU time, parts of memory, interfaces and block devices of instances
                  CPU of one core and in ns, disk traffic, rates, the host's network
                  Inventory, InstanceChanged: names, labels, origin, networks of instances
                  OperationChanged: see operations
    1.0  2026-11  HostDescribed
    1.0  2026-11  ImageServersRead
    1.1, and 1.2 of Inventory, InstanceChanged, OperationChanged and Sampled
         2026-11  every field has a bound
    1.2  2026-11  Heartbeat: the queue that the worker needs
    1.3  2026-11  Inventory, InstanceChanged: all options of a proxy
                  Inventory, InstanceChanged: ephemeral
                  Inventory, InstanceChanged: limits of instances
                  Inventory, InstanceChanged: what a revert brings back
                  OperationChanged: see operations
                  Sampled: which addresses are of configured NICs
    1.0  2026-11  PolicyRunChanged, ProtectionReported
    2.0  2026-11  Sampled: instances as arrays, under a key of its own; SampledV1 is 1.3 of it
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from shared.contracts import operations, policies
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
from shared.contracts.instances import DEFAULT_PROJECT, Instance
from shared.contracts.operations import Operation
from shared.contracts.policies import PolicyRun, Protections
from shared.contracts.samples import HostSample, InstanceSample
from shared.contracts.samples_v1 import InstanceSampleV1

VERSION = "1.1"
HEARTBEAT_VERSION = "1.2"
INSTANCE_VERSION = "1.3"
SAMPLED_VERSION = "2.0"
SAMPLED_V1_VERSION = "1.3"
WORKER = "worker"
SAMPLER = "sampler"


class Heartbeat(Struct, frozen=True, kw_only=True):
    """The worker is alive; `sequence` is that of its last other event, as this one has no number.

    `fingerprint` is the SHA-256 of the daemon's certificate, in hex; empty until LXD has answered
    once. `lxd` is the server's version, `clock` the worker's Unix time as text (for clock skew).
    `server` is `lxd` or `incus`, `server_name` LXD's name of the machine. `calls_queue` names the
    missing queue from which the worker would consume calls, as hosts may not declare queues; empty:
    it consumes calls.
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
    """All instances of the host's LXD; replaces all that a reader has of the host."""

    epoch: Count
    sequence: Count
    at: Word
    instances: Annotated[list[Instance], Meta(max_length=MOST_INSTANCES)]
    version: Version = INSTANCE_VERSION


class InstanceChanged(Struct, frozen=True, kw_only=True):
    """An instance was created or changed; `action` is LXD's lifecycle action."""

    epoch: Count
    sequence: Count
    at: Word
    action: Word
    instance: Instance
    version: Version = INSTANCE_VERSION


class InstanceRemoved(Struct, frozen=True, kw_only=True):
    """An instance was deleted or renamed.

    `revision` orders this against descriptions of the instance.
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
    """The host's resources for new instances.

    Self-contained, without an event number. `capacity` is None while LXD does not report it;
    `address` is that of the ports in the host's pool, empty without a pool. `projects` are those
    whose instances the worker reports.
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
    """The images on the servers that the host's operator allows, by the operator's server names.

    Self-contained, without an event number. Addresses are not included: only the host contacts an
    image server.
    """

    epoch: Count
    at: Word
    servers: Annotated[dict[Word, Served], Meta(max_length=MOST_SERVERS)] = {}
    version: Version = VERSION


class OperationChanged(Struct, frozen=True, kw_only=True):
    """An operation's record changed.

    Ordered by `operation.sequence`, without an event number. Its version is that of the record.
    """

    operation: Operation
    version: Version = operations.VERSION


class PolicyRunChanged(Struct, frozen=True, kw_only=True):
    """What was done for a slot of a snapshot policy changed.

    Ordered by `run.sequence`, without an event number. Its version is that of the run.
    """

    run: PolicyRun
    version: Version = policies.VERSION


class ProtectionReported(Struct, frozen=True, kw_only=True):
    """How the host's instances are protected by snapshot policies.

    Self-contained, without an event number. `plan_version` and `digest` are those of the plan that
    the host carries out (0 and empty: none). `clock_trusted`: it prunes, as its clock agreed with
    the centre's and has not jumped since. `at` is by the host's clock.
    """

    epoch: Count
    at: Word
    plan_version: Count = 0
    digest: Word = ""
    clock_trusted: bool = False
    instances: Protections = []
    version: Version = policies.VERSION


class SampleEnvelope(Struct, frozen=True, kw_only=True):
    """What every form of a sample tells beside its instances.

    `source` says how the instances were read: from `cgroup`, from `lxd`, or `mixed`. Values that
    only LXD has (disk use, addresses, virtual machines) are up to a minute old.
    """

    epoch: Count
    sequence: Count
    at: Word
    interval_s: Duration
    source: Word
    host: HostSample


class Sampled(SampleEnvelope, frozen=True, kw_only=True):
    """One sample of the host and its running instances."""

    instances: Annotated[list[InstanceSample], Meta(max_length=MOST_INSTANCES)]
    version: Version = SAMPLED_VERSION


class SampledV1(SampleEnvelope, frozen=True, kw_only=True):
    """A `Sampled` with objects, for gateways that read no other."""

    instances: Annotated[list[InstanceSampleV1], Meta(max_length=MOST_INSTANCES)]
    version: Version = SAMPLED_V1_VERSION


Event = (
    Heartbeat
    | Inventory
    | InstanceChanged
    | InstanceRemoved
    | HostDescribed
    | ImageServersRead
    | OperationChanged
    | PolicyRunChanged
    | ProtectionReported
    | Sampled
    | SampledV1
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
    "policy-run": PolicyRunChanged,
    "protection": ProtectionReported,
    "sample": SampledV1,
    "sample.v2": Sampled,
}
NAMES: dict[type[Event], str] = {kind: name for name, kind in TYPES.items()}
PRODUCER: dict[type[Event], str] = {
    kind: SAMPLER if kind in (Sampled, SampledV1) else WORKER for kind in NAMES
}

_KIB, _MIB = 2**10, 2**20

# The most bytes of an encoded event; a larger one is not read. The bounds of all fields together
# allow far more, so a producer makes sure that no instance takes up the room of the others.
MAX_BYTES: dict[type[Event], int] = {
    Heartbeat: 8 * _KIB,
    Inventory: 16 * _MIB,
    InstanceChanged: 128 * _KIB,
    InstanceRemoved: 8 * _KIB,
    HostDescribed: 4 * _MIB,
    ImageServersRead: 4 * _MIB,
    # A creation with the most SSH keys, and the created instance.
    OperationChanged: 1 * _MIB,
    PolicyRunChanged: 64 * _KIB,
    ProtectionReported: 8 * _MIB,
    Sampled: 16 * _MIB,
    SampledV1: 16 * _MIB,
}
