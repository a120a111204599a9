"""What a host that is taken over can and cannot do with its own broker credentials.

Each attack runs on a real broker, with the permissions that `host_permissions` gives.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import amqp
import pytest

from shared.contracts.codec import encode
from shared.contracts.events import Heartbeat
from shared.platform.bus import topology
from shared.platform.bus.delivery import is_direct
from tests.support.broker import Broker, Vhost
from tests.support.caller import Caller, connect

from .conftest import EchoWorker, StartWorker, declared_vhost, running_worker

pytestmark = pytest.mark.attack

STREAM = "0123456789abcdef" * 2
CALL = '{"args": ["attack"], "kwargs": {}}'


@pytest.fixture(scope="module")
def declared(broker: Broker) -> Iterator[Vhost]:
    with declared_vhost(broker) as vhost:
        yield vhost


@pytest.fixture(scope="module")
def shared_victim(
    declared: Vhost, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EchoWorker]:
    log = tmp_path_factory.mktemp("victim") / "log"
    with running_worker("h2", declared.host_uri("h2"), log) as worker:
        yield worker


@pytest.fixture
def victim(shared_victim: EchoWorker, gateway: Caller) -> EchoWorker:
    """The worker of `h2`, which no attack so far has harmed."""
    shared_victim.wait_until_it_answers(gateway)
    shared_victim.forget_output()
    return shared_victim


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


Named = Callable[[str], str]


@pytest.fixture
def named(declared: Vhost) -> Named:
    """Returns the real name of what the tables below call `<what>.<host>`."""

    def name(short: str) -> str:
        what, _, host = short.rpartition(".")
        if what == "fleet.hosts":
            return declared.host_exchange(host)
        if what == "fleet.operations":
            return str(topology.outcomes_queue(declared.host_exchange(host)).name)
        return declared.calls_queue(host) if what == "calls" else short

    return name


@pytest.fixture
def own_name(declared: Vhost, gateway: Caller) -> Iterator[str]:
    """The queue that a gateway has made for h1, from which it may read; it does not stay."""
    name = declared.calls_queue("h1")
    gateway.channel.queue_declare(name, auto_delete=False)
    yield name
    with contextlib.closing(connect(declared.uri)) as connection:
        connection.channel().queue_delete(name)
        connection.channel().exchange_delete(name)


def still_unharmed(victim: EchoWorker, gateway: Caller) -> bool:
    answered = gateway.call("h2", "echo", "after").result == "after"
    return answered and "attack" not in victim.output


@pytest.mark.parametrize(
    ("exchange", "key"),
    [
        pytest.param("fleet.calls", "lxd_worker.h2.echo", id="command another host"),
        pytest.param("fleet.calls", "lxd_worker.h1.echo", id="command itself as a gateway would"),
        pytest.param("fleet.calls", "h1.reply.tester", id="answer where calls are read"),
        pytest.param("fleet.hosts.h2", "h1.reply.tester", id="answer where another does"),
        pytest.param("fleet.hosts.h1", "lxd_worker.h2.echo", id="command where answers are read"),
        pytest.param("fleet.hosts.h1", "h2.worker.heartbeat", id="publish another's event"),
        pytest.param("fleet.hosts.h1", "h1.gateway.heartbeat", id="publish as another producer"),
        pytest.param("fleet.hosts.h1", f"h2.out.{STREAM}", id="send bytes in another's name"),
        pytest.param("fleet.streams.in", f"h2.in.{STREAM}", id="send bytes to another host"),
        pytest.param("fleet.streams.in", f"h1.in.{STREAM}", id="send bytes to itself"),
        pytest.param("fleet.streams.in", f"h1.out.{STREAM}", id="send bytes where hosts read"),
        pytest.param("fleet.heartbeats", "h1.worker.heartbeat", id="publish where all are read"),
        pytest.param("fleet.dead", "h1.unreadable", id="write a dead letter"),
        pytest.param("", "fleet.operations.h2", id="write into a queue of outcomes by its name"),
        pytest.param("", "calls.h2", id="write into a queue of calls by its name"),
        pytest.param("amq.topic", "x", id="use a predeclared exchange"),
    ],
)
def test_a_publish_beyond_its_own_keys_is_refused(
    victim: EchoWorker, taken_over: Callable[[], Any], named: Named, exchange: str, key: str
) -> None:
    channel = taken_over()

    with pytest.raises(amqp.AccessRefused):
        publish(channel, named(exchange), named(key) if not exchange else key)


@pytest.mark.parametrize(
    ("exchange", "key"),
    [
        ("fleet.calls", "#"),
        ("fleet.calls", "lxd_worker.h1.*"),
        ("fleet.calls", "lxd_worker.#"),
        ("fleet.calls", "lxd_worker.*.echo"),
        ("fleet.calls", "lxd_worker.h2.*"),
        ("fleet.calls", "lxd_worker.h1.#"),
        ("fleet.calls", "lxd_worker.h1.echo"),
        ("fleet.calls", "h1.reply.tester"),
        ("fleet.hosts.h1", "#"),
        ("fleet.hosts.h1", "h1.worker.heartbeat"),
        ("fleet.hosts.h2", "#"),
        ("fleet.hosts.h2", "*.reply.tester"),
        ("fleet.heartbeats", "#"),
        ("fleet.streams.in", "#"),
        ("fleet.streams.in", "*.in.*"),
        ("fleet.streams.in", "h1.#"),
        ("fleet.streams.in", f"h1.in.{STREAM}"),
        ("fleet.streams.in", f"h2.in.{STREAM}"),
        ("fleet.dead", "#"),
        ("amq.topic", "#"),
    ],
)
def test_it_may_bind_its_queue_to_nothing(
    taken_over: Callable[[], Any], named: Named, own_name: str, exchange: str, key: str
) -> None:
    with pytest.raises(amqp.AccessRefused):
        taken_over().queue_bind(own_name, named(exchange), key)


@pytest.mark.parametrize(
    ("destination", "source"),
    [
        ("fleet.hosts.h1", "fleet.calls"),
        ("fleet.hosts.h1", "fleet.hosts.h1"),
        ("fleet.hosts.h1", "fleet.hosts.h2"),
        ("fleet.hosts.h1", "amq.topic"),
        ("fleet.hosts.h2", "fleet.hosts.h1"),
    ],
)
def test_it_may_bind_its_exchange_to_nothing(
    taken_over: Callable[[], Any], named: Named, destination: str, source: str
) -> None:
    with pytest.raises(amqp.AccessRefused):
        taken_over().exchange_bind(named(destination), named(source), "#")


def test_its_exchange_cannot_be_bound_to_what_has_the_name_of_its_queue(
    taken_over: Callable[[], Any], named: Named, own_name: str
) -> None:
    with pytest.raises(amqp.NotFound):
        taken_over().exchange_bind(named("fleet.hosts.h1"), own_name, "#")


@pytest.mark.parametrize(
    ("attempt", "what"),
    [
        pytest.param(lambda c, x: c.basic_get(x), "fleet.dead-letters", id="read dead letters"),
        pytest.param(lambda c, x: c.queue_purge(x), "fleet.dead-letters", id="purge them"),
        pytest.param(lambda c, x: c.queue_delete(x), "fleet.dead-letters", id="delete them"),
        pytest.param(lambda c, x: c.basic_get(x), "fleet.operations.h1", id="read its outcomes"),
        pytest.param(lambda c, x: c.queue_delete(x), "fleet.operations.h2", id="delete another's"),
        pytest.param(lambda c, x: c.queue_purge(x), "fleet.operations.h2", id="purge another's"),
        pytest.param(lambda c, x: c.basic_get(x), "calls.h2", id="read another's calls"),
        pytest.param(lambda c, x: c.queue_delete(x), "calls.h2", id="delete another's queue"),
        pytest.param(lambda c, x: c.queue_declare(x), "calls.h2", id="declare another's"),
        pytest.param(lambda c, x: c.exchange_delete(x), "fleet.hosts.h1", id="delete an exchange"),
        pytest.param(
            lambda c, x: c.exchange_declare(x, "fanout"),
            "fleet.hosts.h1",
            id="declare its exchange as another type",
        ),
        pytest.param(
            lambda c, x: c.exchange_declare(x, "topic"),
            f"fleet.hosts.h1.{'0' * 32}",
            id="declare an exchange of another name of its own",
        ),
        pytest.param(
            lambda c, x: c.exchange_declare(x, "topic"),
            f"fleet.hosts.h2.{'0' * 32}",
            id="declare an exchange that would pass for another's",
        ),
        pytest.param(lambda c, x: c.exchange_declare(x, "topic"), "evil", id="declare an exchange"),
        pytest.param(lambda c, x: c.queue_declare(x), "evil", id="declare a queue"),
        pytest.param(lambda c, x: c.queue_declare(x), "", id="declare an unnamed queue"),
    ],
)
def test_what_is_not_its_own_it_can_neither_read_nor_declare_nor_delete(
    victim: EchoWorker,
    taken_over: Callable[[], Any],
    named: Named,
    attempt: Callable[[Any, str], Any],
    what: str,
) -> None:
    channel = taken_over()

    with pytest.raises((amqp.AccessRefused, amqp.ResourceLocked)):
        attempt(channel, named(what))


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"x-queue-type": "stream"},
        {"x-queue-type": "quorum"},
        {"x-dead-letter-exchange": "fleet.calls", "x-dead-letter-routing-key": "lxd_worker.h2.x"},
    ],
    ids=["plain", "a stream", "a quorum queue", "with dead letters"],
)
def test_it_may_declare_no_queue(
    declared: Vhost, taken_over: Callable[[], Any], arguments: dict[str, str]
) -> None:
    for name in (declared.calls_queue("h1"), topology.stream_queue("h1", STREAM), "h1"):
        with pytest.raises(amqp.AccessRefused):
            taken_over().queue_declare(
                name, durable=True, auto_delete=False, exclusive=False, arguments=arguments
            )


def test_it_may_declare_no_exchange(declared: Vhost, taken_over: Callable[[], Any]) -> None:
    for name in (declared.calls_queue("h1"), topology.stream_queue("h1", STREAM), "h1"):
        for arguments in ({}, {"alternate-exchange": "fleet.calls"}):
            with pytest.raises(amqp.AccessRefused):
                taken_over().exchange_declare(name, "topic", arguments=arguments)


Question = Callable[[Any, str, str], Any]
Answer = Callable[[Question, str], str]

# What a host can ask the broker about a name, with `own` for the queue that it may read.
# RabbitMQ wants no right for the first two.
PASSIVE: list[Question] = [
    lambda c, own, name: c.queue_declare(name, passive=True),
    lambda c, own, name: c.exchange_declare(name, "topic", passive=True),
]
ACTIVE: list[Question] = [
    lambda c, own, name: c.queue_declare(name),
    lambda c, own, name: c.exchange_declare(name, "topic"),
    lambda c, own, name: c.queue_bind(own, name, "#"),
    lambda c, own, name: c.queue_bind(name, "fleet.calls", "lxd_worker.h1.*"),
    lambda c, own, name: c.queue_unbind(own, name, "#"),
    lambda c, own, name: c.exchange_bind(own, name, "#"),
    lambda c, own, name: c.exchange_bind(name, own, "#"),
    lambda c, own, name: c.exchange_unbind(own, name, "#"),
    lambda c, own, name: c.exchange_unbind(name, own, "#"),
    lambda c, own, name: publish(c, name, "h1.worker.heartbeat"),
    lambda c, own, name: publish(c, "", name),
    lambda c, own, name: c.basic_get(name),
    lambda c, own, name: c.basic_consume(name),
    lambda c, own, name: c.queue_purge(name),
    lambda c, own, name: c.queue_delete(name),
    lambda c, own, name: c.exchange_delete(name),
    lambda c, own, name: c.queue_declare(own, arguments={"x-dead-letter-exchange": name}),
    lambda c, own, name: c.exchange_declare(own, "fanout", arguments={"alternate-exchange": name}),
]
# What an id could be part of.
GUESSES = [
    "{}",
    "fleet.hosts.{}",
    "fleet.operations.{}",
    "lxd_worker.{}",
    "lxd_worker.{}.calls",
    "lxd_worker.{}.stream.0",
    "gateway.events.{}",
]


@pytest.fixture
def answer(
    declared: Vhost, victim: EchoWorker, gateway: Caller, named: Named, own_name: str
) -> Answer:
    """Asks as h1 about a name, and returns the broker's answer; all of h2 is there."""
    kept = topology.outcomes_queue(named("fleet.hosts.h2"))
    gateway.channel.queue_declare(
        kept.name, durable=True, auto_delete=False, arguments=kept.queue_arguments
    )
    uri = declared.host_uri("h1")

    def ask(question: Question, name: str) -> str:
        with contextlib.closing(connect(uri)) as connection:
            try:
                question(connection.channel(), own_name, name)
            except amqp.AMQPError as refused:
                return str(refused).replace(name, "NAME")
        return "done"

    return ask


