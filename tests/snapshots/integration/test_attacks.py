"""What a host that is taken over can do to the snapshots service, and through it to other hosts."""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import amqp
import httpx
import pytest

from deploy.local import rabbitmq_definitions
from deploy.local.processes import free_port
from shared.contracts.codec import encode, to_wire
from shared.contracts.events import PolicyRunChanged
from shared.platform.bus import topology
from shared.platform.bus.permissions import Permissions
from tests.support.broker import Broker, Vhost, fresh_vhost
from tests.support.caller import connect
from tests.support.polling import wait_until
from tests.support.raw_message import POISON, poison, short
from tests.support.snapshots import (
    PlanHost,
    PolicyCaller,
    ServiceProcess,
    a_policy,
    a_run,
    processes,
)

pytestmark = pytest.mark.attack

PATIENCE_S = 60.0
# What another host may wait longer for during a flood.
AT_ONCE_S = 15.0


class Scene:
    """A service, and two hosts; each test has runs of its own."""

    def __init__(
        self, vhost: Vhost, service: ServiceProcess, caller: PolicyCaller, port: int
    ) -> None:
        self.vhost, self.service, self.caller, self._port = vhost, service, caller, port
        self.attacker, self.neighbour = PlanHost(vhost, "h1"), PlanHost(vhost, "h2")
        self._sequence = int(time.time())

    def next_run(self, **changes: Any) -> Any:
        self._sequence += 1
        slot = f"2026-11-29T{self._sequence // 60 % 24:02}:{self._sequence % 60:02}:00Z"
        operation = f"op-{self._sequence}"
        return a_run(self._sequence, slot, **({"operation_id": operation} | changes))

    def hosts_with(self, operation_id: str) -> list[str]:
        """Return the hosts in whose history the operation is."""
        runs = self.caller.runs(limit=1000).runs
        return [each.host for each in runs if each.run.operation_id == operation_id]

    @property
    def dead_letters(self) -> int:
        """How many messages the service could not read, as it tells Prometheus."""
        told = httpx.get(f"http://127.0.0.1:{self._port}/metrics").text
        [number] = re.findall(r"(?m)^lxdfleet_snapshots_dead_letters_total (\S+)", told)
        return int(float(number))

    def wait_for(self, host: PlanHost, within_s: float = PATIENCE_S) -> None:
        """Have a host report a run, and wait until it is in the history."""
        run = self.next_run()
        host.publish_run(run)
        wait_until(
            lambda: self.hosts_with(run.operation_id) == [host.host],
            within_s=within_s,
            seen=lambda: self.service.log[-4000:],
        )


@pytest.fixture(scope="module")
def scene(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder: Path = tmp_path_factory.mktemp("snapshots")
    with fresh_vhost(broker) as vhost, processes(vhost, folder) as start:
        port = free_port()
        service = start(FLEET_METRICS_BIND=f"127.0.0.1:{port}")
        with contextlib.closing(PolicyCaller(vhost.uri)) as caller:
            caller.wait_until_it_answers(service)
            made = Scene(vhost, service, caller, port)
            for host in (made.attacker, made.neighbour):
                host.start()
            wait_until(lambda: caller.plan("h1") and caller.plan("h2"), within_s=PATIENCE_S)
            yield made
            for host in (made.attacker, made.neighbour):
                host.stop()


@pytest.fixture
def taken_over(scene: Scene) -> Iterator[Any]:
    """A connection with the credentials of h1."""
    connection = connect(scene.vhost.host_uri("h1"))
    yield connection
    with contextlib.suppress(OSError, amqp.AMQPError):
        connection.close()


CREATE = json.dumps({"args": [to_wire(a_policy("evil"))], "kwargs": {}})


@pytest.mark.parametrize("exchange", ["nameko-rpc", "", "fleet.calls"])
def test_a_host_cannot_call_the_service(scene: Scene, taken_over: Any, exchange: str) -> None:
    key = "snapshots.create" if exchange else "snapshots.calls"
    message = amqp.Message(CREATE, content_type="application/json", reply_to="h1.reply.x")

    with pytest.raises(amqp.AccessRefused):
        taken_over.channel().basic_publish_confirm(message, exchange, key)

    assert scene.caller.policies() == []


def release_0_1_0(host: str) -> Permissions:
    """Return what a host could do then on the exchange that is used for these calls now."""
    own = rf"lxd_worker\.{host}\.calls"
    return Permissions(
        configure=rf"^{own}$",
        write=rf"^(nameko-rpc|{own})$",
        read=rf"^(nameko-rpc|{own})$",
        topics={"nameko-rpc": (rf"^{host}\.reply\.[^.]+$", rf"^lxd_worker\.{host}\.[^.]+$")},
    )


def test_a_user_of_release_0_1_0_cannot_call_the_service_either(scene: Scene) -> None:
    name = f"{scene.vhost.name}-old"
    user = rabbitmq_definitions.User(name, "secret", release_0_1_0("h0"))
    properties = {"content_type": "application/json", "reply_to": "h0.reply.x"}
    with contextlib.closing(connect(scene.vhost.broker.add(scene.vhost.name, user))) as old:
        copied = amqp.Message(
            CREATE, application_headers={"CC": ["snapshots.create"]}, **properties
        )
        with contextlib.suppress(amqp.AccessRefused):
            old.channel().basic_publish_confirm(copied, "nameko-rpc", "h0.reply.x")
        channel, queue = old.channel(), "lxd_worker.h0.calls"
        letters = {
            "x-message-ttl": 0,
            "x-dead-letter-exchange": "nameko-rpc",
            "x-dead-letter-routing-key": "snapshots.create",
        }
        channel.queue_declare(queue, arguments=letters)
        channel.queue_bind(queue, "nameko-rpc", "lxd_worker.h0.x")
        with contextlib.closing(connect(scene.vhost.uri)) as central:
            message = amqp.Message(CREATE, **properties)
            central.channel().basic_publish_confirm(message, "nameko-rpc", "lxd_worker.h0.x")
        dropped = "call of doubtful origin dropped"
        wait_until(lambda: scene.service.log.count(dropped) >= 2, within_s=PATIENCE_S)

    assert scene.caller.policies() == []


def test_a_host_cannot_read_the_calls_of_the_service_nor_their_answers(taken_over: Any) -> None:
    with pytest.raises(amqp.AccessRefused):
        taken_over.channel().basic_consume("snapshots.calls")
    with pytest.raises(amqp.AccessRefused):
        taken_over.channel().queue_bind("snapshots.calls", "nameko-rpc", "#")


def test_a_host_cannot_send_another_host_a_plan(scene: Scene, taken_over: Any) -> None:
    before = list(scene.neighbour.plans)
    call = json.dumps({"args": [{"host": "h2"}], "kwargs": {}})

    with pytest.raises(amqp.AccessRefused):
        taken_over.channel().basic_publish_confirm(
            amqp.Message(call), "fleet.calls", "lxd_worker.h2.set_plan"
        )
    # Before RabbitMQ 4 nobody looks at the keys in a header.
    copied = amqp.Message(call, application_headers={"CC": ["lxd_worker.h2.set_plan"]})
    with contextlib.suppress(amqp.AccessRefused):
        taken_over.channel().basic_publish_confirm(
            copied, scene.attacker.exchange, "h1.worker.policy-run"
        )

    scene.wait_for(scene.neighbour)
    assert scene.neighbour.plans == before


@pytest.mark.parametrize("by", ["key", "CC", "BCC"])
def test_a_host_cannot_report_runs_of_another_host(scene: Scene, taken_over: Any, by: str) -> None:
    forged = scene.next_run()
    body, key = encode(PolicyRunChanged(run=forged)), "h2.worker.policy-run"
    if by == "key":
        message, own = amqp.Message(body, content_type="application/json"), key
    else:
        headers = {by: [key]}
        message = amqp.Message(body, content_type="application/json", application_headers=headers)
        own = "h1.worker.protection"

    with contextlib.suppress(amqp.AccessRefused):
        taken_over.channel().basic_publish_confirm(message, scene.attacker.exchange, own)

    scene.wait_for(scene.neighbour)
    scene.wait_for(scene.attacker)
    assert scene.hosts_with(forged.operation_id) == []


def test_a_run_of_the_same_operation_leaves_that_of_another_host_as_it_is(scene: Scene) -> None:
    honest = scene.next_run(message="honest")
    scene.neighbour.publish_run(honest)
    wait_until(lambda: scene.hosts_with(honest.operation_id) == ["h2"], within_s=PATIENCE_S)

    scene.attacker.publish_run(scene.next_run(operation_id=honest.operation_id, message="forged"))

    wait_until(
        lambda: sorted(scene.hosts_with(honest.operation_id)) == ["h1", "h2"], within_s=PATIENCE_S
    )
    [kept] = [each.run for each in scene.caller.runs(host="h2").runs if each.run == honest]
    assert kept.message == "honest"


def test_no_property_of_a_message_ends_the_hearing_of_hosts(scene: Scene, taken_over: Any) -> None:
    connections = scene.service.log.count('"purpose": "hosts"')
    channel = taken_over.channel()
    for name in POISON:
        for key in ("h1.worker.policy-run", "h1.worker.protection", "h1.worker.heartbeat"):
            message = poison(name, b"{}", delivery_mode=b"\x02")
            channel.basic_publish_confirm(message, scene.attacker.exchange, key)

    scene.wait_for(scene.neighbour)
    scene.wait_for(scene.attacker)
    assert scene.service.log.count('"purpose": "hosts"') == connections
    assert scene.service.process.poll() is None


@pytest.mark.parametrize(
    "body",
    [
        b"{no json",
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"run": ' + b"9" * 10_000 + b"}",
        b'{"run": {}}',
        encode(PolicyRunChanged(run=a_run(1, operation_id="x" * 200))),
        encode(PolicyRunChanged(run=a_run(1, slot=""))),
        b'{"x": "' + b"x" * 2_000_000 + b'"}',
    ],
    ids=["no JSON", "no UTF-8", "nested", "a long number", "fields", "id", "slot", "too large"],
)
def test_what_cannot_be_read_becomes_a_dead_letter(scene: Scene, body: bytes) -> None:
    before = scene.dead_letters

    scene.attacker.publish_raw(body, "h1.worker.policy-run")

    wait_until(lambda: scene.dead_letters == before + 1, within_s=PATIENCE_S)
    scene.wait_for(scene.attacker)


def test_the_first_dead_letters_of_a_host_are_kept_with_their_reason(scene: Scene) -> None:
    with contextlib.closing(connect(scene.vhost.uri)) as connection:
        channel = connection.channel()
        scene.neighbour.publish_raw(b"{no json", "h2.worker.policy-run")

        def letter() -> Any:
            return channel.basic_get("fleet.dead-letters", no_ack=True)

        found = wait_until(letter, within_s=PATIENCE_S)
        while found.delivery_info["routing_key"] != "h2.unreadable":
            found = wait_until(letter, within_s=PATIENCE_S)
    assert found.body == "{no json"
    assert found.headers["fleet-key"] == "h2.worker.policy-run"


def test_answers_to_calls_that_nobody_made_change_nothing(scene: Scene, taken_over: Any) -> None:
    forged = scene.next_run()
    answer = json.dumps({"result": {"runs": [to_wire(forged)]}, "error": None})
    # The attacker knows the address for answers from the calls that it got.
    seen: list[str] = []
    scene.attacker.on_call = lambda message: seen.append(message.properties["reply_to"])
    scene.caller.create(a_policy())
    reply_to = wait_until(lambda: "".join(seen[:1]), within_s=PATIENCE_S)

    for _ in range(20):
        message = amqp.Message(answer, content_type="application/json", correlation_id="0" * 32)
        taken_over.channel().basic_publish_confirm(message, scene.attacker.exchange, reply_to)

    scene.wait_for(scene.attacker)
    assert scene.hosts_with(forged.operation_id) == []
    with pytest.raises(amqp.AccessRefused):
        taken_over.channel().basic_publish_confirm(
            message, scene.attacker.exchange, reply_to.replace("h1.", "h2.", 1)
        )


def test_a_flood_of_one_host_holds_up_no_other(scene: Scene) -> None:
    ended = threading.Event()

    def flood() -> None:
        with contextlib.closing(connect(scene.vhost.host_uri("h1"))) as connection:
            channel = connection.channel()
            body = encode(PolicyRunChanged(run=a_run(1, operation_id="flood")))
            message = amqp.Message(body, content_type="application/json")
            while not ended.is_set():
                for key in ("h1.worker.policy-run", "h1.worker.heartbeat"):
                    channel._basic_publish(message, scene.attacker.exchange, key)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        time.sleep(2.0)
        for _ in range(3):
            scene.wait_for(scene.neighbour, within_s=AT_ONCE_S)
        assert scene.caller.policies() is not None
    finally:
        ended.set()
        thread.join()


def test_no_property_of_a_call_ends_the_service(scene: Scene) -> None:
    with contextlib.closing(connect(scene.vhost.uri)) as connection:
        channel = connection.channel()
        for name in POISON:
            message = poison(
                name, b"{}", content_type=short(b"application/json"), reply_to=short(b"x")
            )
            channel.basic_publish_confirm(message, "nameko-rpc", "snapshots.policies")
        for body in (b"[", b"{}", b'{"args": 1, "kwargs": {}}', b"x" * 2_000_000):
            message = amqp.Message(body, content_type="application/json", reply_to="x")
            channel.basic_publish_confirm(message, "nameko-rpc", "snapshots.policies")

    scene.caller.wait_until_it_answers(scene.service)
    assert scene.service.process.poll() is None


@pytest.mark.parametrize(
    ("exchange", "key"),
    [
        ("fleet.calls", "lxd_worker.h1.submit"),
        ("fleet.calls", "lxd_worker.h1.open_console"),
        ("fleet.streams.in", f"h1.in.{'0' * 32}"),
        ("fleet.hosts", "h1.worker.heartbeat"),
        ("fleet.dead", "h1.undelivered"),
        ("nameko-rpc", "snapshots.create"),
    ],
)
def test_the_services_own_user_can_do_no_more_than_it_needs(
    scene: Scene, exchange: str, key: str
) -> None:
    name = scene.attacker.exchange if exchange == "fleet.hosts" else exchange
    with (
        contextlib.closing(connect(scene.vhost.snapshots_uri)) as connection,
        pytest.raises(amqp.AccessRefused),
    ):
        connection.channel().basic_publish_confirm(amqp.Message(b"{}"), name, key)


def test_the_services_own_user_reads_no_queue_of_a_gateway_or_worker(scene: Scene) -> None:
    for queue in (scene.vhost.calls_queue("h1"), "fleet.dead-letters"):
        with (
            contextlib.closing(connect(scene.vhost.snapshots_uri)) as connection,
            pytest.raises(amqp.AccessRefused),
        ):
            connection.channel().basic_consume(queue)
    assert topology.is_calls_queue(scene.vhost.calls_queue("h1"), "h1")
