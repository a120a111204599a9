"""A connection that publishes with confirms, and reconnects by itself.

Runs under eventlet. A publish either returns (the broker has it) or raises BrokerUnavailable (it
may have it); nothing is buffered. A greenthread reconnects: within half a second if the broker is
back at once, else less and less often.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import eventlet
from amqp.exceptions import AccessRefused, MessageNacked
from eventlet.greenthread import GreenThread
from eventlet.semaphore import Semaphore
from kombu import Connection

from shared.contracts.errors import BrokerUnavailable
from shared.platform.run.backoff import reconnect_backoff

_log = logging.getLogger(__name__)

BEAT_S = 0.5
CONFIRM_TIMEOUT_S = 5.0
HEARTBEAT_S = 10
PERSISTENT, TRANSIENT = 2, 1
LACKS_RIGHTS = "the broker user lacks rights that this release needs: renew it with add_user"


class ConfirmedPublisher:
    """Publishes JSON; `name` is for the log.

    After every connection, including the first, it calls each function in `on_connected` in a
    greenthread of its own.
    """

    def __init__(self, amqp_uri: str, name: str) -> None:
        self._name = name
        self._connection: Any = Connection(
            amqp_uri,
            heartbeat=HEARTBEAT_S,
            connect_timeout=CONFIRM_TIMEOUT_S,
            transport_options={"confirm_publish": True},
        )
        self._channel: Any = None
        self._unroutable = False
        # Whether the broker has refused what was published last.
        self.refused = False
        self._lock = Semaphore()
        self._keeper: GreenThread | None = None
        self._backoff = reconnect_backoff()
        self._lost_at: float | None = None
        # How long the last outage took; 0 before the first.
        self.outage_s = 0.0
        self.on_connected: list[Callable[[], None]] = []

    @property
    def connected(self) -> bool:
        """Whether the last use of the connection worked."""
        return self._channel is not None

    def start(self) -> None:
        """Connect in the background, and reconnect whenever the connection is lost."""
        self._keeper = eventlet.spawn(self._keep_connected)

    def stop(self) -> None:
        """Close the connection; unconfirmed events are lost."""
        if self._keeper is not None:
            self._keeper.kill()
        self._disconnect()

    def send(
        self,
        exchange: str,
        key: str,
        body: bytes,
        *,
        mandatory: bool,
        persistent: bool = False,
        **properties: Any,
    ) -> bool:
        """Publish; return False if it had to reach a queue and has not. Raises BrokerUnavailable.

        A queue that is full and refuses it counts as a broker that is away.
        """
        with self._lock:
            if self._channel is None:
                raise BrokerUnavailable
            message = self._channel.prepare_message(
                body,
                content_type="application/json",
                content_encoding="utf-8",
                headers=properties.pop("headers", None),
                properties={"delivery_mode": PERSISTENT if persistent else TRANSIENT, **properties},
            )
            self._unroutable = False
            try:
                with eventlet.Timeout(CONFIRM_TIMEOUT_S):
                    self._channel.basic_publish(message, exchange, key, mandatory=mandatory)
            except MessageNacked as exc:
                raise BrokerUnavailable from exc
            except (*self._errors(), eventlet.Timeout) as exc:
                self._note_refusal(exc)
                self._disconnect()
                raise BrokerUnavailable from exc
            self.refused = False
            return not self._unroutable

    def _keep_connected(self) -> None:
        while True:
            if self._channel is None:
                self._try_to_connect()
            else:
                self._beat()
            eventlet.sleep(BEAT_S if self._channel else self._backoff.next_s())

    def _try_to_connect(self) -> None:
        try:
            with self._lock, eventlet.Timeout(CONFIRM_TIMEOUT_S):
                self._connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
                channel = self._connection.channel()
                channel.events["basic_return"].add(self._on_return)
                self._channel = channel
        except (*self._errors(), eventlet.Timeout) as exc:
            _log.debug("broker not reached", extra={"reason": str(exc)})
            self._disconnect()
            return
        self._backoff.reset()
        if self._lost_at is not None:
            self.outage_s = time.monotonic() - self._lost_at
        self._lost_at = None
        _log.info("connected to the broker", extra={"publisher": self._name})
        for call in self.on_connected:
            eventlet.spawn(call)

    def _beat(self) -> None:
        with self._lock:
            try:
                self._connection.heartbeat_check()
                self._connection.drain_events(timeout=0.001)
            except TimeoutError:
                pass
            except self._errors() as exc:
                _log.warning("connection to the broker lost", extra={"reason": str(exc)})
                self._disconnect()

    def _note_refusal(self, exc: BaseException) -> None:
        # Logged once until something is published again.
        if isinstance(exc, AccessRefused) and not self.refused:
            self.refused = True
            _log.error(LACKS_RIGHTS, extra={"reason": str(exc)})

    def _on_return(self, *_: object) -> None:
        self._unroutable = True

    def _disconnect(self) -> None:
        # Not close(), which would wait for a broker that may be away.
        if self._channel is not None:
            self._lost_at = time.monotonic()
        self._channel = None
        self._connection.collect()

    def _errors(self) -> tuple[type[BaseException], ...]:
        return (*self._connection.connection_errors, *self._connection.channel_errors, OSError)
