"""One-time tickets for WebSockets, because a browser cannot send a token with one.

A ticket stands in an address, where logs may keep it; so it opens one connection, once, and soon
ends. Tickets live in memory: one is good only at the gateway that gave it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Generic, TypeVar

from cachetools import TTLCache

T = TypeVar("T")

LIFETIME_S = 30.0
# A caller with a token could ask for any number; the oldest give way.
MOST_HELD = 10_000


class Tickets(Generic[T]):
    """Gives tickets out and takes each back once; `T` is what one stands for."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._held: TTLCache[str, T] = TTLCache(MOST_HELD, LIFETIME_S, monotonic)

    def issue(self, stands_for: T) -> str:
        """Return a new ticket."""
        ticket = secrets.token_urlsafe(32)
        self._held[ticket] = stands_for
        return ticket

    def redeem(self, ticket: str) -> T | None:
        """Return what the ticket stands for; None if it is used up, too old or not ours."""
        return self._held.pop(ticket, None)
