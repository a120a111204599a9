"""What readers ask of the fleet's protection by snapshot policies, and of the latest runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from services.gateway.fleet.change_set import InstanceKey
from services.gateway.fleet.encoded_protection import (
    NOT_REPORTED,
    EncodedProtection,
    InstanceProtection,
)
from services.gateway.fleet.host_state import HostState
from services.gateway.fleet.instance_index import InstanceIndex
from services.gateway.fleet.instance_record import InstanceRecord
from services.gateway.fleet.selection import Views
from services.gateway.fleet.views import InstanceView
from shared.contracts.policies import PolicyRun


class ProtectionView:
    """How instances are protected.

    `find_host` returns the state of a host, None: not known. `wall` returns Unix time.
    """

    def __init__(
        self,
        index: InstanceIndex,
        find_host: Callable[[str], HostState | None],
        wall: Callable[[], float],
    ) -> None:
        self._index = index
        self._find_host = find_host
        self._wall = wall

    def now(self) -> float:
        """Return Unix time, by which snapshots have their age."""
        return self._wall()

    def of(self, key: InstanceKey) -> InstanceProtection:
        """Return how the instance of a name, host and project is protected."""
        record = self._index.find(key)
        return record.protection if record else NOT_REPORTED

    def with_state(self, state: str) -> Sequence[InstanceView]:
        """Return the instances of a state, sorted; they are valid until the next change."""
        return Views(self._index.protections.with_state(state))

    def records_of(self, host: str) -> Sequence[InstanceRecord]:
        """Return a host's instances, unsorted."""
        return self._index.of_host(host)

    def counts(self) -> Mapping[str, int]:
        """Return how many instances of the fleet have each state."""
        return self._index.protections.counts()

    def counts_of(self, host: str) -> Mapping[str, int]:
        """Return how many instances of a host have each state."""
        return self._index.protections.counts_of(host)

    def report(self, host: str) -> EncodedProtection | None:
        """Return the newest report of a host, without instances; None: there is none."""
        state = self._find_host(host)
        return state.inventory.protections.report if state else None

    def report_age_s(self, host: str) -> float | None:
        """Return how long ago a host has reported; None: never."""
        state = self._find_host(host)
        return state.protection_age_s if state else None

    def pruned(self, host: str) -> int:
        """Return how many snapshots the runs of a host have pruned since this gateway's start."""
        state = self._find_host(host)
        return state.pruned if state else 0

    def run_ids(self, host: str) -> Sequence[str]:
        """Return the ids of the runs that a host has reported last, the newest change first."""
        state = self._find_host(host)
        return state.runs.ids() if state else ()

    def run(self, host: str, run_id: str) -> PolicyRun | None:
        """Return one of the runs that a host has reported last."""
        state = self._find_host(host)
        return state.runs.find(run_id) if state else None
