"""A real worker between a real RabbitMQ and a real LXD, each test with its own virtual host."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.events import Heartbeat
from shared.contracts.operations import Kind, Operation, Submission
from tests.lxd_double import LxdDouble
from tests.support.broker import Broker, Vhost, fresh_vhost
from tests.support.bus_side import BusSide, submission
from tests.support.lifecycle import Lifecycle
from tests.support.lxd import Instances, Lxd
from tests.support.worker_process import Prepare, WorkerProcess


@pytest.fixture
def settings() -> dict[str, str]:
    """What a worker is told beside its host and its LXD; a module may have its own."""
    return {}


@pytest.fixture
def first_port() -> int:
    """Return where this test's pool of ports begins: none from which the kernel connects."""
    return 11000 + secrets.randbelow(210) * 100


@pytest.fixture
def nat_settings(first_port: int) -> dict[str, str]:
    """Give a worker a pool of ports, and more CPUs than there are."""
    return {
        "FLEET_NAT_ADDRESS": "127.0.0.1",
        "FLEET_NAT_SSH_PORTS": f"{first_port}-{first_port + 9}",
        "FLEET_NAT_PORTS": f"{first_port + 10}-{first_port + 99}",
        "FLEET_OVERCOMMIT_CPU": "1000",
    }


@pytest.fixture
def prepare(vhost: Vhost, tmp_path: Path, settings: dict[str, str]) -> Iterator[Prepare]:
    """Prepare a worker of host `h1` on an LXD socket; what was started is killed at the end."""
    prepared: list[WorkerProcess] = []

    def worker(socket: Path) -> WorkerProcess:
        environment = _environment(vhost, socket, tmp_path) | settings
        process = WorkerProcess(environment, tmp_path / f"worker-{len(prepared)}.log")
        prepared.append(process)
        return process

    yield worker
    for process in prepared:
        process.kill()


@contextmanager
def running_worker(
    vhost: Vhost, lxd: Lxd, folder: Path, **settings: str
) -> Iterator[WorkerProcess]:
    """Run a worker for a module's tests; it takes calls and has reported its LXD as connected."""
    environment = _environment(vhost, lxd.socket, folder) | settings
    process = WorkerProcess(environment, folder / "worker.log")
    try:
        with closing(BusSide(vhost.uri, vhost.host_exchange("h1"))) as bus:
            process.start()
            bus.reach()
            wait_until_connected(bus)
        yield process
    finally:
        process.kill()


def _environment(vhost: Vhost, socket: Path, folder: Path) -> dict[str, str]:
    return {
        "FLEET_AMQP_URI": vhost.host_uri("h1"),
        "FLEET_HOST": "h1",
        "FLEET_LXD_SOCKET": str(socket),
        "FLEET_STATE_DIR": str(folder / "state"),
        "FLEET_LOG_LEVEL": "debug",
        "FLEET_HEARTBEAT_S": "0.5",
    }


@pytest.fixture
def lifecycle(lxd: Lxd) -> Iterator[Lifecycle]:
    """What LXD says that it does, from here on."""
    with closing(Lifecycle(lxd.socket)) as heard:
        yield heard


@pytest.fixture
def bus(vhost: Vhost) -> Iterator[BusSide]:
    """A gateway's side of the bus, there before any worker is."""
    with closing(BusSide(vhost.uri, vhost.host_exchange("h1"))) as side:
        yield side


@pytest.fixture
def worker(prepare: Prepare, lxd: Lxd, bus: BusSide) -> WorkerProcess:
    """A worker that takes calls and has reported its LXD as connected."""
    process = prepare(lxd.socket)
    process.start()
    bus.reach()
    wait_until_connected(bus)
    return process


@pytest.fixture
def double(tmp_path: Path) -> Iterator[LxdDouble]:
    """A double of LXD without instances; a module may put its own in."""
    with LxdDouble(tmp_path / "lxd.socket") as double:
        yield double


@pytest.fixture
def worker_on_double(prepare: Prepare, double: LxdDouble, bus: BusSide) -> WorkerProcess:
    """A worker of the double that takes calls."""
    process = prepare(double.socket)
    process.start()
    bus.reach()
    return process


def wait_until_connected(bus: BusSide) -> None:
    """Wait for a heartbeat that says so."""
    bus.until(lambda: any(beat.lxd_connected for beat in bus.of(Heartbeat)))


def module_fixtures(**settings: str) -> tuple[Any, Any]:
    """Return the fixtures `vhost` and `worker` that all tests of a module share."""

    @pytest.fixture(scope="module")
    def vhost(broker: Broker) -> Iterator[Vhost]:
        with fresh_vhost(broker) as vhost:
            yield vhost

    @pytest.fixture(scope="module")
    def worker(
        vhost: Vhost, lxd: Lxd, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[WorkerProcess]:
        with running_worker(vhost, lxd, tmp_path_factory.mktemp("worker"), **settings) as process:
            yield process

    return vhost, worker


def order(instances: Instances, kind: Kind, name: str, **arguments: object) -> Submission:
    """Return what a gateway would submit for an instance as it is now."""
    return submission(kind, name, instances.lxd.uuid_of(name), arguments=arguments)


def carried_out(
    bus: BusSide, instances: Instances, kind: Kind, name: str, **arguments: object
) -> Operation:
    return bus.carry_out(order(instances, kind, name, **arguments))
