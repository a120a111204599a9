"""nameko's RPC, made safe for one worker per host. Measured reasons stand in docs/broker-notes.md.

* The queue is exclusive and goes with its connection: a call for a worker that is away is
returned to its caller at once, and nothing stale runs after a restart. * A call is served only if
it provably comes from a gateway (see `provenance`) and its answer stays within this host's own
routing keys; anything else is dropped or buried before it can do harm. * A lost connection is
tried again every half second, and an answer that cannot be sent is given up (its caller asks by
the operation's id); stock nameko backs off to 32 s, and dies of the latter.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import eventlet
from kombu import Exchange, Queue
from kombu.exceptions import KombuError
from nameko.amqp.publish import get_producer
from nameko.constants import AMQP_URI_CONFIG_KEY, DEFAULT_SERIALIZER
from nameko.extensions import DependencyProvider
from nameko.messaging import QueueConsumer
from nameko.rpc import Responder, Rpc, RpcConsumer

from shared.contracts.errors import FleetError
from shared.platform import provenance, topology
from shared.platform.logs import correlation_id

_log = logging.getLogger(__name__)

RETRY_S = 0.5
F = TypeVar("F", bound=Callable[..., Any])


class HostQueueConsumer(QueueConsumer):  # type: ignore[misc]
    """Consumes; connects again every half second; buries what is no JSON."""

    should_stop: bool
    _pending_remove_providers: dict[Any, Any]

    @contextmanager
    def establish_connection(self) -> Iterator[Any]:
        """Yield an open connection, however long that takes; fail once the service has to stop."""
        with self.create_connection() as connection:
            while True:
                try:
                    connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
                    break
                except connection.connection_errors as exc:
                    # Not the address, which holds the password.
                    _log.debug("broker not reached", extra={"reason": str(exc)})
                    self._let_go()
                    if self.should_stop:
                        raise
                eventlet.sleep(RETRY_S)
            yield connection

    def _let_go(self) -> None:
        # Stock nameko answers a provider that wants to leave only while it consumes, so that a
        # service could not be stopped during an outage.
        leaving, self._pending_remove_providers = self._pending_remove_providers, {}
        for provider, left in leaving.items():
            self._consumers.pop(provider, None)
            left.send()
        self.should_stop = self.should_stop or bool(leaving and not self._consumers)

    def on_decode_error(self, message: Any, exc: BaseException) -> None:
        """Put a body that cannot be decoded among the dead letters."""
        bury(self.amqp_uri, message, f"body: {exc}")
        self.ack_message(message)


class HostRpcConsumer(RpcConsumer):  # type: ignore[misc]
    """Takes this host's calls from a queue of its own."""

    queue_consumer = HostQueueConsumer()
    queue: Queue | None

    def setup(self) -> None:
        """Name the queue; it is declared when the consumer connects, the exchange never."""
        if self.queue is not None:
            return
        service = self.container.service_name
        self.queue = Queue(
            topology.calls_queue(self._host),
            exchange=Exchange(topology.CALLS.name, type="topic", durable=True, passive=True),
            routing_key=f"{service}.*",
            durable=False,
            exclusive=True,
            auto_delete=True,
        )
        self.queue_consumer.register_provider(self)
        self._registered = True

    def handle_message(self, body: Any, message: Any) -> None:
        """Serve an honest call; bury or drop anything else."""
        if not self._is_ours(message):
            _log.warning("call of doubtful origin dropped", extra={"key": _key(message)})
            self.queue_consumer.ack_message(message)
        elif reason := _unreadable(body, message):
            bury(self.container.config[AMQP_URI_CONFIG_KEY], message, reason)
            self.queue_consumer.ack_message(message)
        else:
            super().handle_message(body, message)

    def handle_result(self, message: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
        """Answer the call; give the answer up when it cannot be sent."""
        responder = Responder(
            self.container.config[AMQP_URI_CONFIG_KEY],
            # Stock nameko answers through the exchange that calls come from.
            Exchange(topology.ANSWERS.name, type="topic", durable=True, passive=True),
            DEFAULT_SERIALIZER,
            message,
        )
        try:
            answered: tuple[Any, Any] = responder.send_response(result, exc_info)
        except (KombuError, OSError, *_channel_errors(message)) as exc:
            _log.warning("answer not sent", extra={"key": _key(message), "reason": str(exc)})
            answered = result, sys.exc_info()
        self.queue_consumer.ack_message(message)
        return answered

    def _is_ours(self, message: Any) -> bool:
        delivery = message.delivery_info
        reply_to = message.properties.get("reply_to") or ""
        return (
            provenance.direct(
                exchange=delivery["exchange"],
                expected_exchange=topology.CALLS.name,
                headers=message.headers,
            )
            and _key(message).startswith(f"{self.container.service_name}.")
            and reply_to.startswith(topology.reply_key(self._host, ""))
        )

    @property
    def _host(self) -> str:
        return str(self.container.service_name).rpartition(".")[2]


class HostRpc(Rpc):  # type: ignore[misc]
    """Makes a method callable by gateways; a FleetError it raises is an answer, not a crash."""

    rpc_consumer = HostRpcConsumer()

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("expected_exceptions", FleetError)
        super().__init__(**kwargs)


host_rpc: Callable[[F], F] = HostRpc.decorator


class Correlation(DependencyProvider):  # type: ignore[misc]
    """Gives the call's correlation id to every log line of the greenthread that serves it."""

    def worker_setup(self, worker_ctx: Any) -> None:
        """Take it from the call's headers."""
        correlation_id.set(str(worker_ctx.data.get("correlation_id", "")))


def bury(amqp_uri: str, message: Any, reason: str) -> None:
    """Copy a message to the dead letters, with the reason; log only when that fails."""
    host = topology.host_of_call(_key(message)) or "unknown"
    body = message.body if isinstance(message.body, bytes) else str(message.body).encode()
    try:
        with get_producer(amqp_uri) as producer:
            producer.publish(
                body,
                exchange=topology.DEAD.name,
                routing_key=f"{host}.unreadable",
                headers={"fleet-reason": reason[:500], "fleet-key": _key(message)},
                content_type="application/octet-stream",
                content_encoding="binary",
            )
    except (KombuError, OSError, *_channel_errors(message)) as exc:
        _log.warning("unreadable call lost", extra={"reason": reason, "because": str(exc)})


def _unreadable(body: Any, message: Any) -> str | None:
    if message.content_type != "application/json":
        return f"content type: {message.content_type}"
    if not isinstance(body, dict) or not isinstance(body.get("args"), list):
        return "not a call: no args"
    if not isinstance(body.get("kwargs"), dict):
        return "not a call: no kwargs"
    return None


def _key(message: Any) -> str:
    return str(message.delivery_info["routing_key"])


def _channel_errors(message: Any) -> tuple[type[BaseException], ...]:
    transport = message.channel.connection.Transport if message.channel.connection else None
    return () if transport is None else transport.channel_errors
