"""From two readings to a sample: the later one's values, and shares over the time between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.metrics.domain.described import Space
from services.metrics.domain.rates import disk_rates, network_rates
from services.metrics.domain.reading import MIXED, HostReading, Identity, InstanceReading, Reading
from shared.contracts.bounds import MOST_DEVICES
from shared.contracts.instances import HostSample, InstanceSample

NS_PER_S = 1_000_000_000

# Age in seconds of the run of an instance; absent where it cannot be known.
Ages = Mapping[Identity, float]


@dataclass(frozen=True, slots=True)
class Taken:
    """A reading with the samples that were made of it."""

    reading: Reading
    samples: Mapping[Identity, InstanceSample]


def new_runs(earlier: Taken | None, now: Reading) -> list[InstanceReading]:
    """Return the instances that have started since the earlier reading: all, if there is none."""
    return [each for each in now.instances.values() if _before(earlier, each) is None]


def source_of(now: Reading) -> str | None:
    """Return who the instances were read from; None where none runs."""
    sources = {each.source for each in now.instances.values()}
    return MIXED if len(sources) > 1 else next(iter(sources), None)


def instance_samples(
    earlier: Taken | None, now: Reading, ages: Ages
) -> dict[Identity, InstanceSample]:
    """Return a sample of each running instance.

    Shares and rates are means since the instance's earlier reading. For a run that had not begun
    then CPU is the mean since the run's start, and unknown if its age is; rates are unknown. What
    was not read anew keeps the sample it had.
    """
    return {
        identity: _kept(earlier, each) or _instance_sample(_before(earlier, each), each, ages)
        for identity, each in now.instances.items()
    }


def host_sample(earlier: Taken | None, now: Reading) -> HostSample:
    """Return the sample of the host; without an earlier one its CPU is the mean since boot."""
    host, before = now.host, earlier.reading if earlier else None
    space, network = _default_space(now), now.network if now.network.ends else None
    elapsed_s = now.at_s - before.at_s if before else 0.0
    rx_rate, tx_rate = network_rates(before.network if before else None, network, elapsed_s)
    return HostSample(
        cpu_cores=host.cpus,
        cpu_percent=_host_cpu_percent(before, host),
        memory_total=host.memory_total,
        memory_used=host.memory_used,
        disk_total=space.total,
        disk_used=space.used,
        load_1=host.load_1,
        network_rx=network.received if network else None,
        network_tx=network.sent if network else None,
        network_rx_rate=rx_rate,
        network_tx_rate=tx_rate,
    )


def _host_cpu_percent(earlier: Reading | None, host: HostReading) -> float:
    if earlier is None or earlier.host.cpu_total_s >= host.cpu_total_s:
        return _percent(host.cpu_busy_s, host.cpu_total_s)
    since = earlier.host
    return _percent(host.cpu_busy_s - since.cpu_busy_s, host.cpu_total_s - since.cpu_total_s)


def _default_space(now: Reading) -> Space:
    return now.pools.spaces.get(now.pools.default, now.host.root_space)


def _kept(earlier: Taken | None, now: InstanceReading) -> InstanceSample | None:
    if earlier is None or earlier.reading.instances.get(now.identity) is not now:
        return None
    return earlier.samples[now.identity]


def _before(earlier: Taken | None, now: InstanceReading) -> InstanceReading | None:
    before = earlier.reading.instances.get(now.identity) if earlier else None
    return before if before is not None and before.run == now.run else None


def _used_cpus(before: InstanceReading | None, now: InstanceReading, ages: Ages) -> float | None:
    """Return how many CPUs it kept busy, in the mean."""
    if now.cpu_ns is None:
        return None
    if before is None:
        used_ns, elapsed_s = now.cpu_ns, _age_s(now, ages)
    elif before.cpu_ns is None or now.cpu_ns < before.cpu_ns:
        return None  # the guest has just begun to count, or to count anew: since when is unknown
    else:
        used_ns, elapsed_s = now.cpu_ns - before.cpu_ns, now.at_s - before.at_s
    return used_ns / NS_PER_S / elapsed_s if elapsed_s > 0 else None


def _age_s(instance: InstanceReading, ages: Ages) -> float:
    return ages.get(instance.identity, 0.0) if instance.counted_since_start else 0.0


def _percent(used: float, available: float) -> float:
    """Return the share, which the inexact times of measuring must not drive out of 0-100."""
    return round(min(max(used / available * 100, 0.0), 100.0), 2)


def _instance_sample(
    before: InstanceReading | None, now: InstanceReading, ages: Ages
) -> InstanceSample:
    cpus = _used_cpus(before, now, ages)
    elapsed_s = now.at_s - before.at_s if before else 0.0
    rx_rate, tx_rate = network_rates(before.network if before else None, now.network, elapsed_s)
    read_rate, write_rate = disk_rates(before.disk if before else None, now.disk, elapsed_s)
    return InstanceSample(
        name=now.name,
        uuid=now.uuid,
        project=now.project,
        cpu_percent=None if cpus is None or now.cpus is None else _percent(cpus, now.cpus),
        cpu_core_percent=None if cpus is None else round(cpus * 100, 2),
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
        interfaces=now.network.interfaces[:MOST_DEVICES] if now.network else None,
        block_devices=now.details.block_devices and now.details.block_devices[:MOST_DEVICES],
    )
