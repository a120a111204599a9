"""Whose message it is: the broker wrote the exchange, the host all the rest."""

import pytest
from aiormq.abc import DeliveredMessage
from pamqp import commands
from pamqp.header import ContentHeader

from services.gateway.bus.event_validation import read_event, read_key
from shared.contracts.codec import encode
from shared.contracts.errors import UnreadableMessage
from shared.platform.bus import topology
from tests.support.builders import a_heartbeat

OWN = topology.host_exchange("h1", "secret")


def delivered(
    exchange: str, key: str, headers: dict[str, object] | None = None
) -> DeliveredMessage:
    delivery = commands.Basic.Deliver(exchange=exchange, routing_key=key)
    header = ContentHeader(properties=commands.Basic.Properties(headers=headers))
    body = encode(a_heartbeat())
    return DeliveredMessage(delivery, header, body, None)  # type: ignore[arg-type]


def test_a_message_is_of_the_host_whose_exchange_it_was_published_to() -> None:
    host, event = read_event(delivered(OWN, "h1.worker.heartbeat"))

    assert (host, event) == ("h1", a_heartbeat())
    assert read_key(delivered(OWN, "h1.reply.g")) == ("h1", "h1.reply.g")


@pytest.mark.attack
@pytest.mark.parametrize(
    ("exchange", "key"),
    [
        (OWN, "h2.worker.heartbeat"),
        (OWN, "h11.worker.heartbeat"),
        (OWN, "h1"),
        (OWN, ""),
        (topology.host_exchange("h2", "secret"), "h1.worker.heartbeat"),
        ("fleet.hosts.h1", "h1.worker.heartbeat"),
        ("fleet.heartbeats", "h1.worker.heartbeat"),
        (topology.calls_queue("h1", "secret"), "h1.worker.heartbeat"),
        ("", "h1.worker.heartbeat"),
        ("", ".worker.heartbeat"),
    ],
)
def test_a_key_of_another_host_than_the_exchange_is_of_nobody(exchange: str, key: str) -> None:
    with pytest.raises(UnreadableMessage, match="doubtful origin"):
        read_event(delivered(exchange, key))


@pytest.mark.attack
def test_a_message_that_had_died_is_of_nobody() -> None:
    with pytest.raises(UnreadableMessage, match="doubtful origin"):
        read_event(delivered(OWN, "h1.worker.heartbeat", {"x-death": []}))
