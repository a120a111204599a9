"""Connect sampling to LXD, the kernel and the broker."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import eventlet
from eventlet.greenthread import GreenThread
from nameko.extensions import DependencyProvider

from services.metrics.sampler.cgroups.open_cgroups import CgroupFiles, allow_many_files
from services.metrics.sampler.disks import RealDisks
from services.metrics.sampler.instance_cache import InstanceCache
from services.metrics.sampler.instance_errors import InstanceErrors
from services.metrics.sampler.kernel import process_age_s, read_host
from services.metrics.sampler.lxd_source import MOST_ANSWER_BYTES, LxdSource
from services.metrics.sampler.proc_net_dev import ProcNetDev
from services.metrics.sampler.publishing import SamplePublisher
from services.metrics.sampler.sampling import Sampling, Sources
from services.metrics.settings import Settings
from services.metrics.telemetry import SamplerTelemetry
from shared.lxd.client import LxdClient
from shared.lxd.scope import LxdScope
from shared.platform.bus.publisher import EventPublisher
from shared.platform.run.background_loop import run_forever
from shared.platform.run.epoch import next_epoch

EPOCH_FILE = "sampler.epoch"

# How often to check for due requests to LXD, and to retry listening to its events.
REQUEST_S = 0.1
LISTEN_S = 0.5


class SamplingProvider(DependencyProvider):  # type: ignore[misc]
    """Provides the service's `Sampling`, with a connection to the broker for its lifetime."""

    def __init__(self, settings: Settings, telemetry: SamplerTelemetry) -> None:
        super().__init__()
        self._settings = settings
        self._telemetry = telemetry
        self._loops: list[GreenThread] = []

    def setup(self) -> None:
        """Begin a new epoch, so that samples of an earlier start are not taken for later ones."""
        settings = self._settings
        allow_many_files()
        self._publisher = EventPublisher(settings.amqp_uri, settings.host)
        self._publisher.on_connected.append(self._telemetry.broker.note_connection)
        self._telemetry.broker.watch(lambda: self._publisher.connected)
        client = LxdClient(
            settings.lxd_socket,
            settings.host,
            read_s=settings.lxd_timeout_s,
            most_bytes=MOST_ANSWER_BYTES,
        )
        self._lxd = LxdSource(client, LxdScope(settings.lxd_projects))
        self._instance_cache = InstanceCache(
            self._lxd,
            read_host,
            time.monotonic,
            InstanceErrors(self._telemetry.count_dropped, self._telemetry.count_failure),
            period_s=settings.lxd_interval_s,
        )
        self._sampling = Sampling(
            _sources(),
            self._instance_cache,
            self._telemetry.count_outcomes(
                SamplePublisher(self._publisher, time.monotonic).publish
            ),
            epoch=next_epoch(settings.state_dir / EPOCH_FILE),
            interval_s=settings.interval_s,
        )

    def start(self) -> None:
        """Connect to the broker, listen to LXD and send requests, all in the background."""
        self._publisher.start()
        self._loops = [
            eventlet.spawn(run_forever, self._listen, LISTEN_S),
            eventlet.spawn(run_forever, self._instance_cache.refresh_if_due, REQUEST_S),
        ]

    def stop(self) -> None:
        """Disconnect from LXD and the broker; the last round has ended by now."""
        for loop in self._loops:
            loop.kill()
        self._publisher.stop()

    def get_dependency(self, _: Any) -> Sampling:
        """Return the only `Sampling`, as each sample needs the previous reading."""
        return self._sampling

    def _listen(self) -> None:
        self._lxd.listen(self._instance_cache.on_listening, self._instance_cache.on_event)


def _sources() -> Sources:
    return Sources(
        cgroups=CgroupFiles(RealDisks().name, time.monotonic),
        network=ProcNetDev(),
        host=read_host,
        process_age=process_age_s,
        clock=time.monotonic,
        now=lambda: datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )
