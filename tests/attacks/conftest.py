"""A gateway as a process, an honest host `h2`, and the broker's credentials of `h1`, taken over."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import amqp
import httpx
import pytest

from deploy.local import processes
from shared.contracts.codec import encode
from shared.contracts.events import Event
from shared.platform.bus import topology
from tests.support.broker import Broker, Vhost, fresh_vhost, host_exchange
from tests.support.builders import a_heartbeat
from tests.support.caller import connect
from tests.support.daemons import ROOT
from tests.support.polling import wait_until

ATTACKER, NEIGHBOUR = "h1", "h2"
AT_ONCE_S = 5.0
# A host that has flooded waits until the gateway has taken in what it let through.
AFTER_A_FLOOD_S = 60.0


@dataclass
class Attacker:
    """Who has the credentials of `h1`, and knows the name of the gateway from a call that it got.

    `epoch` is that of the worker it plays: a new one for each attack.
    """

    uri: str
    epoch: int
    gateway: str
    opened: list[Any] = field(default_factory=list)

    @property
    def exchange(self) -> str:
        """The one that it may write to."""
        return host_exchange(ATTACKER, self.uri)

    def channel(self) -> Any:
        """Return a channel of a new connection, which no earlier error has spoilt."""
        self.opened.append(connect(self.uri))
        return self.opened[-1].channel()

    def publish(self, exchange: str, key: str, message: amqp.Message) -> bool:
        """Publish; return whether the broker took it."""
        try:
            self.channel().basic_publish_confirm(message, exchange, key, timeout=10)
        except (amqp.AMQPError, OSError):
            return False
        return True

    def tell(self, key: str, event: Event | bytes) -> bool:
        """Publish an event of `h1`, or what passes for one."""
        body = event if isinstance(event, bytes) else encode(event)
        message = amqp.Message(body, content_type="application/json", delivery_mode=2)
        return self.publish(self.exchange, f"{ATTACKER}.{key}", message)

    def leave(self) -> None:
        """Close every connection."""
        for connection in self.opened:
            with contextlib.suppress(OSError, amqp.AMQPError):
                connection.close()
        self.opened.clear()


@dataclass
class Scene:
    """The gateway and the neighbour; `unharmed` says whether both are as they were."""

    vhost: Vhost
    http: httpx.Client
    gateway: subprocess.Popen[bytes]
    log: Path
    attacks: int = 0
    name_of_gateway: str = ""

    def assert_unharmed(self) -> None:
        """Fail unless the neighbour is shown, fresh, and does what it is asked for, at once."""
        assert self.gateway.poll() is None, self.log.read_text()
        self.until(self.neighbour_is_fresh)
        answer = self.http.post(f"/api/instances/web/restart?host={NEIGHBOUR}")
        assert answer.status_code == 200, answer.text
        self.until(self.outcome_is_stored)
        assert self.http.get("/healthz").status_code == 200
        assert self.connections() == self.connections_at_first, self.log.read_text()

    def __post_init__(self) -> None:
        self.until(lambda: self.http.get("/readyz").status_code == 200, within_s=20)
        self.until(self.neighbour_is_fresh, within_s=20)
        self.connections_at_first = self.connections()

    def until(self, holds: Callable[[], bool], *, within_s: float = AT_ONCE_S) -> None:
        """Wait until it holds."""
        wait_until(
            holds,
            within_s=within_s,
            ignoring=httpx.TransportError,
            seen=lambda: self.log.read_text()[-5000:],
        )

    def neighbour_is_fresh(self) -> bool:
        """Whether the neighbour was heard of, and its instance sampled, within the last seconds."""
        hosts = {each["host"]: each for each in self.http.get("/api/hosts").json()}
        mine = self.http.get("/api/instances", params={"host": NEIGHBOUR}).json()
        host = hosts.get(NEIGHBOUR, {})
        names = [each["name"] for each in mine]
        return bool(host.get("online") and host["age_s"] < 2 and names == ["web"])

    def outcome_is_stored(self) -> bool:
        """Whether the neighbour's last operation is done, as the database has it."""
        listed = self.http.get("/api/operations", params={"host": NEIGHBOUR, "limit": 1}).json()
        return [each["state"] for each in listed] == ["done"]

    def connections(self) -> int:
        """Return how often the gateway has connected to the broker."""
        return self.log.read_text().count("connected to the broker")

    def resident_bytes(self) -> int:
        """Return the gateway's resident memory."""
        status = Path(f"/proc/{self.gateway.pid}/status").read_text()
        (line,) = [each for each in status.splitlines() if each.startswith("VmRSS:")]
        return int(line.split()[1]) * 1024


@pytest.fixture(scope="module")
def scene(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("scene")
    with fresh_vhost(broker) as vhost, contextlib.ExitStack() as running:
        topology.declare(vhost.uri)
        port = processes.free_port()
        log = folder / "gateway.log"
        gateway = running.enter_context(
            process(
                ["-m", "services.gateway"],
                log,
                FLEET_AMQP_URI=vhost.uri,
                FLEET_STATE_DIR=str(folder),
                FLEET_HTTP_BIND=f"127.0.0.1:{port}",
            )
        )
        running.enter_context(
            process(
                ["-m", "tests.attacks.honest_host", NEIGHBOUR],
                folder / "h2.log",
                FLEET_AMQP_URI=vhost.host_uri(NEIGHBOUR),
            )
        )
        http = running.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}"))
        yield Scene(vhost, http, gateway, log)


@contextlib.contextmanager
def process(arguments: list[str], log: Path, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run Python with these arguments until the end of the block."""
    with log.open("w") as output:
        running = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=ROOT,
            env={"PATH": os.environ["PATH"], **env},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield running
    finally:
        running.kill()
        running.wait()


@pytest.fixture
def attacker(scene: Scene) -> Iterator[Attacker]:
    """Whoever has taken over h1."""
    scene.attacks += 1
    uri = scene.vhost.host_uri(ATTACKER)
    if not scene.name_of_gateway:
        scene.name_of_gateway = name_of_gateway(uri)
    taken_over = Attacker(uri, epoch=scene.attacks + 1, gateway=scene.name_of_gateway)
    try:
        taken_over.tell("worker.heartbeat", a_heartbeat(taken_over.epoch))
        yield taken_over
    finally:
        taken_over.leave()


def name_of_gateway(uri: str) -> str:
    """Report as a host does, and return the gateway's name from what it asks in return."""
    queue = topology.calls_queue(ATTACKER, topology.password_of(uri))
    with contextlib.closing(connect(uri)) as connection:
        beat = amqp.Message(encode(a_heartbeat(calls_queue=queue)), content_type="application/json")
        connection.channel().basic_publish_confirm(
            beat, host_exchange(ATTACKER, uri), f"{ATTACKER}.worker.heartbeat"
        )
        end = time.monotonic() + AT_ONCE_S
        while (asked := _get(connection, queue)) is None:
            assert time.monotonic() < end, "the gateway asks nothing"
        return str(asked.properties["reply_to"]).rpartition(".")[2]


def _get(connection: Any, queue: str) -> Any:
    """Return a message of a queue; None: there is none, or no queue yet."""
    with contextlib.suppress(amqp.NotFound), contextlib.closing(connection.channel()) as channel:
        return channel.basic_get(queue, no_ack=True)
