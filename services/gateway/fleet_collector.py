"""The fleet's size and health, read from the fleet view at every scrape.

While the view is still being read there is nothing to tell: a series is absent, never zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from services.gateway.error_boundary import EntrySubject, ErrorBoundary
from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import HostView, InstanceView
from shared.contracts.errors import FleetViewNotReady
from shared.contracts.instances import HostSample
from shared.contracts.status import Status

# What else a host may call a status is counted as `Other`.
OTHER = "Other"

OF_HOST: tuple[tuple[str, str, Callable[[HostView], float | None]], ...] = (
    ("host_online", "Whether the host's worker is heard.", lambda known: known.online),
    ("host_lxd_connected", "Whether the host's LXD answers.", lambda known: known.lxd_connected),
    ("host_trusted", "Whether it reports as the host it was.", lambda known: known.trusted),
    ("host_instances", "Instances on the host.", lambda known: known.instances),
    (
        "host_duplicates",
        "Of them, those whose uuid another instance held first.",
        lambda known: known.duplicates,
    ),
    ("host_instances_left_out", "Beyond its budget.", lambda known: known.left_out.instances),
    ("host_samples_left_out", "Beyond its budget.", lambda known: known.left_out.samples),
    ("host_images_left_out", "Beyond its budget.", lambda known: known.left_out.images),
    ("sample_age_seconds", "Age of the host's newest sample.", lambda known: known.sample_age_s),
    ("host_clock_skew_seconds", "Its clock minus ours.", lambda known: known.clock_skew_s),
    ("journal_length", "Operations in its worker's journal.", lambda known: known.journal_length),
)
OF_SAMPLE: tuple[tuple[str, str, Callable[[HostSample], float | None]], ...] = (
    ("host_cpus", "CPUs of the host.", lambda sample: sample.cpu_cores),
    ("host_cpu_ratio", "CPU in use, 0 to 1.", lambda sample: sample.cpu_percent / 100),
    ("host_load1", "Load over one minute.", lambda sample: sample.load_1),
    ("host_memory_size_bytes", "Memory of the host.", lambda sample: sample.memory_total),
    ("host_memory_used_bytes", "Memory in use.", lambda sample: sample.memory_used),
    ("host_disk_size_bytes", "Its storage pool's space.", lambda sample: sample.disk_total),
    ("host_disk_used_bytes", "Its storage pool's used space.", lambda sample: sample.disk_used),
)


Values = dict[str, float | None]


class FleetCollector(Collector):
    """Collects from a fleet view; a host whose values are none has no series, and only it."""

    def __init__(self, fleet: FleetView, boundary: ErrorBoundary) -> None:
        self._fleet = fleet
        self._boundary = boundary

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every family, or none while the view is not ready."""
        try:
            hosts, instances = self._fleet.hosts(), self._fleet.instances()
        except FleetViewNotReady:
            return
        yield _hosts_by_state(hosts)
        yield _instances_by_status(instances)
        measured = [(known.host, self._values(known)) for known in hosts]
        for name, text, _ in (*OF_HOST, *OF_SAMPLE):
            yield _by_host(name, text, ((host, values.get(name)) for host, values in measured))

    def _values(self, known: HostView) -> Values:
        subject = EntrySubject("host_metrics", known.host)
        return self._boundary.render(subject, lambda: _values(known), dict)


def _values(known: HostView) -> Values:
    """Return the values of a host by the names of their families; raise where one is no number."""
    of_host = {name: read(known) for name, _, read in OF_HOST}
    sample = known.sample.host if known.sample and known.fresh else None
    of_sample = {name: read(sample) for name, _, read in OF_SAMPLE} if sample else {}
    values = of_host | of_sample
    return {name: None if value is None else float(value) for name, value in values.items()}


def _hosts_by_state(hosts: Sequence[HostView]) -> GaugeMetricFamily:
    online = sum(known.online for known in hosts)
    family = GaugeMetricFamily("lxdfleet_hosts", "Hosts of the fleet.", labels=("state",))
    family.add_metric(("online",), online)
    family.add_metric(("offline",), len(hosts) - online)
    return family


def _instances_by_status(instances: Iterable[InstanceView]) -> GaugeMetricFamily:
    counts = Counter(str(known.instance.status) for known in instances)
    named = {status: counts.pop(status, 0) for status in Status}
    family = GaugeMetricFamily("lxdfleet_instances", "Instances of all hosts.", labels=("status",))
    for status, count in (named | {OTHER: counts.total()}).items():
        family.add_metric((status,), count)
    return family


def _by_host(name: str, text: str, values: Iterable[tuple[str, float | None]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"lxdfleet_{name}", text, labels=("host",))
    for host, value in values:
        if value is not None:
            family.add_metric((host,), value)
    return family
