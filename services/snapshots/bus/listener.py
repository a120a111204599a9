"""Consumes what hosts publish, over one connection, in one greenthread.

Each host has a queue of its own that goes with the connection, so that it can crowd out only its
own messages; what it dropped, or what was published meanwhile, is asked for (`runs.sync`). Hosts
are found by their heartbeats.
"""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable
from typing import Any

import eventlet
from amqp.exceptions import AccessRefused
from kombu import Connection

from services.snapshots.bus.host_queues import HostQueues
from services.snapshots.bus.inboxes import Inboxes
from services.snapshots.bus.messages import Received, read_heartbeat
from services.snapshots.hosts.registry import HostRegistry
from shared.contracts.errors import UnreadableMessage
from shared.platform.bus import topology
from shared.platform.bus.confirmed_publisher import HEARTBEAT_S, LACKS_RIGHTS
from shared.platform.bus.lenient_delivery import install
from shared.platform.run.backoff import Backoff

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 5.0
SUBSCRIBE_S = 1.0
# People change passwords. Whoever may still publish to two of a host's exchanges could otherwise
# have its queues declared again with each heartbeat.
RENAME_S = 5.0


class HostListener:
    """Puts what the hosts of `registry` publish into `inboxes`, and new hosts into `registry`.

    `on_subscribed` is called with each host that is heard from then on, `on_unreadable` with a
    heartbeat that cannot be read, and why.
    """

    def __init__(
        self,
        amqp_uri: str,
        inboxes: Inboxes,
        registry: HostRegistry,
        on_subscribed: Callable[[str], None],
        on_unreadable: Callable[[Received, str], None],
    ) -> None:
        install()
        self._uri = amqp_uri
        self._inboxes = inboxes
        self._registry = registry
        self._on_subscribed = on_subscribed
        self._on_unreadable = on_unreadable
        self._last_error = ""
        # When the exchange of a host was last found to be another one.
        self._renamed_at: dict[str, float] = {}
        self.reply_id = ""
        self.connected = False

    def run(self) -> None:
        """Consume until killed."""
        backoff = Backoff(0.25, 2.0)
        while True:
            with Connection(
                self._uri, heartbeat=HEARTBEAT_S, connect_timeout=CONNECT_TIMEOUT_S
            ) as connection:
                try:
                    self._listen(connection, backoff.reset)
                except (*connection.connection_errors, *connection.channel_errors, OSError) as exc:
                    self._note_loss(exc)
                except eventlet.Timeout as exc:
                    self._note_loss(exc)
                finally:
                    self.connected = False
                    # Not close(), which would wait for a broker that may be away.
                    connection.collect()
            eventlet.sleep(backoff.next_s())

    def _note_loss(self, exc: BaseException) -> None:
        # Never the URI: it contains the password.
        reason = LACKS_RIGHTS if isinstance(exc, AccessRefused) else str(exc) or repr(exc)
        if reason != self._last_error:
            log.warning("hosts are not heard", extra={"reason": reason, "error": repr(exc)[:300]})
        self._last_error = reason

    def _listen(self, connection: Any, on_ready: Callable[[], None]) -> None:
        connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
        self.reply_id = f"snapshots{secrets.token_hex(16)}"
        self._inboxes.begin(self.reply_id)
        queues = HostQueues(connection, self.reply_id, self._inboxes, self._take_heartbeat)
        self._queues = queues
        self._subscribe_all(queues)
        queues.begin_discovery()
        self.connected, self._last_error = True, ""
        on_ready()
        log.info("connected to the broker", extra={"purpose": "hosts"})
        subscribed_at = time.monotonic()
        while True:
            queues.work(len(self._registry.names))
            if time.monotonic() - subscribed_at >= SUBSCRIBE_S:
                self._subscribe_all(queues)
                subscribed_at = time.monotonic()

    def _subscribe_all(self, queues: HostQueues) -> None:
        wanted = self._registry.exchanges
        for host in [host for host in queues.subscriptions if host not in wanted]:
            queues.unsubscribe(host)
        for host, exchange in wanted.items():
            self._subscribe(queues, host, exchange)

    def _subscribe(self, queues: HostQueues, host: str, exchange: str) -> None:
        if queues.subscribe(host, exchange):
            self._on_subscribed(host)

    def _take_heartbeat(self, received: Received) -> None:
        host = topology.host_of(received.exchange)
        if self._registry.is_known(host, received.exchange):
            # A second copy, which need not be decoded.
            self._registry.note_heartbeat(host, received.exchange)
            return
        try:
            host = read_heartbeat(received)
        except UnreadableMessage as exc:
            self._on_unreadable(received, exc.reason)
            return
        if self._may_be_found(host) and self._registry.note_heartbeat(host, received.exchange):
            self._queues.note_found(received.exchange)
            self._subscribe(self._queues, host, received.exchange)

    def _may_be_found(self, host: str) -> bool:
        """Whether a host is new, or its exchange may be another one by now."""
        if self._registry.find(host) is None:
            return True
        now = time.monotonic()
        if now - self._renamed_at.get(host, float("-inf")) < RENAME_S:
            return False
        self._renamed_at[host] = now
        return True
