"""Schedule requests to LXD: regular ones for everything, and for instances after their events."""

from __future__ import annotations

from services.metrics.sampler.reading import Identity
from shared.lxd.models import LifecycleEvent

# More instances than this are requested together, in the one request for all.
MOST_SINGLE = 8

RETRY_S = 2.0
_NEVER = float("inf")

# Seconds from an event to a request: shortly after, and only once for a burst of events; after a
# start again later, as DHCP assigns the address only then.
SOON_S = 0.1
AFTER_START_S = (SOON_S, 3.0, 10.0)

_STARTS = {"instance-started", "instance-restarted", "instance-restored"}
_CHANGES = {"instance-updated", "instance-stopped", "instance-shutdown", "instance-deleted"}
_CHANGES_OF_MANY = {"profile-updated", "project-updated"}


def affects_many(event: LifecycleEvent) -> bool:
    """Return whether any instance may have other limits and devices now."""
    return event.metadata.action in _CHANGES_OF_MANY


def poll_delays_s(event: LifecycleEvent) -> tuple[float, ...]:
    """Return after how many seconds to request the instance, each time; empty: never."""
    if event.metadata.action in _STARTS:
        return AFTER_START_S
    return (SOON_S,) if event.metadata.action in _CHANGES else ()


class PollSchedule:
    """The requests to LXD and when they are due, in monotonic seconds.

    A request is done once LXD has answered one that was sent at its time or later.
    """

    def __init__(self, *, period_s: float, now_s: float) -> None:
        self._period_s = period_s
        self._regular_s = now_s
        self._extra_s = _NEVER
        self._requests: dict[Identity, list[float]] = {}

    def request_all(self, at_s: float) -> None:
        """Request everything at this time, in addition to the regular requests."""
        self._extra_s = min(self._extra_s, at_s)

    def request(self, identity: Identity, at_s: float) -> None:
        """Request one instance at this time, in addition to its other times."""
        self._requests.setdefault(identity, []).append(at_s)

    def all_due(self, now_s: float) -> bool:
        """Return whether a request for everything is due."""
        too_many = len(self.due(now_s)) > MOST_SINGLE
        return too_many or min(self._regular_s, self._extra_s) <= now_s

    def due(self, now_s: float) -> list[Identity]:
        """Return the instances whose requests are due."""
        return [identity for identity, times in self._requests.items() if min(times) <= now_s]

    def done(self, identity: Identity, sent_at_s: float) -> None:
        """Record an answer about one instance."""
        later = [at_s for at_s in self._requests.pop(identity, []) if at_s > sent_at_s]
        if later:
            self._requests[identity] = later

    def all_done(self, sent_at_s: float) -> None:
        """Record an answer about everything."""
        self._regular_s = sent_at_s + self._period_s
        if self._extra_s <= sent_at_s:
            self._extra_s = _NEVER
        for identity in self.due(sent_at_s):
            self.done(identity, sent_at_s)

    def failed(self, now_s: float) -> None:
        """Record that LXD did not answer; request everything a little later."""
        self._regular_s = self._extra_s = now_s + RETRY_S
        self._requests.clear()
