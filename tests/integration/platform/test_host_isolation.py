"""What a host that is taken over can and cannot do with its own broker credentials.

Each attack runs on a real broker, with the permissions that `topology.host_permissions` gives.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import amqp
import pytest

from shared.contracts.codec import encode
from shared.contracts.events import Heartbeat
from shared.platform import provenance
from shared.testing.broker import Vhost
from shared.testing.caller import Caller, connect

from .conftest import EchoWorker, StartWorker

STREAM = "0123456789abcdef" * 2
CALL = '{"args": ["attack"], "kwargs": {}}'


@pytest.fixture
def victim(declared: Vhost, gateway: Caller, start_worker: StartWorker) -> EchoWorker:
    worker = start_worker("h2", declared.host_uri("h2"))
    worker.wait_until_it_answers(gateway)
    return worker


@pytest.fixture
def taken_over(declared: Vhost) -> Iterator[Callable[[], Any]]:
    """Opens channels with the credentials of h1; an error of one does not spoil the next."""
    uri = declared.host_uri("h1")
    opened: list[Any] = []

    def channel() -> Any:
        opened.append(connect(uri))
        return opened[-1].channel()

    yield channel
    for connection in opened:
        with contextlib.suppress(OSError, amqp.AMQPError):
            connection.close()


def publish(channel: Any, exchange: str, key: str, body: str = CALL, **properties: Any) -> None:
    message = amqp.Message(
        body,
        **{
            "content_type": "application/json",
            "content_encoding": "utf-8",
            "reply_to": "h2.reply.tester",
            **properties,
        },
    )
    channel.basic_publish_confirm(message, exchange, key)


def gets_through(
    channel: Any, exchange: str, key: str, body: str = CALL, **headers: list[str]
) -> bool:
    """Publish with other keys in headers; RabbitMQ checks those only since 4.0.

    Return whether the broker took it.
    """
    try:
        publish(channel, exchange, key, body, application_headers=headers)
    except amqp.AccessRefused:
        return False
    return True


def own_calls_queue(channel: Any, **arguments: Any) -> str:
    name: str = channel.queue_declare("lxd_worker.h1.calls", arguments=arguments).queue
    return name


def still_unharmed(victim: EchoWorker, gateway: Caller) -> bool:
    answered = gateway.call("h2", "echo", "after").result == "after"
    return answered and "attack" not in victim.output


@pytest.mark.parametrize(
    ("exchange", "key"),
    [
        pytest.param("fleet.calls", "lxd_worker.h2.echo", id="command another host"),
        pytest.param("fleet.calls", "lxd_worker.h1.echo", id="command itself as a gateway would"),
        pytest.param("fleet.calls", "h1.reply.tester", id="answer where calls are read"),
        pytest.param("fleet.answers", "h2.reply.tester", id="answer in another's name"),
        pytest.param("fleet.answers", "lxd_worker.h2.echo", id="command where answers are read"),
        pytest.param("fleet.events", "h2.worker.heartbeat", id="publish another's event"),
        pytest.param("fleet.events", "h1.gateway.heartbeat", id="publish as another producer"),
        pytest.param("fleet.streams.out", f"h2.out.{STREAM}", id="send bytes in another's name"),
        pytest.param("fleet.streams.in", f"h2.in.{STREAM}", id="send bytes to another host"),
        pytest.param("fleet.streams.in", f"h1.in.{STREAM}", id="send bytes to itself"),
        pytest.param("fleet.streams.in", f"h1.out.{STREAM}", id="send bytes where hosts read"),
        pytest.param("fleet.dead", "h2.unreadable", id="bury in another's name"),
        pytest.param("", "lxd_worker.h2.calls", id="write into a queue by its name"),
        pytest.param("", f"lxd_worker.h2.stream.{STREAM}", id="write into another's stream"),
        pytest.param("", "fleet.outcomes", id="write into the outcomes' queue by its name"),
        pytest.param("amq.topic", "x", id="use a predeclared exchange"),
    ],
)
def test_a_publish_beyond_its_own_keys_is_refused(
    taken_over: Callable[[], Any], exchange: str, key: str
) -> None:
    channel = taken_over()

    with pytest.raises(amqp.AccessRefused):
        publish(channel, exchange, key)


@pytest.mark.parametrize(
    ("exchange", "key"),
    [
        ("fleet.calls", "#"),
        ("fleet.calls", "lxd_worker.#"),
        ("fleet.calls", "lxd_worker.*.echo"),
        ("fleet.calls", "lxd_worker.h2.echo"),
        ("fleet.answers", "#"),
        ("fleet.answers", "*.reply.tester"),
        ("fleet.answers", "h1.reply.*"),
        ("fleet.events", "#"),
        ("fleet.events", "h1.worker.heartbeat"),
        ("fleet.streams.in", "#"),
        ("fleet.streams.in", "*.in.*"),
        ("fleet.streams.in", "h1.#"),
        ("fleet.streams.in", f"h2.in.{STREAM}"),
        ("fleet.streams.out", f"h1.out.{STREAM}"),
        ("fleet.dead", "#"),
    ],
)
def test_a_binding_beyond_its_own_calls_is_refused(
    taken_over: Callable[[], Any], exchange: str, key: str
) -> None:
    channel = taken_over()
    queue = own_calls_queue(channel)

    with pytest.raises(amqp.AccessRefused):
        channel.queue_bind(queue, exchange, key)


@pytest.mark.parametrize(
    "attempt",
    [
        pytest.param(lambda c: c.basic_get("fleet.outcomes"), id="read the outcomes"),
        pytest.param(lambda c: c.basic_get("lxd_worker.h2.calls"), id="read another's calls"),
        pytest.param(lambda c: c.queue_delete("fleet.outcomes"), id="delete the outcomes"),
        pytest.param(lambda c: c.queue_purge("fleet.outcomes"), id="purge the outcomes"),
        pytest.param(lambda c: c.queue_delete("lxd_worker.h2.calls"), id="delete another's queue"),
        pytest.param(lambda c: c.exchange_delete("fleet.events"), id="delete an exchange"),
        pytest.param(
            lambda c: c.exchange_declare("evil", "topic", passive=False), id="declare an exchange"
        ),
        pytest.param(lambda c: c.queue_declare("evil"), id="declare a queue"),
        pytest.param(lambda c: c.queue_declare("lxd_worker.h3.calls"), id="declare another's"),
        pytest.param(
            lambda c: c.queue_declare(f"lxd_worker.h2.stream.{STREAM}"),
            id="declare another's stream",
        ),
        pytest.param(lambda c: c.queue_declare(""), id="declare an unnamed queue"),
    ],
)
def test_what_is_not_its_own_it_can_neither_read_nor_declare_nor_delete(
    victim: EchoWorker, taken_over: Callable[[], Any], attempt: Callable[[Any], Any]
) -> None:
    channel = taken_over()

    with pytest.raises((amqp.AccessRefused, amqp.ResourceLocked)):
        attempt(channel)


def test_it_serves_its_own_calls_answers_them_and_publishes_its_events(
    declared: Vhost, gateway: Caller, start_worker: StartWorker
) -> None:
    worker = start_worker("h1", declared.host_uri("h1"))
    events = gateway.channel.queue_declare("", exclusive=True).queue
    gateway.channel.queue_bind(events, "fleet.events", "#")

    worker.wait_until_it_answers(gateway)
    reply = gateway.call("h1", "echo", 7)

    assert (reply.key, reply.result) == ("h1.reply.tester", 7)
    end = time.monotonic() + 5
    while (event := gateway.channel.basic_get(events, no_ack=True)) is None:
        assert time.monotonic() < end
    assert event.delivery_info["routing_key"] == "h1.worker.heartbeat"


def test_it_has_its_ends_of_streams(gateway: Caller, taken_over: Callable[[], Any]) -> None:
    shown = gateway.channel.queue_declare("", exclusive=True).queue
    gateway.channel.queue_bind(shown, "fleet.streams.out", f"h1.out.{STREAM}")
    channel = taken_over()
    typed = channel.queue_declare(f"lxd_worker.h1.stream.{STREAM}", exclusive=True).queue
    channel.queue_bind(typed, "fleet.streams.in", f"h1.in.{STREAM}")

    publish(channel, "fleet.streams.out", f"h1.out.{STREAM}", "shown")
    publish(gateway.channel, "fleet.streams.in", f"h1.in.{STREAM}", "typed")

    assert arrived(gateway.channel, shown).body == "shown"
    assert arrived(channel, typed).body == "typed"


def test_an_exchange_of_its_own_cannot_be_bound_to_all_streams(
    taken_over: Callable[[], Any],
) -> None:
    channel = taken_over()
    own_exchange = f"lxd_worker.h1.stream.{STREAM}"
    channel.exchange_declare(own_exchange, "topic", auto_delete=False)

    with pytest.raises(amqp.AccessRefused):
        channel.exchange_bind(own_exchange, "fleet.streams.in", "#")


def test_no_bytes_reach_another_host_by_a_header(
    gateway: Caller, taken_over: Callable[[], Any]
) -> None:
    typed = gateway.channel.queue_declare("", exclusive=True).queue
    gateway.channel.queue_bind(typed, "fleet.streams.in", f"h2.in.{STREAM}")
    key, other = f"h1.out.{STREAM}", f"h2.in.{STREAM}"

    gets_through(taken_over(), "fleet.streams.out", key, "attack", CC=[other])
    publish(gateway.channel, "fleet.streams.in", other, "typed")

    assert arrived(gateway.channel, typed).body == "typed"


def arrived(channel: Any, queue: str) -> Any:
    """Return the message that comes into a queue."""
    end = time.monotonic() + 5
    while (message := channel.basic_get(queue, no_ack=True)) is None:
        assert time.monotonic() < end
    return message


# Every exchange that a host may write to, with a key that it may write.
WRITABLE = [
    ("fleet.answers", "h1.reply.x"),
    ("fleet.events", "h1.worker.heartbeat"),
    ("fleet.streams.out", f"h1.out.{STREAM}"),
    ("fleet.dead", "h1.unreadable"),
]


@pytest.mark.parametrize("header", ["CC", "BCC"])
@pytest.mark.parametrize(("exchange", "key"), WRITABLE)
def test_a_copy_sent_by_header_does_not_reach_the_other_host(
    victim: EchoWorker,
    gateway: Caller,
    taken_over: Callable[[], Any],
    exchange: str,
    key: str,
    header: str,
) -> None:
    gets_through(taken_over(), exchange, key, **{header: ["lxd_worker.h2.echo"]})

    assert still_unharmed(victim, gateway)
    assert "call of doubtful origin" not in victim.output


def test_a_queue_of_its_own_cannot_dead_letter_to_the_calls(taken_over: Callable[[], Any]) -> None:
    to_the_calls = {
        "x-dead-letter-exchange": "fleet.calls",
        "x-dead-letter-routing-key": "lxd_worker.h2.echo",
    }

    with pytest.raises(amqp.AccessRefused):
        own_calls_queue(taken_over(), **to_the_calls)


def test_an_exchange_of_its_own_cannot_be_bound_to_the_calls(
    taken_over: Callable[[], Any],
) -> None:
    channel = taken_over()
    channel.exchange_declare("lxd_worker.h1.calls", "topic", auto_delete=False)

    with pytest.raises(amqp.AccessRefused):
        channel.exchange_bind("fleet.calls", "lxd_worker.h1.calls", "#")


def test_the_calls_cannot_be_the_alternate_of_an_exchange_of_its_own(
    taken_over: Callable[[], Any],
) -> None:
    to_the_calls = {"alternate-exchange": "fleet.calls"}

    with pytest.raises(amqp.AccessRefused):
        taken_over().exchange_declare(
            "lxd_worker.h1.calls", "fanout", auto_delete=False, arguments=to_the_calls
        )


def test_a_call_whose_answer_would_bear_another_name_is_not_served(
    victim: EchoWorker, gateway: Caller
) -> None:
    gateway.send("h2", "echo", CALL, reply_to="h1.reply.tester")

    victim.wait_for_output("call of doubtful origin dropped")
    assert still_unharmed(victim, gateway)


def test_an_event_smuggled_in_another_name_bears_the_mark_of_it(
    declared: Vhost, gateway: Caller, taken_over: Callable[[], Any]
) -> None:
    events = gateway.channel.queue_declare("", exclusive=True).queue
    gateway.channel.queue_bind(events, "fleet.events", "#")
    channel = taken_over()
    own_exchange = "lxd_worker.h1.calls"
    channel.exchange_declare(own_exchange, "fanout", auto_delete=False)
    channel.exchange_bind("fleet.events", own_exchange, "")
    lie = Heartbeat(epoch=9, sequence=9, clock="0", lxd_connected=False, interval_s=1.0)

    publish(channel, own_exchange, "h2.worker.heartbeat", encode(lie).decode())

    end = time.monotonic() + 5
    while (event := gateway.channel.basic_get(events, no_ack=True)) is None:
        assert time.monotonic() < end
    assert not provenance.direct(
        exchange=event.delivery_info["exchange"],
        expected_exchange="fleet.events",
        headers=event.headers,
    )
