"""Messages of hosts that wait to be handled, and those that wait to be acknowledged.

Hosts are served in turn. Beyond a host's budget its messages are acknowledged late; the broker then
holds the next ones in that host's queue until its limits drop some. So a flood costs its sender
messages, and nobody else.
"""

from __future__ import annotations

import heapq
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import eventlet
from eventlet.event import Event

from services.snapshots.bus.messages import Received
from shared.platform.token_bucket import TokenBucket

MIB = 2**20


@dataclass(frozen=True, slots=True)
class InboxBudget:
    """The rate limits of one host: per second, and in a burst."""

    messages_per_s: float
    messages_at_once: float
    bytes_per_s: float
    bytes_at_once: float


# A host with 1,000 instances takes as many snapshots at a slot, four at once: some 30 changes a
# second, and as many again when it prunes.
HOST = InboxBudget(messages_per_s=50, messages_at_once=500, bytes_per_s=MIB, bytes_at_once=32 * MIB)


class Inboxes:
    """All messages that the broker has delivered and that are not acknowledged yet.

    `on_throttled` is called for each delayed acknowledgement.
    """

    def __init__(
        self,
        on_throttled: Callable[[], None],
        budget: InboxBudget = HOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._on_throttled = on_throttled
        self._budget = budget
        self._clock = clock
        self._waiting: OrderedDict[str, deque[Received]] = OrderedDict()
        self._buckets: dict[str, tuple[TokenBucket, TokenBucket]] = {}
        # The time from which to acknowledge, and the tag.
        self._handled: list[tuple[float, int]] = []
        self._session = ""
        self._added = Event()

    def begin(self, session: str) -> None:
        """Drop everything: the broker delivers it again on the new connection."""
        self._session = session
        self._waiting.clear()
        self._handled.clear()

    def add(self, received: Received) -> None:
        """Add a message."""
        self._waiting.setdefault(received.host, deque()).append(received)
        if not self._added.ready():
            self._added.send()

    def wait(self, timeout_s: float) -> None:
        """Return once there is a message, or after the time-out."""
        if self._waiting:
            return
        self._added = Event()
        with eventlet.Timeout(timeout_s, exception=False):
            self._added.wait()

    def take(self, limit: int) -> list[Received]:
        """Return up to `limit` messages, one of each host in turn."""
        taken: list[Received] = []
        while self._waiting and len(taken) < limit:
            host, messages = self._waiting.popitem(last=False)
            taken.append(messages.popleft())
            if messages:
                self._waiting[host] = messages
        return taken

    def note_handled(self, received: Received) -> None:
        """Have a message acknowledged as soon as its host's budget allows."""
        if received.session != self._session:
            return
        messages, size = self._bucket(received.host)
        delay_s = max(messages.take(1), size.take(len(received.body)))
        if delay_s:
            self._on_throttled()
        heapq.heappush(self._handled, (self._clock() + delay_s, received.tag))

    def acknowledgeable(self) -> Iterator[int]:
        """Return the tags of messages to acknowledge now, once each."""
        now = self._clock()
        while self._handled and self._handled[0][0] <= now:
            yield heapq.heappop(self._handled)[1]

    def forget(self, host: str) -> None:
        """Drop the state of a host."""
        self._buckets.pop(host, None)

    def _bucket(self, host: str) -> tuple[TokenBucket, TokenBucket]:
        if host not in self._buckets:
            budget, clock = self._budget, self._clock
            self._buckets[host] = (
                TokenBucket(budget.messages_per_s, budget.messages_at_once, clock),
                TokenBucket(budget.bytes_per_s, budget.bytes_at_once, clock),
            )
        return self._buckets[host]
