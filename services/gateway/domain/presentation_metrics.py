"""Instances as LXD's own metrics show them, for the whole fleet: there is one more label, `host`.

What was not measured has no series: a gap in a graph is honest, a zero is not. Everything is
written as text at once, because objects for each of a third of a million series would take
seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from services.gateway.domain.known import KnownHost, KnownInstance
from services.gateway.domain.lxd_families import FAMILIES, Family, escaped
from shared.contracts.instances import Instance, InstanceSample

# Instances whose lines of one family are written at once.
AT_ONCE = 2000


@dataclass(frozen=True, slots=True)
class Subject:
    """A measured instance and the labels it has in every family."""

    labels: str
    typed_labels: str
    sample: InstanceSample


def subjects(instances: Iterable[KnownInstance], hosts: Iterable[KnownHost]) -> list[Subject]:
    """Return the instances whose sample is still true; old ones would draw a flat line."""
    fresh = {known.host for known in hosts if known.fresh}
    return [
        _subject(known.host, known.instance, known.sample)
        for known in instances
        if known.sample is not None and known.host in fresh
    ]


def exposition(measured: Sequence[Subject]) -> Iterator[str]:
    """Yield all families in Prometheus' text format, in pieces that take a millisecond or two.

    A family of which no instance has a value is left out.
    """
    for family in FAMILIES:
        head = f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n"
        for first in range(0, len(measured), AT_ONCE):
            if lines := _lines(family, measured[first : first + AT_ONCE]):
                yield head + lines
                head = ""


def _lines(family: Family, measured: Iterable[Subject]) -> str:
    name = family.name
    return "".join(
        [
            f"{name}{{{own}{each.typed_labels if family.typed else each.labels}}} {value}\n"
            for each in measured
            for own, value in family.values(each.sample)
            if value is not None
        ]
    )


def _subject(host: str, instance: Instance, sample: InstanceSample) -> Subject:
    labels = (
        f'host="{escaped(host)}",name="{escaped(instance.name)}"'
        f',project="{escaped(instance.project)}"'
    )
    return Subject(labels, f'{labels},type="{escaped(instance.type)}"', sample)
