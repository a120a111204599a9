"""What nameko's RPC lacks to be safe, for a host's worker and for a central service alike.

* Deliveries are checked before they are decoded: their origin, and that the body is uncompressed
  JSON of a bounded size. All others are logged and dropped.
* A lost connection is retried, less and less often during a long outage, and an answer that cannot
  be sent is dropped; stock nameko dies of either.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any

import eventlet
from amqp.exceptions import AccessRefused, AMQPError, NotFound
from kombu import Exchange, Queue
from kombu.exceptions import KombuError
from kombu.transport.pyamqp import Message
from msgspec import Meta, Struct
from nameko.constants import AMQP_URI_CONFIG_KEY, DEFAULT_SERIALIZER
from nameko.extensions import DependencyProvider
from nameko.messaging import QueueConsumer
from nameko.rpc import Responder, RpcConsumer

from shared.contracts.bounds import Word
from shared.contracts.codec import decode
from shared.contracts.errors import UnreadableMessage
from shared.platform.bus.confirmed_publisher import LACKS_RIGHTS
from shared.platform.bus.delivery import UNDECODABLE
from shared.platform.logs import correlation_id
from shared.platform.run.backoff import reconnect_backoff

_log = logging.getLogger(__name__)

# Seconds between the first checks whether a queue exists, and between later ones.
LOOK_S = 0.05
MOST_LOOK_S = 0.5
_IN_USE = "another worker of this host is consuming its calls"
# Bytes; the largest possible submission is a quarter of it.
LARGEST_CALL = 2**20
MOST_ARGUMENTS = 16


class Call(Struct, frozen=True):
    """The body of a call, in nameko's format."""

    args: Annotated[list[Any], Meta(max_length=MOST_ARGUMENTS)]
    kwargs: Annotated[dict[Word, Any], Meta(max_length=MOST_ARGUMENTS)]


class UndecodedMessage(Message):  # type: ignore[misc]
    """A delivery with its raw body; stock kombu decompresses it before it can be checked."""

    def __init__(self, msg: Any, channel: Any = None, **kwargs: Any) -> None:
        headers = msg.properties.get("application_headers") or {}
        self.compression = headers.pop("compression", None)
        super().__init__(msg, channel, **kwargs)


class PatientQueueConsumer(QueueConsumer):  # type: ignore[misc]
    """Consumes without decoding, and reconnects when the connection is lost."""

    should_stop: bool
    _pending_remove_providers: dict[Any, Any]
    _refusal = ""

    def get_consumers(self, consumer_cls: Any, channel: Any) -> Any:
        """Return consumers that pass on deliveries undecoded."""
        channel.Message = UndecodedMessage
        consumers = super().get_consumers(consumer_cls, channel)
        for provider, consumer in self._consumers.items():
            consumer.on_message = partial(self.handle_message, provider, None)
        return consumers

    def on_consume_ready(self, *args: Any, **kwargs: Any) -> None:
        """Forget the last refusal, as the broker lets us consume; log the next one."""
        self._refusal = ""
        super().on_consume_ready(*args, **kwargs)

    def consume(self, *args: Any, **kwargs: Any) -> Iterator[None]:
        """Consume; treat a delivery that py-amqp cannot decode as a lost connection."""
        try:
            yield from super().consume(*args, **kwargs)
        except UNDECODABLE as exc:
            _log.warning("undecodable delivery", extra={"reason": repr(exc)})
            raise ConnectionResetError("undecodable delivery") from exc
        except NotFound as exc:
            # It was deleted with the consumer of another worker of this host.
            raise ConnectionResetError("the queue has gone") from exc
        except AccessRefused as exc:
            # Kombu retries silently, every second or so.
            if str(exc) != self._refusal:
                problem = _IN_USE if "exclusive" in str(exc) else LACKS_RIGHTS
                _log.error(problem, extra={"reason": str(exc)})
            self._refusal = str(exc)
            raise

    @contextmanager
    def establish_connection(self) -> Iterator[Any]:
        """Yield an open connection, however long that takes; raise once the service has to stop."""
        backoff = reconnect_backoff()
        with self.create_connection() as connection:
            while True:
                try:
                    connection.ensure_connection(max_retries=0, reraise_as_library_errors=False)
                    break
                except connection.connection_errors as exc:
                    # Not the address, which holds the password.
                    _log.debug("broker not reached", extra={"reason": str(exc)})
                    self._remove_providers()
                    if self.should_stop:
                        raise
                eventlet.sleep(backoff.next_s())
            self._await_queue(connection)
            yield connection

    def _await_queue(self, connection: Any) -> None:
        pause_s = LOOK_S
        while not all(provider.find_queue(connection) for provider in self._providers):
            self._remove_providers()
            if self.should_stop:
                raise ConnectionAbortedError("stopped before there was a queue")
            eventlet.sleep(pause_s)
            pause_s = min(2 * pause_s, MOST_LOOK_S)

    def _remove_providers(self) -> None:
        # Stock nameko removes providers only while it consumes, so that a service could not be
        # stopped during an outage.
        pending, self._pending_remove_providers = self._pending_remove_providers, {}
        for provider, removed in pending.items():
            self._consumers.pop(provider, None)
            removed.send()
        self.should_stop = self.should_stop or bool(pending and not self._consumers)


