"""When to send a host its plan: until it reports the plan, and trusts its clock.

Pure; all times are seconds of a monotonic clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from shared.platform.run.backoff import Backoff

# The same plan is not sent to a host more often.
RESEND_S = 10.0
# Half of a wait of `Backoff` is random. A host whose clock is wrong stays so for a while; one that
# no call reached may be back at any time.
_FIRST_S, _MOST_S = 2 * RESEND_S, 300.0
_MOST_AWAY_S = 40.0


@dataclass(frozen=True, slots=True)
class Carried:
    """The plan that a host reports, and whether it trusts its clock."""

    plan_version: int = 0
    digest: str = ""
    clock_trusted: bool = False


@dataclass(slots=True)
class Delivery:
    """The delivery of a host's plan; a version of 0: it has none yet."""

    plan_version: int = 0
    digest: str = ""
    carried: Carried = Carried()
    due_at: float = 0.0
    last_sent_at: float = float("-inf")
    reissue_at: float = 0.0
    _backoff: Backoff = field(default_factory=lambda: Backoff(_FIRST_S, _MOST_S))
    _away: Backoff = field(default_factory=lambda: Backoff(_FIRST_S, _MOST_AWAY_S, growth=1.5))
    _reissue: Backoff = field(default_factory=lambda: Backoff(_FIRST_S, _MOST_S))

    @property
    def confirmed(self) -> bool:
        """Whether the host has reported this plan."""
        return (self.carried.plan_version, self.carried.digest) == (self.plan_version, self.digest)

    @property
    def done(self) -> bool:
        """Whether nothing is to be sent."""
        return self.plan_version == 0 or (self.confirmed and self.carried.clock_trusted)

    @property
    def refusable(self) -> bool:
        """Whether the host would refuse the plan, as it has a later or another one."""
        return 0 < self.plan_version <= self.carried.plan_version and not self.confirmed

    def needs_version(self, now: float) -> bool:
        """Return whether the plan should get a version that the host takes, now."""
        return self.refusable and now >= self.reissue_at

    def is_due(self, now: float) -> bool:
        """Return whether to send the plan now."""
        return not self.done and now >= self.due_at

    def issue(self, plan_version: int, digest: str, now: float) -> None:
        """Begin to deliver a new plan."""
        if self.refusable:
            self.reissue_at = now + self._reissue.next_s()
        self.plan_version, self.digest = plan_version, digest
        self.due_at = now
        self.last_sent_at = float("-inf")
        self._reset()

    def note_sent(self, now: float, *, reached: bool) -> None:
        """Record an attempt; `reached`: there is a worker that took the call."""
        self.last_sent_at = now
        backoff = self._backoff if reached else self._away
        self.due_at = now + max(RESEND_S, backoff.next_s())
        if reached:
            self._away.reset()

    def note_report(self, carried: Carried, now: float, *, is_back: bool) -> None:
        """Record a report; `is_back`: it is the first one of a worker that has started."""
        before, self.carried = self.carried, carried
        if is_back or before != carried:
            self._reset()
            self.due_at = min(self.due_at, max(now, self.last_sent_at + RESEND_S))

    def _reset(self) -> None:
        self._backoff.reset()
        self._away.reset()
