"""Publishes unreadable messages to the dead-letter queue.

A few KB of each are published with the reason; of a host that sends many, only the first ones, and
the rest are counted. So no host can fill the queue, the log or the disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from services.snapshots.bus.messages import Received
from shared.contracts.errors import BrokerUnavailable
from shared.platform.bus import topology
from shared.platform.bus.confirmed_publisher import ConfirmedPublisher
from shared.platform.bus.dead_letter import (
    AT_ONCE,
    BODY_BYTES,
    LONGEST_REASON,
    PER_SECOND,
    dead_letter_headers,
)
from shared.platform.token_bucket import TokenBucket

log = logging.getLogger(__name__)

MOST_BUDGETS = 20_000


class DeadLetters:
    """Publishes dead letters; `on_dead_letter` is called for each."""

    def __init__(self, publisher: ConfirmedPublisher, on_dead_letter: Callable[[], None]) -> None:
        self._publisher = publisher
        self._on_dead_letter = on_dead_letter
        self._budgets: dict[str, TokenBucket] = {}

    def add(self, received: Received, reason: str) -> None:
        """Count and log a message, and publish it if the budget allows."""
        self._on_dead_letter()
        # The exchange says who sent it, whatever the message says.
        host = topology.host_of(received.exchange) or "_unknown"
        if not self._budget(host).try_take():
            return
        log.warning(
            "unreadable message",
            extra={"host": host, "key": received.key[:255], "reason": reason[:LONGEST_REASON]},
        )
        try:
            self._publisher.send(
                topology.DEAD.name,
                f"{host}.unreadable",
                received.body[:BODY_BYTES],
                mandatory=False,
                persistent=True,
                headers=dead_letter_headers(received.key, received.body, reason),
            )
        except BrokerUnavailable as exc:
            log.warning("dead letter lost", extra={"host": host, "reason": str(exc)})

    def _budget(self, host: str) -> TokenBucket:
        if len(self._budgets) > MOST_BUDGETS:
            self._budgets.clear()
        if host not in self._budgets:
            self._budgets[host] = TokenBucket(PER_SECOND, AT_ONCE)
        return self._budgets[host]