class CheckedRpcConsumer(RpcConsumer):  # type: ignore[misc]
    """Serves the calls that are genuine and readable."""

    queue_consumer = PatientQueueConsumer()
    queue: Queue | None

    def find_queue(self, connection: Any) -> bool:
        """Return whether the queue exists, so that it can be consumed."""
        raise NotImplementedError

    def is_genuine(self, message: Any) -> bool:
        """Return whether a delivery comes from someone who may call, and can be answered."""
        raise NotImplementedError

    def reply_exchange(self) -> Exchange:
        """Return the exchange for answers."""
        raise NotImplementedError

    def handle_message(self, body: None, message: Any) -> None:
        """Serve a call; drop anything else."""
        if not self.is_genuine(message):
            _log.warning("call of doubtful origin dropped", extra={"key": key_of(message)})
            self.queue_consumer.ack_message(message)
            return
        try:
            call = read_call(message)
        except UnreadableMessage as exc:
            _log.warning("unreadable call", extra={"key": key_of(message), "reason": exc.reason})
            self.queue_consumer.ack_message(message)
        else:
            super().handle_message({"args": call.args, "kwargs": call.kwargs}, message)

    def handle_result(self, message: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
        """Answer the call; drop the answer if it cannot be sent."""
        exchange = self.reply_exchange()
        responder = Responder(self.amqp_uri, exchange, DEFAULT_SERIALIZER, message)
        try:
            outcome: tuple[Any, Any] = responder.send_response(result, exc_info)
        except (KombuError, AMQPError, OSError) as exc:
            _log.warning("answer not sent", extra={"key": key_of(message), "reason": str(exc)})
            outcome = result, sys.exc_info()
        self.queue_consumer.ack_message(message)
        return outcome

    @property
    def amqp_uri(self) -> str:
        """The broker's address."""
        return str(self.container.config[AMQP_URI_CONFIG_KEY])


class Correlation(DependencyProvider):  # type: ignore[misc]
    """Adds the call's correlation id to every log line of the greenthread that serves it."""

    def worker_setup(self, worker_ctx: Any) -> None:
        """Set the id from the call's headers."""
        correlation_id.set(str(worker_ctx.data.get("correlation_id", "")))


def read_call(message: UndecodedMessage) -> Call:
    """Return the call in a delivery; raise UnreadableMessage."""
    properties = message.properties
    if properties.get("content_type") != "application/json":
        raise UnreadableMessage(f"content type: {properties.get('content_type')!r}"[:200])
    if properties.get("content_encoding") not in (None, "utf-8"):
        raise UnreadableMessage(f"encoding: {properties.get('content_encoding')!r}"[:200])
    if message.compression is not None:
        raise UnreadableMessage("compressed")
    body = message.body if isinstance(message.body, bytes) else message.body.encode()
    if len(body) > LARGEST_CALL:
        raise UnreadableMessage(f"larger than {LARGEST_CALL} bytes")
    return decode(Call, body)


def key_of(message: Any) -> str:
    """Return the routing key of a delivery."""
    return str(message.delivery_info["routing_key"])
