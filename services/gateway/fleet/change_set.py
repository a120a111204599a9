"""What changed in the fleet view, for readers that follow it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

# Name, host and project of an instance: the order of lists.
InstanceKey = tuple[str, str, str]


class ChangeSet(NamedTuple):
    """The hosts and instances that look different, or are new or gone.

    `instances` differ in state or configuration, or have another address. `samples` are hosts whose
    instances have new figures. `protections` are instances whose protection by snapshot policies is
    another, `runs` are runs of policies by host and id. A host that falls silent is one change of
    the host: its instances are not named.
    """

    hosts: frozenset[str] = frozenset()
    instances: frozenset[InstanceKey] = frozenset()
    samples: frozenset[str] = frozenset()
    protections: frozenset[InstanceKey] = frozenset()
    runs: frozenset[tuple[str, str]] = frozenset()


@dataclass(slots=True)
class ChangeCollector:
    """Collects changes until they are published."""

    hosts: set[str] = field(default_factory=set)
    instances: set[InstanceKey] = field(default_factory=set)
    samples: set[str] = field(default_factory=set)
    protections: set[InstanceKey] = field(default_factory=set)
    runs: set[tuple[str, str]] = field(default_factory=set)

    def take(self) -> ChangeSet:
        """Return the changes since the last call."""
        changes = ChangeSet(
            frozenset(self.hosts),
            frozenset(self.instances),
            frozenset(self.samples),
            frozenset(self.protections),
            frozenset(self.runs),
        )
        self.hosts, self.instances, self.samples = set(), set(), set()
        self.protections, self.runs = set(), set()
        return changes
