"""Prometheus metrics of the fleet's size and health, read from the fleet view at every scrape.

They are written as prometheus-client writes them, but host after host: its collectors would hold up
everybody else for a tenth of a second at a thousand hosts. While the view is not ready there are
no series: absent, never zero.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from functools import partial

from prometheus_client.utils import floatToGoString

from services.gateway.error_boundary import EntrySubject, ErrorBoundary
from services.gateway.fleet.view import FleetView
from services.gateway.fleet.views import HostView
from services.gateway.responses.prometheus_families import escaped
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
    ("host_protections_left_out", "Beyond its budget.", lambda view: view.left_out.protections),
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

# The lines of a host, by family; a family that the host has no value of has none.
Lines = dict[str, str]


def fleet_metrics(fleet: FleetView, boundary: ErrorBoundary) -> Iterator[str]:
    """Yield the text of every family, in steps of one host; none while the view is not ready.

    The steps of hosts yield nothing. A host with invalid values has no series.
    """
    if not fleet.ready:
        return
    by_host, online = [], 0
    for host in sorted(fleet.host_ids()):
        if fleet.has_host(host):
            view = fleet.host(host)
            online += view.online
            by_host.append(boundary.render(_subject(view), partial(_lines, view), Lines))
            yield ""
    states = {"online": online, "offline": len(by_host) - online}
    yield _family("hosts", "Hosts of the fleet.") + _labelled("hosts", "state", states)
    yield _family("instances", "Instances of all hosts.") + _labelled(
        "instances", "status", _by_status(fleet.statuses())
    )
    for name, text, _ in (*HOST_GAUGES, *SAMPLE_GAUGES):
        yield _family(name, text) + "".join([lines.get(name, "") for lines in by_host])


def _subject(view: HostView) -> EntrySubject:
    return EntrySubject("host_metrics", view.host)


def _lines(view: HostView) -> Lines:
    """Return the lines of a host by family; raise for a value that is no number."""
    values: dict[str, float | None] = {name: read(view) for name, _, read in HOST_GAUGES}
    if view.sample and view.fresh:
        sample = view.sample.host
        values |= {name: read(sample) for name, _, read in SAMPLE_GAUGES}
    return {
        name: _labelled(name, "host", {view.host: value})
        for name, value in values.items()
        if value is not None
    }


def _by_status(statuses: Mapping[str, int]) -> Mapping[str, int]:
    """Return how many instances have each status; those that are unknown are `Other`."""
    counts = Counter({str(status): count for status, count in statuses.items()})
    named = {str(status): counts.pop(status, 0) for status in Status}
    return named | {OTHER: counts.total()}


def _family(name: str, text: str) -> str:
    return f"# HELP lxdfleet_{name} {text}\n# TYPE lxdfleet_{name} gauge\n"


def _labelled(name: str, label: str, values: Mapping[str, float]) -> str:
    return "".join(
        [
            f'lxdfleet_{name}{{{label}="{escaped(of)}"}} {_number(value)}\n'
            for of, value in values.items()
        ]
    )


def _number(value: float) -> str:
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return text