def test_who_tries_an_id_cannot_tell_whether_there_is_such_a_host(answer: Answer) -> None:
    told = [
        (guess, number)
        for guess in GUESSES
        for number, question in enumerate(PASSIVE + ACTIVE)
        if answer(question, guess.format("h2")) != answer(question, guess.format("h3"))
    ]

    assert told == []


@pytest.mark.parametrize("what", ["fleet.hosts.h2", "fleet.operations.h2", "calls.h2"])
def test_a_name_that_it_may_not_use_is_refused_before_the_broker_looks_for_it(
    answer: Answer, named: Named, what: str
) -> None:
    real = named(what)
    other = re.sub("[0-9a-f]{32}", "0" * 32, real)

    there = [answer(question, real) for question in ACTIVE]
    not_there = [answer(question, other) for question in ACTIVE]

    assert there == not_there
    assert all("ACCESS_REFUSED" in each for each in there)


def test_who_tries_to_log_in_cannot_tell_whether_there_is_such_a_user(declared: Vhost) -> None:
    uri = declared.host_uri("h2").replace(topology.password_of(declared.host_uri("h2")), "wrong")
    other = uri.replace("-h2:", "-h3:")

    answers = []
    for address in (uri, other):
        with pytest.raises(amqp.AccessRefused) as refused:
            connect(address)
        answers.append(str(refused.value))

    assert answers[0] == answers[1]


