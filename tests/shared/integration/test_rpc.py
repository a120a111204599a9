"""The worker's side of the bus on a real broker: what it serves, survives and gives up."""

from __future__ import annotations

import contextlib
import json
import secrets
import signal
import time
import zlib
from collections.abc import Iterator
from typing import Any

import amqp
import psutil
import pytest

from shared.platform.bus import topology
from tests.support.broker import Broker, OwnBroker, Vhost
from tests.support.caller import Caller
from tests.support.raw_message import POISON, poison, short

from .conftest import EchoWorker, StartWorker, declared_vhost, running_worker


@pytest.fixture(scope="module")
def declared(broker: Broker) -> Iterator[Vhost]:
    with declared_vhost(broker) as vhost:
        yield vhost


@pytest.fixture(scope="module")
def shared_worker(
    declared: Vhost, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[EchoWorker]:
    log = tmp_path_factory.mktemp("worker") / "log"
    with running_worker("h1", declared.host_uri("h1"), log) as worker:
        yield worker


@pytest.fixture
def worker(shared_worker: EchoWorker, gateway: Caller) -> EchoWorker:
    """The worker of `h1` that all tests share which leave it running."""
    shared_worker.wait_until_it_answers(gateway)
    shared_worker.forget_output()
    return shared_worker


@pytest.fixture
def own_worker(declared: Vhost, gateway: Caller, start_worker: StartWorker) -> EchoWorker:
    """A worker that the test may end, of a host that no other test has."""
    host = f"h{secrets.token_hex(3)}"
    worker = start_worker(host, declared.host_uri(host))
    worker.wait_until_it_answers(gateway)
    return worker


def test_an_expected_error_travels_as_its_name_and_raw_values(
    worker: EchoWorker, gateway: Caller
) -> None:
    reply = gateway.call("h1", "refuse")

    assert reply.error is not None
    assert (reply.error["exc_type"], reply.error["exc_args"]) == ("HostBusy", ["h1"])


def test_a_method_of_a_later_release_is_answered_as_one_that_is_not_there(
    worker: EchoWorker, gateway: Caller
) -> None:
    reply = gateway.call("h1", "prepare", {})

    assert reply.error is not None
    assert reply.error["exc_type"] == "MethodNotFound"
    assert gateway.call("h1", "echo", "still here").result == "still here"


def test_the_correlation_id_of_a_call_is_that_of_the_code_it_runs(
    worker: EchoWorker, gateway: Caller
) -> None:
    call = json.dumps({"args": ["traced"], "kwargs": {}})
    headers = {"nameko.correlation_id": "abc-1"}

    reply = gateway.reply(gateway.send("h1", "echo", call, application_headers=headers))

    assert reply.result == "traced"
    worker.wait_for_output("served traced for abc-1")


COMPRESSED = zlib.compress(b'{"args": ["x"], "kwargs": {}}')


@pytest.mark.attack
@pytest.mark.parametrize(
    ("body", "properties"),
    [
        pytest.param("{no json", {}, id="no JSON"),
        pytest.param(b"\xff\xfe", {}, id="no UTF-8"),
        pytest.param("[]", {}, id="a list"),
        pytest.param('{"args": 1, "kwargs": {}}', {}, id="args no list"),
        pytest.param('{"args": []}', {}, id="no kwargs"),
        pytest.param('{"args": ' + "[" * 100_000, {}, id="nested"),
        pytest.param('{"args": [' + "9" * 10_000 + '], "kwargs": {}}', {}, id="a long number"),
        pytest.param('{"args": ["' + "x" * 2_000_000 + '"], "kwargs": {}}', {}, id="too large"),
        pytest.param("{}", {"content_type": None}, id="no content type"),
        pytest.param("{}", {"content_type": "text/plain"}, id="text"),
        pytest.param(
            b"\x80\x04N.", {"content_type": "application/x-python-serialize"}, id="pickle"
        ),
        pytest.param(b"{}", {"content_encoding": "utf-16"}, id="UTF-16"),
        pytest.param(b"{}", {"content_encoding": "zlib_codec"}, id="a codec of Python's"),
        pytest.param(
            COMPRESSED, {"application_headers": {"compression": "application/x-gzip"}}, id="gzip"
        ),
        pytest.param(
            '{"args": ["x"], "kwargs": {}}',
            {"application_headers": {"compression": "no such thing"}},
            id="an unknown compression",
        ),
    ],
)
def test_a_call_that_nobody_can_read_is_dropped_with_the_reason(
    worker: EchoWorker, gateway: Caller, body: str | bytes, properties: dict[str, Any]
) -> None:
    gateway.send("h1", "echo", body, **properties)

    assert gateway.call("h1", "echo", "still here").result == "still here"
    worker.wait_for_output("unreadable call")


@pytest.mark.attack
def test_a_compressed_body_is_never_inflated(worker: EchoWorker, gateway: Caller) -> None:
    bomb = zlib.compress(b" " * 200_000_000, 9)
    headers = {"compression": "application/x-gzip"}
    before = psutil.Process(worker.process.pid).memory_info().rss

    gateway.send("h1", "echo", bomb, application_headers=headers)

    assert gateway.call("h1", "echo", "still here").result == "still here"
    assert psutil.Process(worker.process.pid).memory_info().rss - before < 50_000_000


@pytest.mark.attack
@pytest.mark.parametrize("name", POISON)
def test_no_property_of_a_call_ends_the_worker(
    declared: Vhost, worker: EchoWorker, gateway: Caller, name: str
) -> None:
    honest = {"content_type": short(b"application/json"), "reply_to": short(b"h1.reply.tester")}
    odd = poison(name, '{"args": ["odd"], "kwargs": {}}', **honest)

    with contextlib.suppress(amqp.AMQPError):  # the broker looks at some of them
        gateway.channel.basic_publish_confirm(odd, "fleet.calls", "lxd_worker.h1.echo")

    with Caller(declared.uri, declared.host_exchange, "second") as second:
        worker.wait_until_it_answers(second)
    assert worker.process.poll() is None


@pytest.mark.attack
def test_a_call_in_hand_outlives_the_connection_that_poison_ends(
    worker: EchoWorker, gateway: Caller
) -> None:
    sent = gateway.send("h1", "slow", '{"args": [1.5], "kwargs": {}}')
    worker.wait_for_output("slow begun")

    odd = poison("headers in headers", '{"args": ["odd"], "kwargs": {}}')
    gateway.channel.basic_publish_confirm(odd, "fleet.calls", "lxd_worker.h1.echo")

    worker.wait_for_output("undecodable delivery")
    assert gateway.reply(sent).result == 1.5


@pytest.mark.attack
@pytest.mark.parametrize("reply_to", ["", "tester", "h1", "h11.reply.tester"])
def test_a_call_without_a_proper_return_address_is_dropped(
    worker: EchoWorker, gateway: Caller, reply_to: str
) -> None:
    gateway.send("h1", "echo", '{"args": ["dropped"], "kwargs": {}}', reply_to=reply_to)

    assert gateway.call("h1", "echo", "still here").result == "still here"
    assert "served dropped" not in worker.output


def test_a_call_for_a_killed_worker_is_returned_and_not_served_later(
    declared: Vhost, own_worker: EchoWorker, gateway: Caller, start_worker: StartWorker
) -> None:
    host = own_worker.host
    own_worker.end()

    with pytest.raises(amqp.ChannelError, match="NO_ROUTE"):
        _call_until_refused(gateway, host)

    successor = start_worker(host, declared.host_uri(host))
    with Caller(declared.uri, declared.host_exchange, "second") as second:
        successor.wait_until_it_answers(second)
    assert "served stale" not in successor.output


def _call_until_refused(gateway: Caller, host: str) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        gateway.send(host, "echo", '{"args": ["stale"], "kwargs": {}}')
        time.sleep(0.02)  # a flood would keep the broker from what this waits for


def test_a_second_worker_of_a_host_stands_by_until_the_first_ends(
    declared: Vhost, own_worker: EchoWorker, gateway: Caller, start_worker: StartWorker
) -> None:
    standby = start_worker(own_worker.host, declared.host_uri(own_worker.host))
    standby.wait_for_output("publisher connected")
    gateway.call(own_worker.host, "echo", "for the first")
    assert "served" not in standby.output

    own_worker.process.send_signal(signal.SIGTERM)
    own_worker.process.wait(timeout=15)
    with Caller(declared.uri, declared.host_exchange, "second") as second:
        standby.wait_until_it_answers(second)

    assert "served ready?" in standby.output


def test_a_call_in_hand_is_answered_before_the_worker_ends(
    own_worker: EchoWorker, gateway: Caller
) -> None:
    sent = gateway.send(own_worker.host, "slow", '{"args": [0.5], "kwargs": {}}')
    own_worker.wait_for_output("slow begun")

    own_worker.process.send_signal(signal.SIGTERM)

    assert gateway.reply(sent).result == 0.5
    assert own_worker.process.wait(timeout=15) == 0


def test_the_worker_waits_for_a_topology_that_is_not_there_yet(
    vhost: Vhost, start_worker: StartWorker
) -> None:
    worker = start_worker("h1", vhost.host_uri("h1"))
    worker.wait_for_output("publisher connected")

    topology.declare(vhost.uri)

    with Caller(vhost.uri, vhost.host_exchange) as caller:
        worker.wait_until_it_answers(caller)
        assert caller.call("h1", "echo", "there").result == "there"


def worker_of(broker: OwnBroker, start_worker: StartWorker) -> EchoWorker:
    """Start the worker of `h1`, which answers."""
    topology.declare(broker.uri)
    worker = start_worker("h1", broker.host_uri("h1"))
    with Caller(broker.uri, broker.host_exchange) as caller:
        worker.wait_until_it_answers(caller)
    return worker


def test_after_an_outage_the_worker_is_back_by_itself(
    own_broker: OwnBroker, start_worker: StartWorker
) -> None:
    worker = worker_of(own_broker, start_worker)

    own_broker.kill()
    own_broker.start()

    worker.wait_for_output("publisher connected", times=2)
    with Caller(own_broker.uri, own_broker.host_exchange) as caller:
        worker.wait_until_it_answers(caller)
        assert caller.call("h1", "echo", "back").result == "back"


def test_a_worker_that_no_gateway_hears_can_be_stopped(
    declared: Vhost, start_worker: StartWorker
) -> None:
    worker = start_worker("unheard", declared.host_uri("unheard"))
    worker.wait_for_output("publisher connected")
    time.sleep(1)  # some looks for its queue

    worker.process.send_signal(signal.SIGTERM)

    assert worker.process.wait(timeout=15) == 0, worker.output


def test_a_worker_whose_queue_was_deleted_gets_another(
    declared: Vhost, own_worker: EchoWorker, gateway: Caller
) -> None:
    gateway.channel.queue_delete(declared.calls_queue(own_worker.host))

    own_worker.wait_until_it_answers(gateway)
    assert gateway.call(own_worker.host, "echo", "another").result == "another"


def test_the_worker_can_be_stopped_while_the_broker_is_away(
    own_broker: OwnBroker, start_worker: StartWorker
) -> None:
    worker = worker_of(own_broker, start_worker)
    own_broker.kill()
    time.sleep(1)

    worker.process.send_signal(signal.SIGTERM)

    assert worker.process.wait(timeout=15) == 0
