"""What a simulated host reports: what a worker and a sampler send of a host with busy instances.

Samples are most of what a fleet sends, so each is encoded only once, for a host that does not
exist; it becomes another host's by putting other bytes into the place of that host's number, its
addresses, the sequence and the time. All else is encoded as workers do it.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from shared.contracts.codec import encode
from shared.contracts.events import Heartbeat, HostDescribed, Inventory, Sampled
from shared.contracts.hosts import Capacity, Image, Network
from shared.contracts.instance_config import Limits
from shared.contracts.instances import Instance, Proxy
from shared.contracts.samples import (
    Address,
    BlockDevice,
    HostSample,
    InstanceSample,
    Interface,
    MemoryParts,
)

EPOCH = 1
GIB = 2**30
MIB = 2**20
# Heartbeats and samples come at these intervals unless an operator changes that.
HEARTBEAT_S, SAMPLE_S, INVENTORY_S = 2.0, 5.0, 60.0
# So many different samples of a host follow one another, and then the first one again.
VARIANTS = 6
CREATED_AT = "2026-01-20T10:00:00Z"
TEAMS = 20
# One in so many instances does not run.
STOPPED_EVERY = 25
ROLES = ("web", "db", "cache", "queue", "build")

# In the templates: the host whose bytes are replaced, a sequence and a time.
_NOBODY = 0xEA11
_SEQUENCE = 7_070_707_070
_AT = "2001-02-03T04:05:06Z"
# Sequences have as many digits as the template's.
_FIRST_SEQUENCE = 1_000_000_000


class Change(NamedTuple):
    """What an instance has been changed to: its revision and description."""

    revision: int
    description: str


def host_id(host: int) -> str:
    """Return the id of a host."""
    return f"h{host:04}"


def instance_name(host: int, number: int) -> str:
    """Return an instance's name; in the order of names, hosts are mixed."""
    return f"{ROLES[number % len(ROLES)]}-{number:03}-{_hex(host)}"


def instance_uuid(host: int, number: int) -> str:
    """Return an instance's uuid."""
    return f"{_hex(host)}{number:04x}-0b5e-4c1d-8f3a-6d2e9c7b1a40"


def label(number: int) -> str:
    """Return the label that one in `TEAMS` instances has, as a filter takes it."""
    return f"team=team-{number % TEAMS:02}"


def instance(host: int, number: int, change: Change | None = None) -> Instance:
    """Return the configuration of an instance."""
    revision, description = change or Change(1, f"customer {host:04}{number:03}, since 2026")
    key, _, team = label(number).partition("=")
    return Instance(
        name=instance_name(host, number),
        uuid=instance_uuid(host, number),
        type="container",
        status="Running" if is_running(number) else "Stopped",
        architecture="x86_64",
        created_at=CREATED_AT,
        description=description,
        proxies=(
            Proxy(
                device="lxdfleet-22",
                listen=f"tcp:192.0.2.1:{20000 + number}",
                connect=f"tcp:{_ipv4(host, number)}:22",
                options={"nat": "true"},
            ),
        ),
        cpu_limit="2",
        memory_limit=2 * GIB,
        root_size=20 * GIB,
        profiles=("default",),
        revision=revision,
        display_name=f"{ROLES[number % len(ROLES)]} of customer {number}",
        labels={"env": "production", key: team},
        auto_start=True,
        os="ubuntu24.04",
        networks=("lxdbr0",),
        limits=Limits(ingress=100_000_000, egress=100_000_000, processes=2000),
    )


def is_running(number: int) -> bool:
    """Return whether an instance runs, and so is in the samples."""
    return number % STOPPED_EVERY != STOPPED_EVERY - 1


def inventory(
    host: int, instances: int, changes: Mapping[int, Change], sequence: int, at: str
) -> Inventory:
    """Return all instances of a host, with the changes that there were."""
    present = [instance(host, number, changes.get(number)) for number in range(instances)]
    return Inventory(epoch=EPOCH, sequence=sequence, at=at, instances=present)


def heartbeat(host: int, sequence: int, clock_s: float, interval_s: float) -> Heartbeat:
    """Return a heartbeat of a worker that takes calls."""
    return Heartbeat(
        epoch=EPOCH,
        sequence=sequence,
        clock=f"{clock_s:.3f}",
        lxd_connected=True,
        interval_s=interval_s,
        fingerprint=f"{host:064x}",
        lxd="5.0.2",
        server="lxd",
        server_name=f"machine-{host}",
    )


def description(at: str) -> HostDescribed:
    """Return what a host has for new instances."""
    aliases = ("ubuntu/24.04", "debian/12", "alpine/3.20")
    return HostDescribed(
        epoch=EPOCH,
        at=at,
        capacity=Capacity(cpu=256, memory=512 * GIB, disk=4096 * GIB),
        images=[
            Image(fingerprint=f"{number:064x}", aliases=(alias,), architecture="x86_64", size=MIB)
            for number, alias in enumerate(aliases)
        ],
        networks=[Network(name="lxdbr0", type="bridge", managed=True)],
        projects=["default"],
        address="192.0.2.1",
    )


