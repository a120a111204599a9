"""Instances as LXD's own metrics show them, for the whole fleet: there is one more label, `host`.

What was not measured has no series: a gap in a graph is honest, a zero is not. Everything is
written as text at once, because objects for each of a third of a million series would take
seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from services.gateway import error_boundary
from services.gateway.error_boundary import ErrorBoundary
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.responses.prometheus_families import FAMILIES, Family, escaped
from shared.contracts.instances import Instance
from shared.contracts.samples import InstanceSample

# Instances whose lines of one family are written at once.
AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class MetricSubject:
    """A measured instance and the labels it has in every family."""

    host: str
    labels: str
    typed_labels: str
    sample: InstanceSample


def subjects(
    instances: Iterable[InstanceView],
    hosts: Iterable[HostView],
    boundary: ErrorBoundary | None = None,
) -> list[MetricSubject]:
    """Return the instances whose sample is still true; old ones would draw a flat line."""
    guard = boundary or ErrorBoundary()
    fresh = {known.host for known in hosts if known.fresh}
    found = (
        _guarded_subject(known, sample, guard)
        for known in instances
        if known.host in fresh and (sample := known.sample) is not None
    )
    return [each for each in found if each is not None]


def exposition(
    measured: Sequence[MetricSubject], boundary: ErrorBoundary | None = None
) -> Iterator[str]:
    """Yield all families in Prometheus' text format, in pieces that take a millisecond or two.

    A family of which no instance has a value is left out, and so is an instance in a family where
    its values cannot be rendered.
    """
    guard = boundary or ErrorBoundary()
    for family in FAMILIES:
        head = f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n"
        for first in range(0, len(measured), AT_ONCE):
            if lines := _guarded_lines(family, measured[first : first + AT_ONCE], guard):
                yield head + lines
                head = ""


def _guarded_lines(family: Family, measured: Sequence[MetricSubject], guard: ErrorBoundary) -> str:
    """Return the lines of many at once, and only where that fails those of each on its own."""

    def one(subject: MetricSubject) -> str:
        named = error_boundary.EntrySubject("series", subject.host, subject.labels)
        return guard.render(named, lambda: _lines(family, (subject,)), str)

    return guard.render(
        error_boundary.EntrySubject("family", "", family.name),
        lambda: _lines(family, measured),
        lambda: "".join(map(one, measured)),
    )


def _lines(family: Family, measured: Iterable[MetricSubject]) -> str:
    name = family.name
    return "".join(
        [
            f"{name}{{{own}{each.typed_labels if family.typed else each.labels}}} {value}\n"
            for each in measured
            for own, value in family.values(each.sample)
            if value is not None
        ]
    )


def _guarded_subject(
    known: InstanceView, sample: InstanceSample, guard: ErrorBoundary
) -> MetricSubject | None:
    named = error_boundary.EntrySubject("series", known.host, known.instance.name)
    return guard.render(named, lambda: _subject(known.host, known.instance, sample), _nothing)


def _nothing() -> MetricSubject | None:
    return None


def _subject(host: str, instance: Instance, sample: InstanceSample) -> MetricSubject:
    labels = (
        f'host="{escaped(host)}",name="{escaped(instance.name)}"'
        f',project="{escaped(instance.project)}"'
    )
    return MetricSubject(host, labels, f'{labels},type="{escaped(instance.type)}"', sample)
