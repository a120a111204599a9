"""Prometheus metrics of the fleet's size and health, read from the fleet view at every scrape.

While the view is not ready there are no series: absent, never zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from services.gateway.error_boundary import EntrySubject, ErrorBoundary
from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import HostView
from shared.contracts.errors import FleetViewNotReady
from shared.contracts.samples import HostSample
from shared.contracts.status import Status

# Unknown statuses are counted as `Other`.
OTHER = "Other"

HOST_GAUGES: tuple[tuple[str, str, Callable[[HostView], float | None]], ...] = (
    ("host_online", "Whether the host's worker is heard.", lambda view: view.online),
    ("host_lxd_connected", "Whether the host's LXD answers.", lambda view: view.lxd_connected),
    ("host_trusted", "Whether it reports as the host it was.", lambda view: view.trusted),
    ("host_instances", "Instances on the host.", lambda view: view.instances),
    (
        "host_duplicates",
        "Of them, those whose uuid another instance held first.",
        lambda view: view.duplicates,
    ),
    ("host_instances_left_out", "Beyond its budget.", lambda view: view.left_out.instances),
    ("host_samples_left_out", "Beyond its budget.", lambda view: view.left_out.samples),
    ("host_images_left_out", "Beyond its budget.", lambda view: view.left_out.images),
    ("sample_age_seconds", "Age of the host's newest sample.", lambda view: view.sample_age_s),
    ("host_clock_skew_seconds", "Its clock minus ours.", lambda view: view.clock_skew_s),
    ("journal_length", "Operations in its worker's journal.", lambda view: view.journal_length),
)
SAMPLE_GAUGES: tuple[tuple[str, str, Callable[[HostSample], float | None]], ...] = (
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
    """Collects from a fleet view; a host with invalid values has no series."""

    def __init__(self, fleet: FleetView, boundary: ErrorBoundary) -> None:
        self._fleet = fleet
        self._boundary = boundary

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield every family; none while the view is not ready."""
        try:
            hosts, statuses = self._fleet.hosts(), self._fleet.statuses()
        except FleetViewNotReady:
            return
        yield _hosts_by_state(hosts)
        yield _instances_by_status(statuses)
        measured = [(view.host, self._values(view)) for view in hosts]
        for name, text, _ in (*HOST_GAUGES, *SAMPLE_GAUGES):
            yield _by_host(name, text, ((host, values.get(name)) for host, values in measured))

    def _values(self, view: HostView) -> Values:
        subject = EntrySubject("host_metrics", view.host)
        return self._boundary.render(subject, lambda: _values(view), dict)


def _values(view: HostView) -> Values:
    """Return the values of a host by family; raise for one that is no number."""
    of_host = {name: read(view) for name, _, read in HOST_GAUGES}
    sample = view.sample.host if view.sample and view.fresh else None
    of_sample = {name: read(sample) for name, _, read in SAMPLE_GAUGES} if sample else {}
    values = of_host | of_sample
    return {name: None if value is None else float(value) for name, value in values.items()}


def _hosts_by_state(hosts: Sequence[HostView]) -> GaugeMetricFamily:
    online = sum(view.online for view in hosts)
    family = GaugeMetricFamily("lxdfleet_hosts", "Hosts of the fleet.", labels=("state",))
    family.add_metric(("online",), online)
    family.add_metric(("offline",), len(hosts) - online)
    return family


def _instances_by_status(statuses: Mapping[str, int]) -> GaugeMetricFamily:
    counts = Counter({str(status): count for status, count in statuses.items()})
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
