"""Compute a sample from two readings: the later values, and rates over the time between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from services.metrics.sampler.cpu_usage import host_cpu_percent, percent, used_cpus
from services.metrics.sampler.kernel_counters import Space
from services.metrics.sampler.rates import disk_rates, network_rates
from services.metrics.sampler.reading import MIXED, Identity, InstanceReading, Reading
from services.metrics.sampler.sanitize import MOST_INSTANCE_BYTES, TOO_MANY, Dropped
from shared.contracts.bounds import MOST, MOST_CORES, MOST_INSTANCES, MOST_LOAD
from shared.contracts.events import MAX_BYTES, Sampled
from shared.contracts.samples import HostSample, InstanceSample

# The most bytes of all instances in a message; the rest is some hundred bytes.
MOST_MESSAGE_BYTES = MAX_BYTES[Sampled] - (1 << 20)

S = TypeVar("S", bound=InstanceSample)
_encoder = msgspec.json.Encoder()


# Age in seconds of an instance's run; absent if unknown.
Ages = Mapping[Identity, float]


@dataclass(frozen=True, slots=True)
class SampledReading:
    """A reading with the samples that were computed from it."""

    reading: Reading
    samples: Mapping[Identity, InstanceSample]


def new_runs(earlier: SampledReading | None, now: Reading) -> list[InstanceReading]:
    """Return the instances that have started since the earlier reading; all, if there is none."""
    before = earlier.reading.instances if earlier else {}
    return [
        each
        for identity, each in now.instances.items()
        if not _is_same_run(before.get(identity), each)
    ]


def source_of(now: Reading) -> str | None:
    """Return the source of the instances' readings; None if none runs."""
    sources = {each.source for each in now.instances.values()}
    return MIXED if len(sources) > 1 else next(iter(sources), None)


def instance_samples(
    earlier: SampledReading | None, now: Reading, ages: Ages
) -> dict[Identity, InstanceSample]:
    """Return a sample of each running instance.

    Shares and rates are means since the instance's earlier reading. For a run that began later, CPU
    is the mean since its start, unknown if its age is, and rates are unknown. An instance that was
    not read again keeps its sample.
    """
    samples = {}
    for identity, each in now.instances.items():
        before = earlier.reading.instances.get(identity) if earlier else None
        if earlier and before is each:
            samples[identity] = earlier.samples[identity]
        else:
            same_run = before if _is_same_run(before, each) else None
            samples[identity] = _instance_sample(same_run, each, ages)
    return samples


def within_message(samples: list[S], dropped: Dropped) -> list[S]:
    """Shorten and drop samples, largest first, until they fit one message.

    Fewer than nine hundred instances always fit, in any form.
    """
    if len(samples) * MOST_INSTANCE_BYTES <= MOST_MESSAGE_BYTES:
        return samples
    samples, beyond = samples[:MOST_INSTANCES], samples[MOST_INSTANCES:]
    sizes = [_size(each) for each in samples]
    surplus, cut = sum(sizes) - MOST_MESSAGE_BYTES, len(beyond)
    for place in sorted(range(len(samples)), key=sizes.__getitem__, reverse=True):
        if surplus <= 0:
            break
        samples[place] = _without_lists(samples[place])
        surplus -= sizes[place] - _size(samples[place])
        cut += 1
    while surplus > 0:
        surplus -= _size(samples.pop())
        cut += 1
    if cut:
        dropped[TOO_MANY] += cut
    return samples


def host_sample(earlier: SampledReading | None, now: Reading) -> HostSample:
    """Return the sample of the host; without an earlier one its CPU is the mean since boot."""
    host, before = now.host, earlier.reading if earlier else None
    space, network = _default_space(now), now.network if now.network.ends else None
    elapsed_s = now.at_s - before.at_s if before else 0.0
    rx_rate, tx_rate = network_rates(before.network if before else None, network, elapsed_s)
    return HostSample(
        cpu_cores=min(host.cpus, MOST_CORES),
        cpu_percent=host_cpu_percent(before, host),
        memory_total=_within(host.memory_total),
        memory_used=_within(host.memory_used),
        disk_total=_within(space.total),
        disk_used=_within(space.used),
        load_1=_up_to(MOST_LOAD, host.load_1),
        network_rx=network.received if network else None,
        network_tx=network.sent if network else None,
        network_rx_rate=rx_rate,
        network_tx_rate=tx_rate,
    )


def _default_space(now: Reading) -> Space:
    return now.pools.spaces.get(now.pools.default, now.host.root_space)


def _is_same_run(before: InstanceReading | None, now: InstanceReading) -> bool:
    """Return whether two readings of one identity are of one run, faster than by their `run`s."""
    return before is not None and before.pid == now.pid and before.uuid == now.uuid


def _size(sample: InstanceSample) -> int:
    return len(_encoder.encode(sample)) + len(",")


def _without_lists(sample: S) -> S:
    return replace(sample, addresses=(), interfaces=None, block_devices=None)


def _up_to(most: float, number: float | None) -> float | None:
    return number if number is not None and 0 <= number <= most else None


def _within(number: int) -> int:
    """Return a required number of a host's sample, limited to its bounds."""
    return min(max(number, 0), MOST)


def _instance_sample(
    before: InstanceReading | None, now: InstanceReading, ages: Ages
) -> InstanceSample:
    cpus = used_cpus(before, now, _age_s(now, ages))
    elapsed_s = now.at_s - before.at_s if before else 0.0
    rx_rate, tx_rate = network_rates(before.network if before else None, now.network, elapsed_s)
    read_rate, write_rate = disk_rates(before.disk if before else None, now.disk, elapsed_s)
    return InstanceSample(
        name=now.name,
        uuid=now.uuid,
        project=now.project,
        cpu_percent=None if cpus is None or now.cpus is None else percent(cpus, now.cpus),
        cpu_core_percent=None if cpus is None else _up_to(MOST, round(cpus * 100, 2)),
        cpu_ns=now.cpu_ns,
        memory_used=now.memory_used,
        memory_total=now.memory_total,
        disk_used=now.disk_used,
        disk_total=now.disk_total,
        disk_read=now.disk.read if now.disk else None,
        disk_write=now.disk.written if now.disk else None,
        disk_read_rate=read_rate,
        disk_write_rate=write_rate,
        network_rx=now.network.received if now.network else None,
        network_tx=now.network.sent if now.network else None,
        network_rx_rate=rx_rate,
        network_tx_rate=tx_rate,
        processes=now.processes,
        addresses=now.addresses,
        cpu_user_s=now.details.cpu_user_s,
        cpu_system_s=now.details.cpu_system_s,
        memory=now.details.memory,
        interfaces=now.network.interfaces if now.network else None,
        block_devices=now.details.block_devices,
    )


def _age_s(instance: InstanceReading, ages: Ages) -> float:
    return ages.get(instance.identity, 0.0) if instance.counted_since_start else 0.0