class SampleTemplates:
    """The samples of hosts with so many instances."""

    def __init__(self, instances: int, interval_s: float = SAMPLE_S) -> None:
        self._bodies = [_template(instances, interval_s, variant) for variant in range(VARIANTS)]

    def sample(self, host: int, number: int, at: str) -> bytes:
        """Return a host's sample of this number, encoded; `at` is a time without fractions."""
        sequence = _FIRST_SEQUENCE + number
        return (
            self._bodies[number % VARIANTS]
            .replace(b"%d" % _SEQUENCE, b"%d" % sequence, 1)
            .replace(_AT.encode(), at.encode(), 1)
            .replace(_hex(_NOBODY).encode(), _hex(host).encode())
            .replace(_network(_NOBODY).encode(), _network(host).encode())
        )


def _template(instances: int, interval_s: float, variant: int) -> bytes:
    # The same in each run.
    rng = random.Random(variant)  # noqa: S311 - figures, not secrets
    running = [number for number in range(instances) if is_running(number)]
    return encode(
        Sampled(
            epoch=EPOCH,
            sequence=_SEQUENCE,
            at=_AT,
            interval_s=interval_s,
            source="cgroup",
            host=_host_sample(rng),
            instances=[_instance_sample(number, rng) for number in running],
        )
    )


def _host_sample(rng: random.Random) -> HostSample:
    return HostSample(
        cpu_cores=64,
        cpu_percent=round(rng.uniform(20, 60), 2),
        memory_total=256 * GIB,
        memory_used=rng.randrange(100, 200) * GIB,
        disk_total=4096 * GIB,
        disk_used=rng.randrange(1000, 2000) * GIB,
        load_1=round(rng.uniform(5, 40), 2),
        network_rx=rng.randrange(10**12, 10**13),
        network_tx=rng.randrange(10**12, 10**13),
        network_rx_rate=round(rng.uniform(10**6, 10**8), 1),
        network_tx_rate=round(rng.uniform(10**6, 10**8), 1),
    )


def _instance_sample(number: int, rng: random.Random) -> InstanceSample:
    received, sent, read, written = (rng.randrange(10**9, 10**11) for _ in range(4))
    cpu_s = rng.uniform(10**3, 10**5)
    return InstanceSample(
        name=instance_name(_NOBODY, number),
        uuid=instance_uuid(_NOBODY, number),
        cpu_percent=round(rng.uniform(0, 100), 2),
        cpu_core_percent=round(rng.uniform(0, 200), 2),
        cpu_ns=int(cpu_s * 10**9),
        cpu_user_s=round(cpu_s * 0.8, 6),
        cpu_system_s=round(cpu_s * 0.2, 6),
        memory_used=rng.randrange(2 * GIB),
        memory_total=2 * GIB,
        disk_used=rng.randrange(20 * GIB),
        disk_total=20 * GIB,
        disk_read=read,
        disk_write=written,
        disk_read_rate=_rate(rng),
        disk_write_rate=_rate(rng),
        network_rx=received,
        network_tx=sent,
        network_rx_rate=_rate(rng),
        network_tx_rate=_rate(rng),
        processes=rng.randrange(10, 200),
        addresses=_addresses(number),
        memory=_memory_parts(rng),
        interfaces=(_interface(received, sent, rng),),
        block_devices=(_block_device(read, written, rng),),
    )


def _rate(rng: random.Random) -> float:
    """Return a rate in bytes per second; half of them are nothing."""
    return max(0.0, round(rng.uniform(-(10**6), 10**6), 1))


def _addresses(number: int) -> tuple[Address, ...]:
    told: Sequence[tuple[str, str, str]] = (
        ("inet", _ipv4(_NOBODY, number), "global"),
        ("inet6", f"fd42:{_hex(_NOBODY)}:77aa:1::{number + 2:x}", "global"),
        ("inet6", f"fe80::216:3eff:fe11:{number + 2:x}", "link"),
    )
    return tuple(
        Address(device="eth0", family=family, address=address, scope=scope)
        for family, address, scope in told
    )


def _memory_parts(rng: random.Random) -> MemoryParts:
    idle = dict.fromkeys(("writeback", "swap", "unevictable"), 0)
    parts = {name: 4096 * rng.randrange(2**18) for name in MemoryParts.__struct_fields__}
    return MemoryParts(**parts | idle)


def _interface(received: int, sent: int, rng: random.Random) -> Interface:
    return Interface(
        device="eth0",
        rx_bytes=received,
        tx_bytes=sent,
        rx_packets=rng.randrange(10**6, 10**8),
        tx_packets=rng.randrange(10**6, 10**8),
        rx_errors=0,
        tx_errors=0,
        rx_dropped=rng.randrange(100),
        tx_dropped=0,
    )


def _block_device(read: int, written: int, rng: random.Random) -> BlockDevice:
    return BlockDevice(
        device="nvme0n1",
        read_bytes=read,
        written_bytes=written,
        reads=rng.randrange(10**5, 10**7),
        writes=rng.randrange(10**5, 10**7),
    )


def _hex(host: int) -> str:
    """Return a host's number as four digits, as in an IPv6 address."""
    return f"{0x1000 + host:04x}"


def _ipv4(host: int, number: int) -> str:
    return f"{_network(host)}{number + 2}"


def _network(host: int) -> str:
    """Return the beginning of a host's addresses; it is always of the same length."""
    # The template's own is nobody else's.
    if host == _NOBODY:
        return "10.255.255."
    return f"10.{100 + host // 150}.{100 + host % 150}."
