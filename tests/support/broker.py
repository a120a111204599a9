"""Fixtures on a real RabbitMQ: `broker`, `vhost`, `own_broker` and `line`.

The sessions that run in one checkout share a node, which the last of them stops; `FLEET_KEEP=yes`
leaves it running for the next. Each test gets a virtual host to itself, so that tests neither see
each other nor wait for a node to start.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx
import psutil
import pytest

from deploy.local import broker as nodes
from deploy.local import rabbitmq_definitions
from shared.platform.bus import topology
from shared.platform.bus.permissions import (
    CENTRAL_PERMISSIONS,
    SNAPSHOTS_PERMISSIONS,
    host_permissions,
)
from tests.support.daemons import ROOT, mark, missing
from tests.support.line import Line

FIXTURES = {"broker", "vhost", "own_broker"}
# The name of the snapshots service's user, which cannot be a host's id.
SNAPSHOTS = ".snapshots"


def host_exchange(host: str, uri: str) -> str:
    """Return the name of the exchange of whoever reaches the broker under this address."""
    return topology.host_exchange(host, topology.password_of(uri))


@dataclass(frozen=True, slots=True)
class Broker:
    """The shared node and its administrator's HTTP interface."""

    node: nodes.Node
    http: httpx.Client

    def add(self, vhost: str, added: rabbitmq_definitions.User) -> str:
        """Create a user on a virtual host; return its AMQP address."""
        loaded = self.http.post("/definitions", json=rabbitmq_definitions.of([added], vhost=vhost))
        loaded.raise_for_status()
        return self.node.uri(added.name, added.password, vhost)


@dataclass(frozen=True, slots=True)
class Vhost:
    """A fresh virtual host of the shared node; `uri` is that of a central service's user."""

    broker: Broker
    name: str
    uri: str
    hosts: dict[str, str] = field(default_factory=dict)

    def host_uri(self, host: str) -> str:
        """Return the address of a user who may do what this host may do, and no more."""
        if host not in self.hosts:
            self.hosts[host] = self.broker.add(self.name, _host(f"{self.name}-{host}", host))
        return self.hosts[host]

    @property
    def snapshots_uri(self) -> str:
        """The address of a user who may do what the snapshots service may do, and no more."""
        if SNAPSHOTS not in self.hosts:
            self.hosts[SNAPSHOTS] = self.broker.add(
                self.name, _snapshots(f"{self.name}-{SNAPSHOTS}")
            )
        return self.hosts[SNAPSHOTS]

    def renewed_host_uri(self, host: str) -> str:
        """Return the address of the host's user after its password has changed."""
        del self.hosts[host]
        return self.host_uri(host)

    def host_exchange(self, host: str) -> str:
        """Return the name of the exchange to which the host publishes, which is there then."""
        return host_exchange(host, self.host_uri(host))

    def calls_queue(self, host: str) -> str:
        """Return the name of the host's own queue, which it may give to an exchange as well."""
        return topology.calls_queue(host, topology.password_of(self.host_uri(host)))

    def queues(self) -> list[dict[str, Any]]:
        """Return what the HTTP interface lists of this virtual host's queues."""
        listed: list[dict[str, Any]] = self.broker.http.get(f"/queues/{self.name}").json()
        return listed

    def close_connections(self) -> None:
        """Close every connection to this virtual host, as an operator would."""
        for connection in self.broker.http.get(f"/vhosts/{self.name}/connections").json():
            self.broker.http.delete(f"/connections/{connection['name']}")


