"""Take samples, one after another, whatever LXD and the broker do meanwhile.

Containers are measured through their cgroups; LXD is needed only to list them. Other instances are
as LXD last described them. While LXD is away they are omitted, and if none remain nothing is
published: the age of the last sample then says more than a sample without instances. While the
broker is away samples are dropped, as a new one replaces them all.

No instance affects the sample of another: each is read separately, and invalid values are omitted.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from services.metrics.sampler.instance_cache import InstanceCache
from services.metrics.sampler.instance_errors import FAILURES, HOST
from services.metrics.sampler.kernel_counters import InstanceEnded
from services.metrics.sampler.network import traffic_from_outside, traffic_of
from services.metrics.sampler.outage_log import OutageLog
from services.metrics.sampler.protocols import (
    Cgroups,
    Monotonic,
    NetworkSource,
    Now,
    ProcessAge,
    Publish,
    ReadHost,
)
from services.metrics.sampler.reading import (
    CGROUP,
    LXD,
    MIXED,
    InstanceReading,
    Reading,
    with_usage,
)
from services.metrics.sampler.sample import (
    Ages,
    SampledReading,
    host_sample,
    instance_samples,
    new_runs,
    source_of,
    within_message,
)
from services.metrics.sampler.sanitize import Dropped
from shared.contracts.errors import BrokerUnavailable
from shared.contracts.events import Sampled
from shared.contracts.samples import InstanceSample
from shared.lxd.models import NetworkCounters

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sources:
    """The sources of all readings."""

    cgroups: Cgroups
    network: NetworkSource
    host: ReadHost
    process_age: ProcessAge
    clock: Monotonic
    now: Now


class Sampling:
    """Takes the samples of one host; each needs the previous reading."""

    def __init__(
        self,
        sources: Sources,
        cache: InstanceCache,
        publish: Publish,
        *,
        epoch: int,
        interval_s: float,
    ) -> None:
        self._sources = sources
        self._instance_cache = cache
        self._publish = publish
        self._epoch = epoch
        self._interval_s = interval_s
        self._sequence = 0
        self._earlier: SampledReading | None = None
        self._source: str | None = None
        self._broker = OutageLog("the broker")
        # Reused, and empty between instances: a new one for each would cost as much as a read.
        self._dropped = Dropped()

    def take(self) -> None:
        """Take one sample and publish it; drop it if the broker is away."""
        sample = self._sample()
        if sample is None:
            return
        try:
            self._publish(sample)
        except BrokerUnavailable as exc:
            self._broker.note(exc)
        else:
            self._broker.note(None)

    def _sample(self) -> Sampled | None:
        # Until LXD has listed the instances nothing else can measure them.
        if self._source in (None, LXD):
            self._instance_cache.refresh()
        at, now, earlier = self._sources.now(), self._read(), self._earlier
        if not self._instance_cache.lxd_answers and source_of(now) is None:
            return None
        self._instance_cache.request_details(source_of(now) in (LXD, MIXED))
        samples = instance_samples(earlier, now, self._ages(earlier, now))
        self._earlier = SampledReading(now, samples)
        self._sequence += 1
        return Sampled(
            epoch=self._epoch,
            sequence=self._sequence,
            at=at,
            interval_s=self._interval_s,
            source=self._note_source(source_of(now) or CGROUP),
            host=host_sample(earlier, now),
            instances=self._within_message(list(self._earlier.samples.values())),
        )

    def _within_message(self, samples: list[InstanceSample]) -> list[InstanceSample]:
        dropped = Dropped()
        samples = within_message(samples, dropped)
        self._instance_cache.errors.left_out(HOST, dropped)
        return samples

    def _read(self) -> Reading:
        sources, running, dropped = self._sources, self._instance_cache.running, Dropped()
        sources.cgroups.forget_others(running)
        at_s, network = sources.clock(), sources.network.host(dropped)
        hardware = {name: network.counters[name] for name in network.hardware}
        traffic = traffic_of(hardware, dropped)
        self._instance_cache.errors.left_out(HOST, dropped)
        measured = [self._measure_safely(each, at_s, network.counters) for each in running]
        return Reading(
            at_s=at_s,
            host=sources.host(),
            pools=self._instance_cache.pools,
            network=traffic,
            instances={each.identity: each for each in measured if each is not None},
        )

    def _measure_safely(
        self, instance: InstanceReading, at_s: float, host: Mapping[str, NetworkCounters]
    ) -> InstanceReading | None:
        """Return a reading, or None if the instance cannot be read, for whatever reason."""
        dropped = self._dropped
        try:
            return self._measure(instance, at_s, host, dropped)
        except FAILURES as exc:
            self._instance_cache.errors.failed(instance.identity, exc)
            return None
        finally:
            if dropped:
                self._instance_cache.errors.left_out(instance.identity, dropped)
                dropped.clear()

    def _measure(
        self,
        instance: InstanceReading,
        at_s: float,
        host: Mapping[str, NetworkCounters],
        dropped: Dropped,
    ) -> InstanceReading | None:
        try:
            usage = self._sources.cgroups.read(instance, dropped)
        except InstanceEnded:
            self._instance_cache.mark_stale(instance.identity)
            return None
        if usage is None:
            return instance if self._instance_cache.lxd_answers else None
        network = traffic_from_outside(instance.nics, host, instance.network, dropped)
        if network is None:
            own = [nic.device for nic in instance.nics]
            network = self._sources.network.inside(instance.pid, own, dropped)
        return with_usage(at_s, instance, usage, network)

    def _ages(self, earlier: SampledReading | None, now: Reading) -> Ages:
        ages = {
            each.identity: self._sources.process_age(each.pid) for each in new_runs(earlier, now)
        }
        return {identity: age_s for identity, age_s in ages.items() if age_s is not None}

    def _note_source(self, source: str) -> str:
        if source != self._source:
            _log.info("the source of samples is %s", source)
        self._source = source
        return source
