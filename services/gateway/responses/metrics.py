"""Instances as LXD's own metrics show them, for the whole fleet: there is one more label, `host`.

What was not measured has no series: a gap in a graph is honest, a zero is not.

In Prometheus' text format all series of a family stand together, while the values of an instance
do. So the instances are read once, into the values of each family as text, which take a tenth of
the page; then family after family is written. Labels and values are joined by C's formatting of
bytes, hundreds of lines at a time: objects for each of millions of series would take minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import NamedTuple, Protocol

import msgspec

from services.gateway.error_boundary import EntrySubject, ErrorBoundary
from services.gateway.fleet.views import HostView
from services.gateway.responses.prometheus_families import (
    SECTIONS,
    Family,
    MetricSubject,
    Section,
    Value,
    metric_subject,
    shared_label,
)
from shared.contracts.instances import Instance
from shared.contracts.samples import InstanceSample

# Instances that are read in one step, which takes a millisecond or two.
AT_ONCE = 200
# What encoded values consist of, as long as all of them are numbers or absent.
_NUMBERS = b"0123456789+-.eE,nul"
_ABSENT = b"null"
# Stands for a family's name in a template; no label has one.
_NAME = b"\0"


class MeasuredInstances(Protocol):
    """Has the hosts and the measured instances of each: the fleet view."""

    def has_host(self, host: str) -> bool:
        """Whether a host is known."""

    def host(self, host: str) -> HostView:
        """Return one host; raise HostNotFound."""

    def samples(self, host: str) -> Sequence[tuple[Instance, InstanceSample]]:
        """Return a host's measured instances, by name; raise HostNotFound."""


class Block(NamedTuple):
    """Some instances' series in the families of a section.

    `template` has a line for each series, with places for name and value. `columns` are a family's
    values each, separated by commas; empty: it has none here.
    """

    template: bytes
    columns: list[bytes]


@dataclass(frozen=True, slots=True)
class Subjects:
    """Some instances of one host."""

    host: str
    found: Sequence[MetricSubject]


def subjects(
    fleet: MeasuredInstances, hosts: Iterable[str], boundary: ErrorBoundary | None = None
) -> Iterator[Subjects]:
    """Yield the instances whose sample is still true, some at a time; old ones would draw a line.

    Hosts are read one by one: one that was forgotten meanwhile is left out.
    """
    guard = boundary or ErrorBoundary()
    for host in hosts:
        if not fleet.has_host(host) or not fleet.host(host).fresh:
            yield Subjects(host, ())
            continue
        samples = iter(fleet.samples(host))
        while some := list(islice(samples, AT_ONCE)):
            yield Subjects(host, _subjects(host, some, guard))


def exposition(
    measured: Iterable[Subjects], boundary: ErrorBoundary | None = None
) -> Iterator[bytes]:
    """Yield all families in Prometheus' text format, in steps that take a millisecond or two.

    The first steps read and yield nothing. A family of which no instance has a value is left out,
    and so is an instance in the families where its values cannot be rendered.
    """
    guard = boundary or ErrorBoundary()
    blocks: dict[Section, list[Block]] = {section: [] for section in SECTIONS}
    for some in measured:
        for section, read in blocks.items():
            read.extend(_guarded_blocks(section, some, guard))
        yield b""
    for section in SECTIONS:
        read = blocks.pop(section)
        for column, family in enumerate(section.families):
            yield from _written(family, column, read)


def _written(family: Family, column: int, blocks: Sequence[Block]) -> Iterator[bytes]:
    head = f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n".encode()
    name = family.name.encode() + b"{"
    for block in blocks:
        if values := block.columns[column]:
            yield head + _lines(block.template, values).replace(_NAME, name)
            head = b""


def _lines(template: bytes, values: bytes) -> bytes:
    """Return a line for each value that is there."""
    parts = values.split(b",")
    if _ABSENT not in values:
        return template % tuple(parts)
    lines = zip(template.splitlines(keepends=True), parts, strict=True)
    return b"".join([line % value for line, value in lines if value != _ABSENT])


def _guarded_blocks(section: Section, some: Subjects, guard: ErrorBoundary) -> list[Block]:
    """Return a block of all, and only where that fails of those that can be rendered."""

    def one_by_one() -> list[Block]:
        return [
            block
            for each in some.found
            for block in guard.render(
                EntrySubject("series", some.host, each.labels),
                partial(_blocks, section, (each,)),
                list[Block],
            )
        ]

    subject = EntrySubject("family", some.host, section.families[0].name)
    return guard.render(subject, lambda: _blocks(section, some.found), one_by_one)


def _blocks(section: Section, found: Sequence[MetricSubject]) -> list[Block]:
    """Return the block of these instances, if they have any series; raise for what is no number."""
    rows = section.rows(found)
    if not rows:
        return []
    columns = zip(*[values for _, values in rows], strict=True)
    return [Block(_template([labels for labels, _ in rows]), list(map(_column, columns)))]


def _template(labels: Sequence[str]) -> bytes:
    # No label has a line break: those are escaped.
    lines = "\n".join(labels).replace("%", "%%").replace("\n", "} %s\n\0")
    return f"\0{lines}}} %s\n".encode()


def _column(values: Sequence[Value]) -> bytes:
    encoded = msgspec.json.encode(values)[1:-1]
    if encoded.translate(None, _NUMBERS):
        raise TypeError(f"no numbers: {encoded[:100]!r}")
    return encoded if encoded.strip(b"nul,") else b""


def _subjects(
    host: str, samples: Sequence[tuple[Instance, InstanceSample]], guard: ErrorBoundary
) -> Sequence[MetricSubject]:
    """Return all at once, and only where that fails those that can be rendered."""

    def one_by_one() -> list[MetricSubject]:
        return [
            subject
            for instance, sample in samples
            for subject in guard.render(
                EntrySubject("series", host, instance.name),
                partial(_made, host, ((instance, sample),)),
                list[MetricSubject],
            )
        ]

    return guard.render(EntrySubject("series", host), lambda: _made(host, samples), one_by_one)


def _made(host: str, samples: Iterable[tuple[Instance, InstanceSample]]) -> list[MetricSubject]:
    of_host = shared_label("host", host)
    return [metric_subject(of_host, instance, sample) for instance, sample in samples]
