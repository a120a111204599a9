"""How much of the broker a host that is taken over can take up."""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable, Iterator
from typing import Any

import amqp
import pytest

from deploy.local.broker import LIMITS
from shared.contracts.events import MAX_BYTES
from shared.platform.bus import permissions, topology
from tests.support.broker import OwnBroker, Vhost
from tests.support.caller import connect
from tests.support.polling import wait_until

pytestmark = pytest.mark.attack

MIB = 2**20


@pytest.fixture
def connected(declared: Vhost) -> Iterator[Callable[[], Any]]:
    """Opens connections with the credentials of h1."""
    uri = declared.host_uri("h1")
    opened: list[Any] = []

    def open_one() -> Any:
        opened.append(connect(uri))
        return opened[-1]

    yield open_one
    for connection in opened:
        with contextlib.suppress(OSError, amqp.AMQPError):
            connection.close()


def test_a_host_gets_no_more_connections_than_its_number(connected: Callable[[], Any]) -> None:
    for _ in range(permissions.HOST_CONNECTIONS):
        connected()

    with pytest.raises(amqp.NotAllowed, match="connection limit"):
        connected()


def test_a_host_gets_no_more_channels_than_its_number(connected: Callable[[], Any]) -> None:
    connections = [connected() for _ in range(2)]
    for connection in connections:
        for _ in range(permissions.HOST_CHANNELS // 2):
            connection.channel()

    with pytest.raises(amqp.NotAllowed, match="number of channels"):
        connections[0].channel()


def test_a_message_larger_than_any_event_is_refused(
    declared: Vhost, connected: Callable[[], Any]
) -> None:
    channel, exchange = connected().channel(), declared.host_exchange("h1")
    largest = max(MAX_BYTES.values())

    channel.basic_publish_confirm(amqp.Message(b"x" * largest), exchange, "h1.worker.x")
    with pytest.raises(amqp.PreconditionFailed, match="max size"):
        channel.basic_publish_confirm(amqp.Message(b"x" * (largest + 1)), exchange, "h1.worker.x")


def test_the_limit_of_a_message_is_what_the_contract_allows() -> None:
    assert f"max_message_size = {max(MAX_BYTES.values())}\n" in LIMITS.read_text()


def policy_of(vhost: Vhost, queue: str) -> dict[str, Any]:
    """Return what operator policies say of a queue, once the broker's statistics have it."""

    def with_policy() -> dict[str, Any] | None:
        told = vhost.broker.http.get(f"/queues/{vhost.name}/{queue}").json()
        return dict(told["effective_policy_definition"]) if told.get("operator_policy") else None

    return wait_until(with_policy, within_s=15)


def test_every_queue_has_a_limit_in_bytes(declared: Vhost) -> None:
    own = [declared.calls_queue("h1"), topology.stream_queue("h1", "0123456789abcdef" * 2)]
    channel = connect(declared.uri).channel()
    for name in (*own, "gateway.x.events", "somebody-elses"):
        channel.queue_declare(name, durable=True, auto_delete=False)
    listed = declared.queues()
    queues = [queue["name"] for queue in listed]

    policies = {name: policy_of(declared, name) for name in queues}

    assert {*own, "fleet.dead-letters"} <= policies.keys()
    assert all(policy["max-length-bytes"] <= 256 * MIB for policy in policies.values())
    assert all(policies[name]["expires"] == 60_000 for name in own)
    channel.connection.close()


def test_methods_faster_than_they_are_carried_out_end_their_channel(own_broker: OwnBroker) -> None:
    channel = connect(own_broker.host_uri("h1")).channel()
    # basic.qos as it stands on the wire; RabbitMQ holds nobody up who sends no messages.
    frame = struct.pack(">BHIHHIHBB", 1, channel.channel_id, 11, 60, 10, 0, 1, 0, 0xCE)
    largest = 0
    end = time.monotonic() + 8

    while time.monotonic() < end:
        channel.connection.transport.sock.sendall(frame * 20_000)
        largest = max(largest, own_broker.memory)

    assert largest < 700 * MIB
    with contextlib.closing(connect(own_broker.host_uri("h2"))) as neighbour:
        assert neighbour.channel().is_open
    channel.connection.transport.close()


def test_dead_letters_take_up_no_more_than_their_room(declared: Vhost) -> None:
    channel = connect(declared.uri).channel()
    for _ in range(80):
        channel.basic_publish_confirm(amqp.Message(b"x" * MIB), "fleet.dead", "h1.unreadable")

    held = channel.queue_declare("fleet.dead-letters", passive=True).message_count

    assert 0 < held <= 64
    channel.connection.close()