def test_it_serves_its_own_calls_answers_them_and_publishes_its_events(
    declared: Vhost, gateway: Caller, start_worker: StartWorker
) -> None:
    worker = start_worker("h5", declared.host_uri("h5"))
    events = gateway.channel.queue_declare("", exclusive=True).queue
    gateway.channel.queue_bind(events, "fleet.heartbeats", "h5.#")

    worker.wait_until_it_answers(gateway)
    reply = gateway.call("h5", "echo", 7)

    assert (reply.key, reply.result) == ("h5.reply.tester", 7)
    end = time.monotonic() + 5
    while (event := gateway.channel.basic_get(events, no_ack=True)) is None:
        assert time.monotonic() < end
    assert event.delivery_info["routing_key"] == "h5.worker.heartbeat"


def test_a_host_has_its_ends_of_streams(
    declared: Vhost, gateway: Caller, taken_over: Callable[[], Any], named: Named
) -> None:
    shown = gateway.channel.queue_declare("", exclusive=True).queue
    channel = taken_over()
    gateway.channel.queue_bind(shown, named("fleet.hosts.h1"), f"h1.out.{STREAM}")
    typed = topology.stream_queue("h1", STREAM)
    gateway.channel.queue_declare(typed, auto_delete=True)
    gateway.channel.queue_bind(typed, "fleet.streams.in", f"h1.in.{STREAM}")

    publish(channel, named("fleet.hosts.h1"), f"h1.out.{STREAM}", "shown")
    publish(gateway.channel, "fleet.streams.in", f"h1.in.{STREAM}", "typed")

    assert arrived(gateway.channel, shown).body == "shown"
    assert arrived(channel, typed).body == "typed"


