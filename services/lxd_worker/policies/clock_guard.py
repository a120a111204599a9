"""Whether this host's clock can be believed: nothing is pruned by a clock that may be wrong.

It is believed once it has agreed with the centre's in the present boot, until it jumps: then the
time since boot, which nobody sets, tells another story. A clock that is corrected step by step
agrees again with every plan that the centre sends or confirms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from services.lxd_worker.clock import WorkerClock
from services.lxd_worker.policies.protocol import PolicyStore
from services.lxd_worker.policies.records import ClockAgreement

# How far the clock may be from the centre's, and how far it may jump.
MOST_OFF_S = 300.0

# Returns the id of the present boot, and the seconds since then, suspension included.
BootTime = Callable[[], tuple[str, float]]


@dataclass(slots=True)
class ClockGuard:
    """Compares the wall clock with the centre's, and with the time since boot."""

    store: PolicyStore
    clock: WorkerClock
    boot_time: BootTime
    _agreement: ClockAgreement | None = field(init=False)

    def __post_init__(self) -> None:
        self._agreement = self.store.agreement()

    @property
    def trusted(self) -> bool:
        """Whether the clock is right, as far as this host can tell."""
        boot_id, offset_s = self._now()
        agreed = self._agreement
        return (
            agreed is not None
            and agreed.boot_id == boot_id
            and abs(offset_s - agreed.offset_s) <= MOST_OFF_S
        )

    def compare(self, clock: str) -> None:
        """Take in the centre's Unix time, as text; raises DatabaseUnavailable."""
        boot_id, offset_s = self._now()
        agrees = abs(_seconds(clock) - self.clock.unix()) <= MOST_OFF_S
        agreement = ClockAgreement(boot_id=boot_id, offset_s=offset_s) if agrees else None
        if agreement != self._agreement:
            self.store.set_agreement(agreement)
            self._agreement = agreement

    def _now(self) -> tuple[str, float]:
        boot_id, since_boot_s = self.boot_time()
        return boot_id, self.clock.unix() - since_boot_s


def _seconds(text: str) -> float:
    """Return a Unix time, or one that is infinitely far off."""
    try:
        seconds = float(text)
    except ValueError:
        return math.inf
    return seconds if math.isfinite(seconds) else math.inf
