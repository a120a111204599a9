"""Listening sockets that bound how many connections are open, in all and from one address.

asyncio accepts whoever comes. With too many, every descriptor is in use: then the database and the
broker cannot be opened either, and asyncio logs each connection that it cannot accept. Here a
connection is counted from its accept until its socket is closed, its TLS hand-shake included.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from ipaddress import IPv6Address, ip_network
from typing import Any

from services.gateway.http.middleware.forwarded import parse_address

log = logging.getLogger(__name__)

# Why a connection is refused, as the metrics name it.
TOTAL, ADDRESS, DESCRIPTORS = "total", "address", "descriptors"
REASONS = (TOTAL, ADDRESS, DESCRIPTORS)
UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 1\r\ncontent-length: 0\r\n"
    b"cache-control: no-store\r\nx-content-type-options: nosniff\r\nconnection: close\r\n\r\n"
)
# Whoever has one IPv6 address has all of its /64.
_INTERFACE_BITS = 64
# asyncio's own pause after an accept that failed.
_PAUSE_S = 1.0

# An IP version and an address, or what stands for the address.
Key = tuple[int, int]
NO_BOUND: Key = (0, 0)


class ConnectionLimit:
    """Counts what is open; all listeners of a server share one.

    Loopback addresses and those in `exempt` networks have no bound of their own: what comes from
    there are local programs and proxies, with many clients behind them.
    """

    def __init__(
        self,
        most: int,
        most_per_address: int,
        exempt: Sequence[str] = (),
        on_refused: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._exempt = [ip_network(network) for network in exempt]
        self._on_refused = on_refused
        self._by_address: Counter[Key] = Counter()
        self._refused: Counter[str] = Counter()
        self.open = 0

    def enter(self, address: str) -> Key | None:
        """Count a connection and return the key to `leave` with; None: it is to be refused."""
        key = self._key(address)
        reason = self._reason(key)
        if reason is not None:
            self.refuse(reason)
            return None
        self.open += 1
        self._by_address[key] += 1
        return key

    def leave(self, key: Key) -> None:
        """Forget a connection that has ended."""
        self.open -= 1
        self._by_address[key] -= 1
        if not self._by_address[key]:
            del self._by_address[key]

    def refuse(self, reason: str) -> None:
        """Count a connection that is refused."""
        self._refused[reason] += 1
        self._on_refused(reason)

    def log_refused(self) -> None:
        """Log how many were refused since the last time, if any; to be called once a second."""
        if self._refused:
            log.warning("connections refused", extra={**self._refused, "open": self.open})
            self._refused.clear()

    def _reason(self, key: Key) -> str | None:
        if self.open >= self._most:
            return TOTAL
        crowded = self._by_address[key] >= self._most_per_address
        return ADDRESS if crowded and key != NO_BOUND else None

    def _key(self, text: str) -> Key:
        address = parse_address(text)
        if address is None or address.is_loopback or any(address in each for each in self._exempt):
            return NO_BOUND
        shift = _INTERFACE_BITS if isinstance(address, IPv6Address) else 0
        return address.version, int(address) >> shift


class Listener(socket.socket):
    """A listening socket; its `accept` returns only connections that are within the limit."""

    def __init__(self, listening: socket.socket, limit: ConnectionLimit, *, tls: bool) -> None:
        super().__init__(fileno=listening.detach())
        self.setblocking(False)
        self._limit = limit
        self._answer = b"" if tls else UNAVAILABLE
        # Kept for the moment when no other is left.
        self._spare: int | None = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self._paused_until = 0.0

    def accept(self) -> tuple[socket.socket, Any]:
        """Return a connection and its address; raise BlockingIOError when there is none.

        asyncio stops at ConnectionAbortedError, which stands for one that was refused, and asks
        again. At any other error it asks on: those are told it once a second at most.
        """
        if time.monotonic() < self._paused_until:
            raise BlockingIOError
        try:
            accepted, address = super().accept()
        except OSError as exc:
            self._cope(exc)
            raise
        key = self._limit.enter(address[0])
        if key is None:
            _end(accepted, self._answer)
            raise ConnectionAbortedError
        return CountedSocket(accepted, self._limit, key), address

    def close(self) -> None:
        """Stop listening."""
        self._release_spare()
        super().close()

    def _cope(self, exc: OSError) -> None:
        """Refuse a connection for which there is no descriptor; else pause, if it is no other's."""
        if isinstance(exc, BlockingIOError | InterruptedError | ConnectionAbortedError):
            return
        if exc.errno in {errno.EMFILE, errno.ENFILE} and self._release_spare():
            try:
                _end(super().accept()[0], self._answer)
            finally:
                with suppress(OSError):
                    self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            self._limit.refuse(DESCRIPTORS)
            raise ConnectionAbortedError from exc
        self._paused_until = time.monotonic() + _PAUSE_S

    def _release_spare(self) -> bool:
        spare, self._spare = self._spare, None
        if spare is not None:
            os.close(spare)
        return spare is not None


class CountedSocket(socket.socket):
    """A connection that counts until it is closed."""

    def __init__(self, accepted: socket.socket, limit: ConnectionLimit, key: Key) -> None:
        super().__init__(fileno=accepted.detach())
        self._limit = limit
        self._key: Key | None = key

    def close(self) -> None:
        """Close it, and let another one in."""
        key, self._key = self._key, None
        if key is not None:
            self._limit.leave(key)
        super().close()


def _end(accepted: socket.socket, answer: bytes) -> None:
    with accepted, suppress(OSError):
        accepted.setblocking(False)
        if answer:
            accepted.send(answer)