def test_no_bytes_reach_another_host_by_a_header(
    gateway: Caller, taken_over: Callable[[], Any], named: Named
) -> None:
    typed = gateway.channel.queue_declare("", exclusive=True).queue
    gateway.channel.queue_bind(typed, "fleet.streams.in", f"h2.in.{STREAM}")
    key, other = f"h1.out.{STREAM}", f"h2.in.{STREAM}"

    gets_through(taken_over(), named("fleet.hosts.h1"), key, "attack", CC=[other])
    publish(gateway.channel, "fleet.streams.in", other, "typed")

    assert arrived(gateway.channel, typed).body == "typed"


def arrived(channel: Any, queue: str) -> Any:
    """Return the message that comes into a queue."""
    end = time.monotonic() + 5
    while (message := channel.basic_get(queue, no_ack=True)) is None:
        assert time.monotonic() < end
    return message


# The keys under which a host may write to its exchange.
KEYS = ["h1.reply.x", "h1.worker.heartbeat", f"h1.out.{STREAM}"]


@pytest.mark.parametrize("header", ["CC", "BCC"])
@pytest.mark.parametrize("key", KEYS)
def test_a_copy_sent_by_header_does_not_reach_the_other_host(
    victim: EchoWorker,
    gateway: Caller,
    taken_over: Callable[[], Any],
    named: Named,
    key: str,
    header: str,
) -> None:
    gets_through(taken_over(), named("fleet.hosts.h1"), key, **{header: ["lxd_worker.h2.echo"]})

    assert still_unharmed(victim, gateway)
    assert "call of doubtful origin" not in victim.output


