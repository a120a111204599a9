"""Cache the running instances as LXD last described them, and refresh them when due.

A background loop sends the requests, so that a slow LXD delays no sample; a round sends them itself
only if nothing but LXD can measure. Only one request at a time, so that an older answer never
replaces a newer one.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager

from services.metrics.sampler.instance_errors import FAILURES, InstanceErrors
from services.metrics.sampler.kernel_counters import InstanceRefused
from services.metrics.sampler.lxd_instances import InstanceWithState
from services.metrics.sampler.outage_log import OutageLog
from services.metrics.sampler.poll_schedule import (
    SOON_S,
    PollSchedule,
    affects_many,
    poll_delays_s,
)
from services.metrics.sampler.protocols import LxdQueries, Monotonic, ReadHost
from services.metrics.sampler.reading import (
    HostReading,
    Identity,
    InstanceReading,
    Pools,
    reading_from_lxd,
)
from services.metrics.sampler.run_details import RunDetails
from services.metrics.sampler.sanitize import Dropped
from services.metrics.sampler.ttl_cache import TtlCache
from shared.contracts.errors import LxdUnavailable
from shared.lxd.models import LifecycleEvent

# How old the space of the storage pools may be, as each pool costs a request.
POOLS_S = 30.0


class InstanceCache:
    """The running instances as LXD described them.

    All of them are requested every `period_s`; events cause requests in between.
    """

    def __init__(
        self,
        lxd: LxdQueries,
        host: ReadHost,
        clock: Monotonic,
        errors: InstanceErrors,
        *,
        period_s: float,
    ) -> None:
        self.errors = errors
        self._lxd = lxd
        self._host = host
        self._clock = clock
        self._pools = TtlCache(lxd.pools, clock, POOLS_S, Pools({}))
        self._details = RunDetails(lxd, clock, errors)
        self._poll_schedule = PollSchedule(period_s=period_s, now_s=clock())
        self._readings: dict[Identity, InstanceReading] = {}
        self._one_at_a_time = threading.Lock()
        self._outages = OutageLog("LXD")

    @property
    def running(self) -> Collection[InstanceReading]:
        """The instances that were running at the last request."""
        return list(self._readings.values())

    @property
    def pools(self) -> Pools:
        """The storage pools at the last request."""
        return self._pools.last

    @property
    def lxd_answers(self) -> bool:
        """Whether LXD answered the last request."""
        return self._outages.available

    def on_event(self, event: LifecycleEvent) -> None:
        """Schedule requests for what an event of LXD affects."""
        now_s = self._clock()
        if affects_many(event):
            self._poll_schedule.request_all(now_s + SOON_S)
        for delay_s in poll_delays_s(event):
            self._poll_schedule.request(event.identity, now_s + delay_s)

    def on_listening(self) -> None:
        """Request everything, as earlier events were missed."""
        self._poll_schedule.request_all(self._clock())

    def mark_stale(self, identity: Identity) -> None:
        """Request an instance that differs from the cache, as its event may be lost."""
        self._poll_schedule.request(identity, self._clock() + SOON_S)

    def request_details(self, needed: bool) -> None:
        """Set whether to request LXD's metrics: whether nothing else measures some instances."""
        self._details.needed = needed

    def refresh_if_due(self) -> None:
        """Send the requests that are due."""
        now_s = self._clock()
        if self._poll_schedule.all_due(now_s):
            self.refresh()
        elif identities := self._poll_schedule.due(now_s):
            self._refresh_some(identities)

    def refresh(self) -> None:
        """Request all instances at once."""
        with self._request() as sent_at_s:
            pools, host = self._pools.read(), self._host()
            instances = self._lxd.instances()
            at_s = self._midpoint(sent_at_s)
            readings = [self._decode(at_s, each, host, pools) for each in instances]
            running = [self._details.add_to(each) for each in readings if each is not None]
            self._readings = {each.identity: each for each in running}
            self._details.forget_others(running)
            self.errors.forget_others([(each.project, each.name) for each in instances])
            self._poll_schedule.all_done(sent_at_s)

    def _refresh_some(self, identities: Sequence[Identity]) -> None:
        with self._request():
            for identity in identities:
                sent_at_s = self._clock()
                try:
                    instance = self._lxd.instance(*identity)
                except InstanceRefused as exc:
                    # It stays in the cache: the request for all instances may succeed.
                    self.errors.failed(identity, exc)
                else:
                    self._store(identity, instance, self._midpoint(sent_at_s))
                self._poll_schedule.done(identity, sent_at_s)

    def _store(self, identity: Identity, instance: InstanceWithState | None, at_s: float) -> None:
        reading = instance and self._decode(at_s, instance, self._host(), self._pools.read())
        if reading:
            self._readings[identity] = self._details.add_to(reading)
        else:
            self._readings.pop(identity, None)

    def _decode(
        self, at_s: float, instance: InstanceWithState, host: HostReading, pools: Pools
    ) -> InstanceReading | None:
        identity, dropped = (instance.project, instance.name), Dropped()
        try:
            reading = reading_from_lxd(at_s, instance, host, pools, dropped)
        except FAILURES as exc:
            self.errors.failed(identity, exc)
            return None
        self.errors.left_out(identity, dropped)
        return reading

    def _midpoint(self, sent_at_s: float) -> float:
        # LXD reads one instance after another while we wait: the middle is off by the least.
        return (sent_at_s + self._clock()) / 2

    @contextmanager
    def _request(self) -> Iterator[float]:
        with self._one_at_a_time:
            try:
                yield self._clock()
            except LxdUnavailable as exc:
                self._poll_schedule.failed(self._clock())
                self._outages.note(exc)
            else:
                self._outages.note(None)
