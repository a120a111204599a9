"""When to listen to all hosts' heartbeats, in which new hosts are found.

The heartbeats of known hosts come too, as a second copy. So in a large fleet the queue of
heartbeats is bound only now and then: a reader with 1,000 hosts takes a quarter of the copies, and
finds a new host with a heartbeat every two seconds within 14 s.
"""

from __future__ import annotations

MIB = 2**20

QUEUE_LIMITS = {"x-max-length": 1_000, "x-max-length-bytes": 4 * MIB}
# Twice the interval of heartbeats, so that each host is heard; it begins anew with each host found.
BOUND_S = 4.0
# Between two times, for each known host. A pause of less than `SHORTEST_S` is not worth it.
PAUSE_PER_HOST_S = 0.01
SHORTEST_S = 1.0


class DiscoveryPace:
    """Whether the queue is bound; all times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self.bound = False
        self._since = 0.0

    def note_found(self, now: float) -> None:
        """Record that a new host was found: where one is there are more."""
        self._since = now

    def note(self, now: float, *, bound: bool) -> None:
        """Record that the queue was bound or unbound."""
        self.bound, self._since = bound, now

    def is_due(self, hosts: int, now: float) -> bool:
        """Return whether to unbind a bound queue, or bind it again, with so many known hosts."""
        elapsed_s, pause_s = now - self._since, hosts * PAUSE_PER_HOST_S
        if self.bound:
            return pause_s >= SHORTEST_S and elapsed_s >= BOUND_S
        return elapsed_s >= pause_s