@pytest.mark.parametrize("header", ["CC", "BCC"])
def test_nothing_it_sends_reaches_a_queue_in_which_another_host_is_read(
    declared: Vhost, gateway: Caller, taken_over: Callable[[], Any], named: Named, header: str
) -> None:
    # A host that says nothing itself.
    declared.host_uri("h4")
    neighbours = gateway.channel.queue_declare("", exclusive=True).queue
    gateway.channel.queue_bind(neighbours, named("fleet.hosts.h4"), "#")
    for key in KEYS:
        copies = ["h4.worker.sample", "h4.worker.operation", "h4.reply.tester", f"h4.out.{STREAM}"]
        gets_through(taken_over(), named("fleet.hosts.h1"), key, **{header: copies})

    publish(gateway.channel, named("fleet.hosts.h4"), "h4.worker.heartbeat", "honest")

    assert arrived(gateway.channel, neighbours).body == "honest"


def test_a_call_whose_answer_would_bear_another_name_is_not_served(
    victim: EchoWorker, gateway: Caller
) -> None:
    gateway.send("h2", "echo", CALL, reply_to="h1.reply.tester")

    victim.wait_for_output("call of doubtful origin dropped")
    assert still_unharmed(victim, gateway)


def test_an_event_that_came_by_another_exchange_bears_the_mark_of_it(
    gateway: Caller, named: Named
) -> None:
    events = gateway.channel.queue_declare("", exclusive=True).queue
    gateway.channel.queue_bind(events, named("fleet.hosts.h1"), "#")
    gateway.channel.exchange_declare("another", "fanout", auto_delete=False)
    gateway.channel.exchange_bind(named("fleet.hosts.h1"), "another", "")
    lie = Heartbeat(epoch=9, sequence=9, clock="0", lxd_connected=False, interval_s=1.0)

    publish(gateway.channel, "another", "h2.worker.heartbeat", encode(lie).decode())

    event = arrived(gateway.channel, events)
    assert not is_direct(
        exchange=event.delivery_info["exchange"],
        expected_exchange=named("fleet.hosts.h2"),
        headers=event.headers,
    )
