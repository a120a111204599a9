"""When to ask LXD, and about what: everything now and then, one instance when an event says so."""

from __future__ import annotations

from services.metrics.domain.reading import Identity

# More instances than these are asked about together, in the one request for all.
MOST_SINGLE = 8

RETRY_S = 2.0
_NEVER = float("inf")


class Wishes:
    """What is to be asked at which time, in monotonic seconds.

    A wish is fulfilled by an answer to a question that was asked at its time or later.
    """

    def __init__(self, *, period_s: float, now_s: float) -> None:
        self._period_s = period_s
        self._regular_s = now_s
        self._extra_s = _NEVER
        self._looks: dict[Identity, list[float]] = {}

    def everything(self, at_s: float) -> None:
        """Wish for everything at this time, besides the regular one."""
        self._extra_s = min(self._extra_s, at_s)

    def look(self, identity: Identity, at_s: float) -> None:
        """Wish for one instance at this time, besides its other times."""
        self._looks.setdefault(identity, []).append(at_s)

    def everything_due(self, now_s: float) -> bool:
        """Return whether it is time for everything."""
        too_many = len(self.looks_due(now_s)) > MOST_SINGLE
        return too_many or min(self._regular_s, self._extra_s) <= now_s

    def looks_due(self, now_s: float) -> list[Identity]:
        """Return the instances that it is time to ask about."""
        return [identity for identity, times in self._looks.items() if min(times) <= now_s]

    def looked(self, identity: Identity, asked_s: float) -> None:
        """Take in that LXD answered about one instance."""
        later = [at_s for at_s in self._looks.pop(identity, []) if at_s > asked_s]
        if later:
            self._looks[identity] = later

    def saw_everything(self, asked_s: float) -> None:
        """Take in that LXD answered about everything."""
        self._regular_s = asked_s + self._period_s
        if self._extra_s <= asked_s:
            self._extra_s = _NEVER
        for identity in self.looks_due(asked_s):
            self.looked(identity, asked_s)

    def failed(self, now_s: float) -> None:
        """Take in that LXD did not answer: everything is wished for, a little later."""
        self._regular_s = self._extra_s = now_s + RETRY_S
        self._looks.clear()
