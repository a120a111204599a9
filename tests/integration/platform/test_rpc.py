"""The worker's side of the bus on a real broker: what it serves, survives and gives up."""

from __future__ import annotations

import json
import signal
import time

import amqp
import pytest

from shared.platform import topology
from shared.testing.broker import OwnBroker, Vhost
from shared.testing.caller import Caller

from .conftest import EchoWorker, StartWorker


@pytest.fixture
def worker(declared: Vhost, gateway: Caller, start_worker: StartWorker) -> EchoWorker:
    worker = start_worker("h1", declared.host_uri("h1"))
    worker.wait_until_it_answers(gateway)
    return worker


def dead_letters(caller: Caller) -> list[str]:
    found = []
    while message := caller.channel.basic_get("fleet.dead-letters", no_ack=True):
        found.append(message.headers["fleet-reason"])
    return found


def test_an_expected_error_travels_as_its_name_and_raw_values(
    worker: EchoWorker, gateway: Caller
) -> None:
    reply = gateway.call("h1", "refuse")

    assert reply.error is not None
    assert (reply.error["exc_type"], reply.error["exc_args"]) == ("HostBusy", ["h1"])


def test_the_correlation_id_of_a_call_is_that_of_the_code_it_runs(
    worker: EchoWorker, gateway: Caller
) -> None:
    call = json.dumps({"args": ["traced"], "kwargs": {}})
    headers = {"nameko.correlation_id": "abc-1"}

    gateway.reply(gateway.send("h1", "echo", call, application_headers=headers))

    worker.wait_for_output("served traced for abc-1")


@pytest.mark.parametrize(
    ("body", "properties", "reason"),
    [
        pytest.param("{no json", {}, "body: ", id="no JSON"),
        pytest.param(b"\xff\xfe", {}, "body: ", id="no UTF-8"),
        pytest.param("[]", {}, "not a call: no args", id="a list"),
        pytest.param('{"args": 1, "kwargs": {}}', {}, "not a call: no args", id="args no list"),
        pytest.param('{"args": []}', {}, "not a call: no kwargs", id="no kwargs"),
        pytest.param("{}", {"content_type": None}, "content type: None", id="no content type"),
        pytest.param("{}", {"content_type": "text/plain"}, "body: Refusing", id="text"),
        pytest.param(
            b"\x80\x04N.",
            {"content_type": "application/x-python-serialize"},
            "body: Refusing",
            id="pickle",
        ),
    ],
)
def test_a_call_that_nobody_can_read_is_buried_with_the_reason(
    worker: EchoWorker,
    gateway: Caller,
    body: str | bytes,
    properties: dict[str, str | None],
    reason: str,
) -> None:
    gateway.send("h1", "echo", body, **properties)

    assert gateway.call("h1", "echo", "still here").result == "still here"
    end = time.monotonic() + 5
    while not (buried := dead_letters(gateway)):
        assert time.monotonic() < end, worker.output
    assert buried[0].startswith(reason)


@pytest.mark.parametrize("reply_to", ["", "tester", "h1", "h11.reply.tester"])
def test_a_call_without_a_proper_return_address_is_dropped(
    worker: EchoWorker, gateway: Caller, reply_to: str
) -> None:
    gateway.send("h1", "echo", '{"args": ["dropped"], "kwargs": {}}', reply_to=reply_to)

    assert gateway.call("h1", "echo", "still here").result == "still here"
    assert "served dropped" not in worker.output


def test_a_call_for_a_killed_worker_is_returned_and_not_served_later(
    declared: Vhost, worker: EchoWorker, gateway: Caller, start_worker: StartWorker
) -> None:
    worker.end()

    with pytest.raises(amqp.ChannelError, match="NO_ROUTE"):
        _call_until_refused(gateway)

    successor = start_worker("h1", declared.host_uri("h1"))
    with Caller(declared.uri, "second") as second:
        successor.wait_until_it_answers(second)
    assert "served stale" not in successor.output


def _call_until_refused(gateway: Caller) -> None:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        gateway.send("h1", "echo", '{"args": ["stale"], "kwargs": {}}')


def test_a_second_worker_of_a_host_stands_by_until_the_first_ends(
    declared: Vhost, worker: EchoWorker, gateway: Caller, start_worker: StartWorker
) -> None:
    standby = start_worker("h1", declared.host_uri("h1"))
    standby.wait_for_output("publisher connected")
    gateway.call("h1", "echo", "for the first")
    assert "served" not in standby.output

    worker.process.send_signal(signal.SIGTERM)
    worker.process.wait(timeout=15)
    with Caller(declared.uri, "second") as second:
        standby.wait_until_it_answers(second)

    assert "served ready?" in standby.output


def test_a_call_in_hand_is_answered_before_the_worker_ends(
    worker: EchoWorker, gateway: Caller
) -> None:
    sent = gateway.send("h1", "slow", '{"args": [0.5], "kwargs": {}}')
    worker.wait_for_output("slow begun")

    worker.process.send_signal(signal.SIGTERM)

    assert gateway.reply(sent).result == 0.5
    assert worker.process.wait(timeout=15) == 0


def test_the_worker_waits_for_a_topology_that_is_not_there_yet(
    vhost: Vhost, start_worker: StartWorker
) -> None:
    worker = start_worker("h1", vhost.host_uri("h1"))
    worker.wait_for_output("publisher connected")

    topology.declare(vhost.uri)

    with Caller(vhost.uri) as caller:
        worker.wait_until_it_answers(caller)


def test_after_an_outage_the_worker_is_back_by_itself(
    own_broker: OwnBroker, start_worker: StartWorker
) -> None:
    topology.declare(own_broker.uri)
    worker = start_worker("h1", own_broker.host_uri("h1"))
    with Caller(own_broker.uri) as caller:
        worker.wait_until_it_answers(caller)

    own_broker.kill()
    own_broker.start()

    worker.wait_for_output("publisher connected", times=2)
    with Caller(own_broker.uri) as caller:
        worker.wait_until_it_answers(caller)


def test_the_worker_can_be_stopped_while_the_broker_is_away(
    own_broker: OwnBroker, start_worker: StartWorker
) -> None:
    topology.declare(own_broker.uri)
    worker = start_worker("h1", own_broker.host_uri("h1"))
    with Caller(own_broker.uri) as caller:
        worker.wait_until_it_answers(caller)
    own_broker.kill()
    time.sleep(1)

    worker.process.send_signal(signal.SIGTERM)

    assert worker.process.wait(timeout=15) == 0