class OwnBroker:
    """A node that belongs to one test, which may stop, kill and start it; its ports stay."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._users = {"central": _central("central")}
        self.start()

    @property
    def port(self) -> int:
        """Where it listens on loopback."""
        return self._node.ports.amqp

    @property
    def uri(self) -> str:
        """The address of a central service's user."""
        return self._uri("central")

    @property
    def snapshots_uri(self) -> str:
        """The address of a user who may do what the snapshots service may do, and no more."""
        if SNAPSHOTS not in self._users:
            self._users[SNAPSHOTS] = _snapshots(SNAPSHOTS)
            self.start()
        return self._uri(SNAPSHOTS)

    def host_uri(self, host: str) -> str:
        """Return the address of a user who may do what this host may do, and no more."""
        if host not in self._users:
            self._users[host] = _host(host, host)
            self.start()
        return self._uri(host)

    @property
    def cpus(self) -> set[int]:
        """Which CPUs its threads may run on."""
        threads = Path(f"/proc/{self._node.pid}/task").iterdir()
        return set().union(*(os.sched_getaffinity(int(thread.name)) for thread in threads))

    def host_exchange(self, host: str) -> str:
        """Return the name of the exchange to which the host publishes, which is there then."""
        return host_exchange(host, self.host_uri(host))

    @property
    def memory(self) -> int:
        """The bytes that it has in memory."""
        return int(psutil.Process(self._node.pid).memory_info().rss)

    def start(self) -> None:
        """Start the node unless it runs; it knows the users it has ever been asked for."""
        known = rabbitmq_definitions.of(list(self._users.values()))
        self._node = nodes.start(self.directory, known)

    def stop(self) -> None:
        """Stop it in order, which takes some seconds."""
        nodes.stop(self._node)

    def kill(self) -> None:
        """End it at once, as a power failure would."""
        nodes.kill(self._node)

    def control(self, *command: str) -> None:
        """Run a command of `rabbitmqctl`."""
        nodes.control(self._node, *command).check_returncode()

    def _uri(self, name: str) -> str:
        return self._node.uri(name, self._users[name].password)


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """The node that the sessions in this checkout share."""
    if not nodes.installed():
        missing("RabbitMQ is not installed")
    with shared_broker() as shared:
        yield shared


@contextmanager
def shared_broker() -> Iterator[Broker]:
    """Start the checkout's node, unless it runs; stop it when nobody else uses it."""
    admin = _central(f"tests-{secrets.token_hex(4)}", tags="administrator")
    with _shared_node(ROOT / "var" / "test-broker", admin) as node:
        address = f"http://127.0.0.1:{node.ports.management}/api"
        with httpx.Client(base_url=address, auth=(admin.name, admin.password), timeout=60) as http:
            try:
                yield Broker(node, http)
            finally:
                http.delete(f"/users/{admin.name}")


@pytest.fixture
def vhost(broker: Broker) -> Iterator[Vhost]:
    """A virtual host for one test, deleted with its users afterwards."""
    with fresh_vhost(broker) as fresh:
        yield fresh


@contextmanager
def fresh_vhost(broker: Broker) -> Iterator[Vhost]:
    """Make a virtual host; afterwards delete it with its users."""
    name = f"t{secrets.token_hex(4)}"
    try:
        yield Vhost(broker, name, broker.add(name, _central(f"{name}-central")))
    finally:
        _remove_vhost(broker, name)


def _remove_vhost(broker: Broker, name: str) -> None:
    users = [user["name"] for user in broker.http.get("/users").json()]
    mine = [user for user in users if user.startswith(f"{name}-")]
    broker.http.delete(f"/vhosts/{name}").raise_for_status()
    broker.http.post("/users/bulk-delete", json={"users": mine}).raise_for_status()


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[OwnBroker]:
    """A node for one test that stops it; four seconds to start."""
    if not nodes.installed():
        missing("RabbitMQ is not installed")
    own = OwnBroker(tmp_path / "broker")
    yield own
    own.kill()


@pytest.fixture
def line() -> Iterator[Callable[[int], Line]]:
    """A function that lays a line to a loopback port, which the test may cut and mend."""
    with ExitStack() as lines:
        yield lambda port: lines.enter_context(closing(Line(port)))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what uses these fixtures, so that `-m` finds it."""
    mark(items, FIXTURES, "broker")


@contextmanager
def _shared_node(directory: Path, admin: rabbitmq_definitions.User) -> Iterator[nodes.Node]:
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "sessions.lock").open("w") as sessions:
        fcntl.flock(sessions, fcntl.LOCK_SH)
        node = nodes.start(directory, rabbitmq_definitions.of([admin]), management=True)
        try:
            yield node
        finally:
            if os.environ.get("FLEET_KEEP") != "yes" and _is_last(sessions):
                nodes.stop(node)


def _is_last(sessions: IO[str]) -> bool:
    try:
        fcntl.flock(sessions, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _central(name: str, *, tags: str = "") -> rabbitmq_definitions.User:
    return rabbitmq_definitions.User(name, secrets.token_urlsafe(12), CENTRAL_PERMISSIONS, tags)


def _snapshots(name: str) -> rabbitmq_definitions.User:
    return rabbitmq_definitions.User(name, secrets.token_urlsafe(12), SNAPSHOTS_PERMISSIONS)


def _host(name: str, host: str) -> rabbitmq_definitions.User:
    password = secrets.token_urlsafe(12)
    return rabbitmq_definitions.User(name, password, host_permissions(host, password))
