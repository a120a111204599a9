"""nameko's RPC, made safe for one worker per host; docs/broker-notes.md has the measurements.

* A gateway declares the queue when the worker reports that it is missing; the broker deletes it
  with its consumer, so that it returns a call for a worker that is away to the caller at once.
* Deliveries are checked before they are decoded: a call is served only if it provably comes from a
  gateway (see `delivery`), its answer stays within this host's own routing keys, and its body is
  uncompressed JSON. All others are logged and dropped.
* A lost connection is retried, less and less often during a long outage, and an answer that cannot
  be sent is dropped (its caller asks by the operation's id); stock nameko dies of either.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any, TypeVar

import eventlet
from amqp.exceptions import AccessRefused, AMQPError, NotFound
from kombu import Exchange, Queue
from kombu.exceptions import KombuError
from kombu.transport.pyamqp import Message
from msgspec import Meta, Struct
from nameko.constants import AMQP_URI_CONFIG_KEY, DEFAULT_SERIALIZER
from nameko.extensions import DependencyProvider
from nameko.messaging import QueueConsumer
from nameko.rpc import Responder, Rpc, RpcConsumer

from shared.contracts.bounds import Word
from shared.contracts.codec import decode
from shared.contracts.errors import FleetError, UnreadableMessage
from shared.platform.bus import topology
from shared.platform.bus.delivery import UNDECODABLE, is_direct
from shared.platform.bus.publisher import LACKS_RIGHTS
from shared.platform.logs import correlation_id
from shared.platform.run.backoff import reconnect_backoff

_log = logging.getLogger(__name__)

# Seconds between the first checks whether a gateway has declared the queue, and between later ones.
LOOK_S = 0.05
MOST_LOOK_S = 0.5
_IN_USE = "another worker of this host is consuming its calls"
# Bytes; the largest possible submission is a quarter of it.
LARGEST_CALL = 2**20
MOST_ARGUMENTS = 16
F = TypeVar("F", bound=Callable[..., Any])


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


class CallsQueue(Queue):  # type: ignore[misc]
    """A queue from which one worker at a time consumes calls."""

    def consume(
        self,
        consumer_tag: str = "",
        callback: Callable[[Any], object] | None = None,
        no_ack: bool | None = None,
        nowait: bool = False,
        on_cancel: Callable[[str], object] | None = None,
    ) -> Any:
        """Start a consumer as kombu does, but exclusively."""
        return self.channel.basic_consume(
            queue=self.name,
            no_ack=self.no_ack if no_ack is None else no_ack,
            consumer_tag=consumer_tag,
            exclusive=True,
            callback=callback,
            nowait=nowait,
            on_cancel=on_cancel,
        )


class HostQueueConsumer(QueueConsumer):  # type: ignore[misc]
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


class HostRpcConsumer(RpcConsumer):  # type: ignore[misc]
    """Consumes this host's calls from the queue that gateways declare for it.

    `missing_queue` is the queue's name while it is missing, for the heartbeat; each check that
    finds it missing calls `on_queue_missing`.
    """

    queue_consumer = HostQueueConsumer()
    queue: Queue | None
    missing_queue = ""

    def __init__(self) -> None:
        super().__init__()
        self.on_queue_missing: Callable[[], object] = lambda: None

    def setup(self) -> None:
        """Register for the queue, without declaring it."""
        if self.queue is not None:
            return
        password = topology.password_of(self._amqp_uri)
        self.queue = CallsQueue(topology.calls_queue(self._host, password), no_declare=True)
        self.queue_consumer.register_provider(self)
        self._registered = True

    def find_queue(self, connection: Any) -> bool:
        """Return whether the queue exists."""
        name = str(self.queue.name) if self.queue else ""
        channel = connection.channel()
        try:
            channel.queue_declare(name, passive=True)
        except NotFound:
            self.missing_queue = name
            self.on_queue_missing()
            return False
        self.missing_queue = ""
        channel.close()
        return True

    def handle_message(self, body: None, message: Any) -> None:
        """Serve a gateway's call; drop anything else."""
        if not self._is_ours(message):
            _log.warning("call of doubtful origin dropped", extra={"key": _key(message)})
            self.queue_consumer.ack_message(message)
            return
        try:
            call = read_call(message)
        except UnreadableMessage as exc:
            _log.warning("unreadable call", extra={"key": _key(message), "reason": exc.reason})
            self.queue_consumer.ack_message(message)
        else:
            super().handle_message({"args": call.args, "kwargs": call.kwargs}, message)

    def handle_result(self, message: Any, result: Any, exc_info: Any) -> tuple[Any, Any]:
        """Answer the call; drop the answer if it cannot be sent."""
        own = topology.host_exchange(self._host, topology.password_of(self._amqp_uri))
        responder = Responder(
            self._amqp_uri,
            # Stock nameko answers through the exchange of the calls.
            Exchange(own, type="topic", durable=True, passive=True),
            DEFAULT_SERIALIZER,
            message,
        )
        try:
            outcome: tuple[Any, Any] = responder.send_response(result, exc_info)
        except (KombuError, AMQPError, OSError) as exc:
            _log.warning("answer not sent", extra={"key": _key(message), "reason": str(exc)})
            outcome = result, sys.exc_info()
        self.queue_consumer.ack_message(message)
        return outcome

    def _is_ours(self, message: Any) -> bool:
        delivery = message.delivery_info
        reply_to = str(message.properties.get("reply_to"))
        return (
            is_direct(
                exchange=delivery["exchange"],
                expected_exchange=topology.CALLS.name,
                headers=message.headers,
            )
            and _key(message).startswith(f"{self.container.service_name}.")
            and reply_to.startswith(topology.reply_key(self._host, ""))
        )

    @property
    def _amqp_uri(self) -> str:
        return str(self.container.config[AMQP_URI_CONFIG_KEY])

    @property
    def _host(self) -> str:
        return str(self.container.service_name).rpartition(".")[2]


class HostRpc(Rpc):  # type: ignore[misc]
    """Lets gateways call a method; a FleetError that it raises is an answer, not a crash."""

    rpc_consumer = HostRpcConsumer()

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("expected_exceptions", FleetError)
        super().__init__(**kwargs)


host_rpc: Callable[[F], F] = HostRpc.decorator


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


def _key(message: Any) -> str:
    return str(message.delivery_info["routing_key"])
