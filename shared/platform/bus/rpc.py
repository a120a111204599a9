"""nameko's RPC, made safe for one worker per host; docs/broker-notes.md has the measurements.

* A gateway declares the queue when the worker reports that it is missing; the broker deletes it
  with its consumer, so that it returns a call for a worker that is away to the caller at once.
* A call is served only if it provably comes from a gateway (see `delivery`), and its answer stays
  within this host's own routing keys. A caller that gets no answer asks by the operation's id.

See `checked_rpc` for the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from amqp.exceptions import NotFound
from kombu import Exchange, Queue
from nameko.rpc import Rpc

from shared.contracts.errors import FleetError
from shared.platform.bus import topology
from shared.platform.bus.checked_rpc import CheckedRpcConsumer, Correlation, key_of
from shared.platform.bus.delivery import is_direct

__all__ = ["Correlation", "HostRpc", "HostRpcConsumer", "host_rpc"]

F = TypeVar("F", bound=Callable[..., Any])


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


class HostRpcConsumer(CheckedRpcConsumer):
    """Consumes this host's calls from the queue that gateways declare for it.

    `missing_queue` is the queue's name while it is missing, for the heartbeat; each check that
    finds it missing calls `on_queue_missing`.
    """

    missing_queue = ""

    def __init__(self) -> None:
        super().__init__()
        self.on_queue_missing: Callable[[], object] = lambda: None

    def setup(self) -> None:
        """Register for the queue, without declaring it."""
        if self.queue is not None:
            return
        password = topology.password_of(self.amqp_uri)
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

    def reply_exchange(self) -> Exchange:
        """Return the host's own exchange; stock nameko answers through that of the calls."""
        own = topology.host_exchange(self._host, topology.password_of(self.amqp_uri))
        return Exchange(own, type="topic", durable=True, passive=True)

    def is_genuine(self, message: Any) -> bool:
        """Return whether a gateway sent it, and its answer stays within the host's own keys."""
        delivery = message.delivery_info
        reply_to = str(message.properties.get("reply_to"))
        return (
            is_direct(
                exchange=delivery["exchange"],
                expected_exchange=topology.CALLS.name,
                headers=message.headers,
            )
            and key_of(message).startswith(f"{self.container.service_name}.")
            and reply_to.startswith(topology.reply_key(self._host, ""))
        )

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
