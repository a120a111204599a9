"""nameko's RPC for a central service, in several copies: any of them serves a call.

Only central services have rights on the exchange of these calls. A call whose copy was killed is
served by another one, so that a method must be safe to repeat.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from kombu import Exchange
from nameko.rpc import Rpc

from shared.contracts.errors import FleetError
from shared.platform.bus import topology
from shared.platform.bus.checked_rpc import CheckedRpcConsumer, key_of
from shared.platform.bus.delivery import is_direct

F = TypeVar("F", bound=Callable[..., Any])


class CentralRpcConsumer(CheckedRpcConsumer):
    """Consumes the calls of a central service from the queue of all its copies."""

    def setup(self) -> None:
        """Register for the queue, which is declared whenever it is consumed."""
        if self.queue is not None:
            return
        self.queue = topology.central_calls_queue(str(self.container.service_name))
        self.queue_consumer.register_provider(self)
        self._registered = True

    def find_queue(self, connection: Any) -> bool:
        """Return True: we declare it ourselves."""
        return True

    def reply_exchange(self) -> Exchange:
        """Return the exchange of the calls, as stock nameko does."""
        return Exchange(topology.CENTRAL_CALLS.name, type="topic", durable=True, passive=True)

    def is_genuine(self, message: Any) -> bool:
        """Return whether a central service sent it; it must not have itself called by us."""
        own = f"{self.container.service_name}."
        reply_to = message.properties.get("reply_to")
        return (
            is_direct(
                exchange=message.delivery_info["exchange"],
                expected_exchange=topology.CENTRAL_CALLS.name,
                headers=message.headers,
            )
            and key_of(message).startswith(own)
            and isinstance(reply_to, str)
            and bool(reply_to)
            and not reply_to.startswith(own)
        )


class CentralRpc(Rpc):  # type: ignore[misc]
    """Lets central services call a method; a FleetError that it raises is an answer."""

    rpc_consumer = CentralRpcConsumer()

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault("expected_exceptions", FleetError)
        super().__init__(**kwargs)


central_rpc: Callable[[F], F] = CentralRpc.decorator
