"""The hosts that the copy with the lease knows, and which of their records have changed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Protocol

from services.snapshots.hosts.record import HostRecord
from services.snapshots.plans.delivery import Carried
from shared.contracts.policy_api import MOST_HOSTS

log = logging.getLogger(__name__)

# How exact the stored times of a host are that reports nothing new.
SEEN_S = 600.0


class PlannedHostStore(Protocol):
    """What the registry needs of `SqlPlans`, see there; raises DatabaseUnavailable, LeaseLost."""

    def hosts(self) -> list[HostRecord]:
        """Return all hosts, by name."""

    def save(self, records: Iterable[HostRecord]) -> None:
        """Insert or replace hosts, except the plans that they are to have."""

    def forget(self, names: Collection[str]) -> None:
        """Delete hosts and their runs."""


class HostRegistry:
    """Known hosts; `keep_s` is how long one that is silent stays one.

    `clock` returns Unix time. It may jump, so a host that was heard since the start is silent only
    for as long as `monotonic` says.
    """

    def __init__(
        self,
        store: PlannedHostStore,
        keep_s: float,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._keep_s = keep_s
        self._clock = clock
        self._monotonic = monotonic
        # When each host was heard since the start, by the monotonic clock.
        self._heard_at: dict[str, float] = {}
        self._records: dict[str, HostRecord] = {}
        self._changed: set[str] = set()
        self._names: tuple[str, ...] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """All hosts, sorted."""
        if self._names is None:
            self._names = tuple(sorted(self._records))
        return self._names

    @property
    def exchanges(self) -> Mapping[str, str]:
        """The exchange of each host."""
        return {host: each.exchange for host, each in self._records.items()}

    def load(self) -> list[HostRecord]:
        """Read all hosts; return them."""
        self._records = {each.host: each for each in self._store.hosts()}
        self._names = None
        return list(self._records.values())

    def find(self, host: str) -> HostRecord | None:
        """Return what is known of a host."""
        return self._records.get(host)

    def is_known(self, host: str, exchange: str) -> bool:
        """Return whether the host is known to publish to this exchange."""
        known = self._records.get(host)
        return known is not None and known.exchange == exchange

    def note_heartbeat(self, host: str, exchange: str) -> bool:
        """Record a sign of life; return whether the host, or its exchange, is new."""
        now, known = self._clock(), self._records.get(host)
        if known is None:
            return self._add(HostRecord(host, exchange, now))
        self._heard_at[host] = self._monotonic()
        if known.exchange != exchange:
            known.exchange, known.last_seen = exchange, now
            self._changed.add(host)
            return True
        self._note_seen(known, now)
        return False

    def note_report(self, host: str, carried: Carried) -> None:
        """Record what a known host reports of its plan."""
        known = self._records.get(host)
        if known is None:
            return
        now = self._clock()
        if carried != known.carried or now - known.last_seen >= SEEN_S or not known.reported_at:
            known.carried_version, known.carried_digest = carried.plan_version, carried.digest
            known.clock_trusted = carried.clock_trusted
            known.reported_at = _text(now)
            known.last_seen = now
            self._changed.add(host)

    def note_runs(self, host: str, sequence: int) -> None:
        """Record that all changes of the host's runs up to this one are stored."""
        known = self._records.get(host)
        if known is not None and known.runs_sequence != sequence:
            known.runs_sequence = sequence
            self._changed.add(host)

    def save_changed(self) -> None:
        """Store what has changed."""
        changed = [self._records[host] for host in self._changed if host in self._records]
        self._changed = set()
        try:
            self._store.save(changed)
        except BaseException:
            self._changed.update(each.host for each in changed)
            raise

    def forget_silent(self) -> list[str]:
        """Forget hosts that were silent for too long; return them."""
        before = self._clock() - self._keep_s
        heard_before = self._monotonic() - self._keep_s
        silent = [
            host
            for host, each in self._records.items()
            if each.last_seen < before and self._heard_at.get(host, heard_before) <= heard_before
        ]
        if silent:
            self._store.forget(silent)
            log.info("silent hosts forgotten", extra={"hosts": silent[:20], "count": len(silent)})
        for host in silent:
            del self._records[host]
            self._heard_at.pop(host, None)
            self._changed.discard(host)
        self._names = None
        return silent

    def _add(self, record: HostRecord) -> bool:
        if len(self._records) >= MOST_HOSTS:
            return False
        self._records[record.host] = record
        self._heard_at[record.host] = self._monotonic()
        self._changed.add(record.host)
        self._names = None
        return True

    def _note_seen(self, known: HostRecord, now: float) -> None:
        if now - known.last_seen >= SEEN_S:
            known.last_seen = now
            self._changed.add(known.host)


def _text(unix: float) -> str:
    moment = datetime.fromtimestamp(unix, UTC)
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
