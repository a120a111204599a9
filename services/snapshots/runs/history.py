"""Stores the runs that hosts report, and deletes old ones.

Neither a host's clock nor its number of runs costs another host's: a run is as old as our clock
says since it was stored, and of each host the newest ones stay.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.contracts.errors import UnreadableMessage
from shared.contracts.policies import PolicyRun

log = logging.getLogger(__name__)

# A host's runs are counted again after 1/SLACK of the limit was written.
SLACK = 20


@dataclass(frozen=True, slots=True)
class RunRetention:
    """How long runs are kept, and how many of each host."""

    keep_s: float
    most_per_host: int


class RunStore(Protocol):
    """What is needed of `SqlRuns`, see there; raises DatabaseUnavailable."""

    def record(self, given: Sequence[tuple[str, PolicyRun]], at: float) -> None:
        """Store runs of hosts; raise UnreadableMessage if one cannot be."""

    def sequences(self, host: str, operations: Iterable[str]) -> dict[str, int]:
        """Return the sequences of stored runs of a host, by operation."""

    def purge(self, before: float) -> int:
        """Delete some runs that were stored before a Unix time; return how many."""

    def prune(self, host: str, most: int) -> int:
        """Delete some of a host's runs beyond the newest `most`; return how many."""


class RunHistory:
    """The runs of all hosts; `clock` returns Unix time, `on_recorded` is called with each run."""

    def __init__(
        self,
        store: RunStore,
        retention: RunRetention,
        clock: Callable[[], float],
        on_recorded: Callable[[PolicyRun], None],
    ) -> None:
        self._store = store
        self._retention = retention
        self._clock = clock
        self._on_recorded = on_recorded
        # Runs written since those of a host were counted.
        self._written: Counter[str] = Counter()

    def stored(self, host: str, runs: Iterable[PolicyRun]) -> dict[str, int]:
        """Return the stored sequences of these runs of a host, by operation."""
        return self._store.sequences(host, [run.operation_id for run in runs])

    def record(self, given: Sequence[tuple[str, PolicyRun]]) -> None:
        """Store runs; one that cannot be stored is left out, and logged."""
        try:
            self._store.record(given, self._clock())
        except UnreadableMessage:
            for each in given:
                self._record_one(each)
        self._written.update(host for host, _ in given)
        for _, run in given:
            self._on_recorded(run)

    def delete_old(self, rest: Callable[[], None]) -> None:
        """Delete what is too old; let others run in between."""
        while self._store.purge(self._clock() - self._retention.keep_s):
            rest()

    def delete_surplus(self, rest: Callable[[], None]) -> None:
        """Delete what is too much; let others run in between."""
        most = self._retention.most_per_host
        for host in [host for host, count in self._written.items() if count > most // SLACK]:
            self._written[host] = 0
            while self._store.prune(host, most):
                rest()

    def _record_one(self, one: tuple[str, PolicyRun]) -> None:
        try:
            self._store.record([one], self._clock())
        except UnreadableMessage as exc:
            log.warning("run cannot be stored", extra={"host": one[0], "reason": exc.reason})
