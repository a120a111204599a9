"""Hosts as the instances API shows them: the sums that stand for "the host", and each one.

The document knows one machine. With several, its figures are the fleet's: sums, and percentages
weighted by what they are a share of. They agree with each other because they come from the same
bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from services.gateway import units
from services.gateway.error_boundary import EntrySubject, ErrorBoundary
from services.gateway.fleet.memory_budget import LeftOut
from services.gateway.fleet.views import HostView

FIGURES = (
    "cpu_cores",
    "cpu_percent",
    "memory_total",
    "memory_used",
    "memory_percent",
    "disk_total",
    "disk_used",
    "disk_percent",
)


class HostInfo(Struct, frozen=True, kw_only=True):
    """Memory in MiB, disk in GiB; `hosts` is how many machines are summed up here.

    `stale`: one of them is away and counts as it was; `age_s` is the age of the oldest figures.
    """

    cpu_cores: int
    cpu_percent: float
    memory_total: int
    memory_used: int
    memory_percent: float
    disk_total: int
    disk_used: int
    disk_percent: float
    hosts: int
    stale: bool
    age_s: int
    unknown: list[str]


class Host(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One host; ages in seconds, null where nothing was heard yet.

    `duplicates` counts its instances whose uuid another instance held first, `left_out` what the
    host has told and the gateway does not show: it is beyond its budget. `error` is there only
    where the rest could not be rendered.
    """

    host: str
    online: bool
    lxd_connected: bool
    stale: bool
    trusted: bool
    fingerprint: str
    server: str
    server_version: str
    server_name: str
    age_s: float | None
    inventory_age_s: float | None
    clock_skew_s: float | None
    instances: int
    duplicates: int
    left_out: LeftOut
    resources: HostInfo
    error: str | None = None


class HostHealth(Struct, frozen=True, kw_only=True):
    """Whether one host can be worked with."""

    host: str
    online: bool
    lxd_connected: bool


def host_information(hosts: Sequence[HostView]) -> HostInfo:
    """Return the sums over the hosts that were ever measured; zeros, all unknown, if none was."""
    measured = [(known, known.sample.host) for known in hosts if known.sample]
    samples = [sample for _, sample in measured]
    cores = sum(sample.cpu_cores for sample in samples)
    memory_total = sum(sample.memory_total for sample in samples)
    memory_used = sum(sample.memory_used for sample in samples)
    disk_total = sum(sample.disk_total for sample in samples)
    disk_used = sum(sample.disk_used for sample in samples)
    return HostInfo(
        cpu_cores=cores,
        cpu_percent=units.share(sum(s.cpu_percent * s.cpu_cores for s in samples), 100 * cores),
        memory_total=units.mib(memory_total),
        memory_used=units.mib(memory_used),
        memory_percent=units.share(memory_used, memory_total),
        disk_total=units.gib(disk_total),
        disk_used=units.gib(disk_used),
        disk_percent=units.share(disk_used, disk_total),
        hosts=len(samples),
        stale=any(is_stale(known) for known, _ in measured),
        age_s=int(max((units.age(known.sample_age_s or 0) for known, _ in measured), default=0)),
        unknown=[] if samples else list(FIGURES),
    )


def fleet_information(hosts: Sequence[HostView], boundary: ErrorBoundary) -> HostInfo:
    """Return the sums over the hosts, without those whose figures cannot be summed up."""

    def can_be_summed_up(known: HostView) -> bool:
        subject = EntrySubject("host", known.host)
        return boundary.render(subject, lambda: bool(host_information([known])), bool)

    return boundary.render(
        EntrySubject("fleet", ""),
        lambda: host_information(hosts),
        lambda: host_information(list(filter(can_be_summed_up, hosts))),
    )


def host_view(known: HostView) -> Host:
    """Return one host with its own figures."""
    return Host(
        host=known.host,
        online=known.online,
        lxd_connected=known.lxd_connected,
        stale=is_stale(known),
        trusted=known.trusted,
        fingerprint=known.fingerprint,
        server=known.server,
        server_version=known.lxd,
        server_name=known.server_name,
        age_s=_shown_age(known.age_s),
        inventory_age_s=_shown_age(known.inventory_age_s),
        clock_skew_s=_rounded(known.clock_skew_s),
        instances=known.instances,
        duplicates=known.duplicates,
        left_out=known.left_out,
        resources=host_information([known]),
        error=known.error,
    )


def host_health(known: HostView) -> HostHealth:
    """Return whether the host can be worked with, and nothing else of it."""
    return HostHealth(host=known.host, online=known.online, lxd_connected=known.lxd_connected)


def is_stale(known: HostView) -> bool:
    """Whether what is known of the host may no longer be so."""
    return not (known.online and known.lxd_connected)


def _shown_age(seconds: float | None) -> float | None:
    return None if seconds is None else round(units.age(seconds), 1)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
