"""Publish a host's events over one connection, in the order of the calls, with confirms.

After an outage a full inventory and the journal say more than a backlog of deltas, so nothing is
buffered.
"""

from __future__ import annotations

from shared.contracts.codec import encode
from shared.contracts.errors import BrokerUnavailable
from shared.contracts.events import Event, OperationChanged, PolicyRunChanged
from shared.platform.bus import topology
from shared.platform.bus.confirmed_publisher import ConfirmedPublisher

# What is sent again until the broker has it.
_LASTING = (OperationChanged, PolicyRunChanged)


class EventPublisher(ConfirmedPublisher):
    """Publishes the events of one host."""

    def __init__(self, amqp_uri: str, host: str) -> None:
        super().__init__(amqp_uri, host)
        self._host = host
        self._exchange = topology.host_exchange(host, topology.password_of(amqp_uri))

    def publish(self, event: Event) -> None:
        """Publish one event; return once the broker has confirmed it.

        Operations and runs of policies are persistent, and must reach a queue. Raises
        BrokerUnavailable.
        """
        must_arrive = isinstance(event, _LASTING)
        if not self._publish(event, mandatory=must_arrive):
            raise BrokerUnavailable

    def publish_to_any(self, event: Event) -> bool:
        """Publish one event; return whether it reached a queue. Raises BrokerUnavailable."""
        return self._publish(event, mandatory=True)

    def _publish(self, event: Event, *, mandatory: bool) -> bool:
        """Publish one event; return False if it had to reach a queue and has not."""
        persistent = isinstance(event, _LASTING)
        key = topology.event_key(self._host, event)
        return self.send(
            self._exchange, key, encode(event), mandatory=mandatory, persistent=persistent
        )
