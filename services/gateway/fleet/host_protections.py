"""How the instances of one host are protected by snapshot policies, as the host reported last.

It counts only for the host's own instances, by project, name and uuid; what it says of others lies
here unused, within the host's memory budget, until its next report.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from services.gateway.fleet.encoded_protection import (
    NOT_REPORTED,
    UNPROTECTED,
    EncodedProtection,
    InstanceProtection,
)
from services.gateway.fleet.instance_record import InstanceRecord
from services.gateway.fleet.memory_budget import MemoryUse
from services.gateway.fleet.note_ownership import LocalKey
from services.gateway.fleet.protection_index import ProtectionIndex


class HostProtections:
    """The newest report of a host; `report` has no instances, and is None before the first one.

    `left_out` is how many instances in it are beyond the budget: those are unknown.
    """

    def __init__(self, index: ProtectionIndex, memory: MemoryUse) -> None:
        self.report: EncodedProtection | None = None
        self.left_out = 0
        self._index = index
        self._memory = memory
        self._size = 0
        self._reported: dict[LocalKey, InstanceProtection] = {}

    def apply(self, event: EncodedProtection, records: Mapping[LocalKey, InstanceRecord]) -> bool:
        """Replace the report; return whether readers see a difference."""
        previous, self.report = self.report, dataclasses.replace(event, instances=())
        self._hold(event)
        changed = [
            self._index.set(record, self.of(key, record.instance.uuid))
            for key, record in records.items()
        ]
        return any(changed) or previous is None or _without_time(previous) != _without_time(event)

    def of(self, key: LocalKey, uuid: str) -> InstanceProtection:
        """Return how an instance is protected, by the newest report."""
        if self.report is None:
            return NOT_REPORTED
        found = self._reported.get(key)
        if found is not None and found.uuid == uuid:
            return found
        return NOT_REPORTED if self.left_out else UNPROTECTED

    def _hold(self, event: EncodedProtection) -> None:
        self._memory.add(-self._size)
        self._reported, self._size, available = {}, 0, self._memory.available
        for key, protection in event.instances:
            size = len(protection.body or b"")
            if self._size + size > available or key in self._reported:
                continue
            self._reported[key] = protection
            self._size += size
        self.left_out = len(event.instances) - len(self._reported)
        self._memory.add(self._size)


def _without_time(report: EncodedProtection) -> EncodedProtection:
    return dataclasses.replace(report, at="", instances=())
