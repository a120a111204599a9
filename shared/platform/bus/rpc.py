"""nameko's RPC, made safe for one worker per host. Measured reasons stand in docs/broker-notes.md.

* The queue is a gateway's to make, when the worker says that it is missing, and goes with its
  consumer: a call for a worker that is away is returned to its caller at once.
* A delivery is judged before it is decoded: a call is served only if it provably comes from a
  gateway (see `delivery`), its answer stays within this host's own routing keys, and its
  body is uncompressed JSON. Any other one is logged and dropped.
* A lost connection is tried again, the longer the broker is away the less often, and an answer
  that cannot be sent is given up (its caller asks by the operation's id); stock nameko dies of it.
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
from shared.platform.run.backoff import reconnecting

_log = logging.getLogger(__name__)

# Between the first two looks whether a gateway has made the queue, and between later ones.
LOOK_S = 0.05
MOST_LOOK_S = 0.5
_IN_USE = "another worker of this host takes its calls"
# Bytes; a submission with all that it may carry is a quarter of it.
LARGEST_CALL = 2**20
MOST_ARGUMENTS = 16
F = TypeVar("F", bound=Callable[..., Any])


class Call(Struct, frozen=True):
    """The body of a call, as nameko's callers write it."""

    args: Annotated[list[Any], Meta(max_length=MOST_ARGUMENTS)]
    kwargs: Annotated[dict[Word, Any], Meta(max_length=MOST_ARGUMENTS)]


class UndecodedMessage(Message):  # type: ignore[misc]
    """A delivery as it came; stock kombu inflates a compressed body before anybody can look."""

    def __init__(self, msg: Any, channel: Any = None, **kwargs: Any) -> None:
        headers = msg.properties.get("application_headers") or {}
        self.compression = headers.pop("compression", None)
        super().__init__(msg, channel, **kwargs)


class CallsQueue(Queue):  # type: ignore[misc]
    """A queue from which one worker at a time takes calls."""

    def consume(
        self,
        consumer_tag: str = "",
        callback: Callable[[Any], object] | None = None,
        no_ack: bool | None = None,
        nowait: bool = False,
        on_cancel: Callable[[str], object] | None = None,
    ) -> Any:
        """Start a consumer as kombu does, but an exclusive one."""
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
    """Consumes, without decoding anything, and connects again when the connection is lost."""

    should_stop: bool
    _pending_remove_providers: dict[Any, Any]
    _refusal = ""

    def get_consumers(self, consumer_cls: Any, channel: Any) -> Any:
        """Have deliveries handed over as they come."""
        channel.Message = UndecodedMessage
        consumers = super().get_consumers(consumer_cls, channel)
        for provider, consumer in self._consumers.items():
            consumer.on_message = partial(self.handle_message, provider, None)
        return consumers

    def on_consume_ready(self, *args: Any, **kwargs: Any) -> None:
        """Take note that the broker lets us consume; a refusal from now on is a new one."""
        self._refusal = ""
        super().on_consume_ready(*args, **kwargs)

    def consume(self, *args: Any, **kwargs: Any) -> Iterator[None]:
        """Consume; take a delivery that py-amqp cannot decode for a loss of the connection."""
        try:
            yield from super().consume(*args, **kwargs)
        except UNDECODABLE as exc:
            _log.warning("undecodable delivery", extra={"reason": repr(exc)})
            raise ConnectionResetError("undecodable delivery") from exc
        except NotFound as exc:
            # It went with the consumer of another worker of this host.
            raise ConnectionResetError("the queue has gone") from exc
        except AccessRefused as exc:
            # Kombu tries again in silence, every second or so.
            if str(exc) != self._refusal:
                problem = _IN_USE if "exclusive" in str(exc) else LACKS_RIGHTS
                _log.error(problem, extra={"reason": str(exc)})
            self._refusal = str(exc)
            raise

    @contextmanager
    def establish_connection(self) -> Iterator[Any]:
        """Yield an open connection, however long that takes; fail once the service has to stop."""
        backoff = reconnecting()
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
                eventlet.sleep(backoff.next_s())
            self._await_queue(connection)
            yield connection

    def _await_queue(self, connection: Any) -> None:
        pause_s = LOOK_S
        while not all(provider.find_queue(connection) for provider in self._providers):
            self._let_go()
            if self.should_stop:
                raise ConnectionAbortedError("stopped before there was a queue")
            eventlet.sleep(pause_s)
            pause_s = min(2 * pause_s, MOST_LOOK_S)

    def _let_go(self) -> None:
        # Stock nameko answers a provider that wants to leave only while it consumes, so that a
        # service could not be stopped during an outage.
        leaving, self._pending_remove_providers = self._pending_remove_providers, {}
        for provider, left in leaving.items():
            self._consumers.pop(provider, None)
            left.send()
        self.should_stop = self.should_stop or bool(leaving and not self._consumers)


class HostRpcConsumer(RpcConsumer):  # type: ignore[misc]
    """Takes this host's calls from the queue that gateways make for it.

    `missing_queue` is its name while it is not there; gateways have to be told then.
    `queue_missed` is called at each look that finds it so.
    """

    queue_consumer = HostQueueConsumer()
    queue: Queue | None
    missing_queue = ""

    def __init__(self) -> None:
        super().__init__()
        self.queue_missed: Callable[[], object] = lambda: None

    def setup(self) -> None:
        """Name the queue."""
        if self.queue is not None:
            return
        password = topology.password_of(self._amqp_uri)
        self.queue = CallsQueue(topology.calls_queue(self._host, password), no_declare=True)
        self.queue_consumer.register_provider(self)
        self._registered = True

    def find_queue(self, connection: Any) -> bool:
        """Look for the queue; return whether it is there."""
        name = str(self.queue.name) if self.queue else ""
        channel = connection.channel()
        try:
            channel.queue_declare(name, passive=True)
        except NotFound:
            self.missing_queue = name
            self.queue_missed()
            return False
        self.missing_queue = ""
        channel.close()
        return True

    def handle_message(self, body: None, message: Any) -> None:
        """Serve an honest call; drop anything else."""
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
        """Answer the call; give the answer up when it cannot be sent."""
        own = topology.host_exchange(self._host, topology.password_of(self._amqp_uri))
        responder = Responder(
            self._amqp_uri,
            # Stock nameko answers through the exchange that calls come from.
            Exchange(own, type="topic", durable=True, passive=True),
            DEFAULT_SERIALIZER,
            message,
        )
        try:
            answered: tuple[Any, Any] = responder.send_response(result, exc_info)
        except (KombuError, AMQPError, OSError) as exc:
            _log.warning("answer not sent", extra={"key": _key(message), "reason": str(exc)})
            answered = result, sys.exc_info()
        self.queue_consumer.ack_message(message)
        return answered

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
