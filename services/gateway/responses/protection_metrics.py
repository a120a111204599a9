"""Prometheus metrics of how hosts protect their instances by snapshot policies.

They are the gateway's, not of a host's own page: a host that is away may miss its snapshots, and
then their age has to grow, not to end. What no host has reported has no series.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice

from services.gateway.error_boundary import EntrySubject, ErrorBoundary
from services.gateway.fleet.encoded_protection import STATES, UNKNOWN
from services.gateway.fleet.instance_record import InstanceRecord
from services.gateway.fleet.view import FleetView
from services.gateway.responses.prometheus_families import COUNTER, GAUGE, escaped, shared_label

# Instances that are read in one step.
AT_ONCE = 500

AGE, FAILURES = "snapshot_age_seconds", "snapshot_failures"
STATE, PLAN, CLOCK = "instance_protection", "snapshot_plan_version", "snapshot_clock_trusted"
REPORT, PRUNED = "snapshot_report_age_seconds", "snapshots_pruned_total"
FAMILIES = (
    (AGE, GAUGE, "Age of the newest snapshot that a policy took and that is still there."),
    (FAILURES, GAUGE, "Slots of policies without a snapshot since the last one with."),
    (STATE, GAUGE, "Instances of the host by how policies protect them."),
    (PLAN, GAUGE, "Version of the plan that the host carries out."),
    (CLOCK, GAUGE, "Whether the host believes its clock, and so prunes."),
    (REPORT, GAUGE, "Since the host has reported how its instances are protected."),
    (PRUNED, COUNTER, "Snapshots that the host's policies deleted, since the gateway's start."),
)

# The text of each family.
_Lines = defaultdict[str, list[str]]


def protection_metrics(fleet: FleetView, boundary: ErrorBoundary) -> Iterator[bytes]:
    """Yield all families in Prometheus' text format; a step does not grow with the fleet.

    The steps of hosts yield nothing. While the view is not ready there are no families.
    """
    if not fleet.ready:
        return
    written: _Lines = defaultdict(list)
    for host in sorted(fleet.host_ids()):
        _add(written, _host_lines(fleet, host))
        records = iter(fleet.protections.records_of(host))
        while some := list(islice(records, AT_ONCE)):
            _add(written, _guarded_lines(fleet, host, some, boundary))
            yield b""
    for name, kind, text in FAMILIES:
        head = f"# HELP lxdfleet_{name} {text}\n# TYPE lxdfleet_{name} {kind}\n"
        yield head.encode()
        for lines in written.pop(name, ()):
            yield lines.encode()


def _add(written: _Lines, lines: dict[str, str]) -> None:
    for name, text in lines.items():
        if text:
            written[name].append(text)


def _host_lines(fleet: FleetView, host: str) -> dict[str, str]:
    protections, of_host = fleet.protections, shared_label("host", host)
    counts, report = protections.counts_of(host), protections.report(host)
    lines = {
        STATE: "".join(
            f'lxdfleet_{STATE}{{{of_host}state="{state}"}} {counts.get(state, 0)}\n'
            for state in STATES
        )
    }
    if report is None:
        return lines
    values = {
        PLAN: report.plan_version,
        CLOCK: int(report.clock_trusted),
        REPORT: protections.report_age_s(host),
        PRUNED: protections.pruned(host),
    }
    return lines | {
        name: f"lxdfleet_{name}{{{of_host[:-1]}}} {value}\n" for name, value in values.items()
    }


def _guarded_lines(
    fleet: FleetView, host: str, records: Sequence[InstanceRecord], boundary: ErrorBoundary
) -> dict[str, str]:
    """Return the lines of some instances; none if they cannot be rendered."""
    return boundary.render(
        EntrySubject("protection_metrics", host),
        lambda: _instance_lines(fleet, host, records),
        dict[str, str],
    )


def _instance_lines(
    fleet: FleetView, host: str, records: Sequence[InstanceRecord]
) -> dict[str, str]:
    now, of_host = fleet.protections.now(), shared_label("host", host)
    ages, failures = [], []
    for record in records:
        held = record.protection
        if held.state == UNKNOWN:
            continue
        instance = record.instance
        labels = (
            f'{of_host}{shared_label("project", instance.project)}name="{escaped(instance.name)}"'
        )
        if held.body is not None:
            failures.append(f"lxdfleet_{FAILURES}{{{labels}}} {held.failures}\n")
        if held.newest_good is not None:
            age_s = max(0, int(now - held.newest_good))
            ages.append(f"lxdfleet_{AGE}{{{labels}}} {age_s}\n")
    return {AGE: "".join(ages), FAILURES: "".join(failures)}
