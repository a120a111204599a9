"""A real worker between a real RabbitMQ and a real LXD, each test with its own virtual host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from shared.contracts.events import Heartbeat
from shared.testing.broker import Vhost
from shared.testing.bus_side import BusSide
from shared.testing.lifecycle import Lifecycle
from shared.testing.lxd import Lxd
from shared.testing.worker_process import Prepare, WorkerProcess


@pytest.fixture
def settings() -> dict[str, str]:
    """What a worker is told beside its host and its LXD; a module may have its own."""
    return {}


@pytest.fixture
def prepare(vhost: Vhost, tmp_path: Path, settings: dict[str, str]) -> Iterator[Prepare]:
    """Prepare a worker of host `h1` on an LXD socket; what was started is killed at the end."""
    prepared: list[WorkerProcess] = []
    uri = vhost.host_uri("h1")

    def worker(socket: Path) -> WorkerProcess:
        environment = {
            "FLEET_AMQP_URI": uri,
            "FLEET_HOST": "h1",
            "FLEET_LXD_SOCKET": str(socket),
            "FLEET_STATE_DIR": str(tmp_path / "state"),
            "FLEET_LOG_LEVEL": "debug",
            "FLEET_HEARTBEAT_S": "0.5",
        } | settings
        process = WorkerProcess(environment, tmp_path / f"worker-{len(prepared)}.log")
        prepared.append(process)
        return process

    yield worker
    for process in prepared:
        process.kill()


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


def wait_until_connected(bus: BusSide) -> None:
    """Wait for a heartbeat that says so."""
    bus.until(lambda: any(beat.lxd_connected for beat in bus.of(Heartbeat)))
