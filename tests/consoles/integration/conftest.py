"""A gateway without its HTTP side, a real worker, and a running instance on a real LXD.

A module's tests share the broker's virtual host, the worker and the instance.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from services.gateway import wiring
from services.gateway.clock import Clock
from services.gateway.consoles import Console
from services.gateway.fleet.views import Target
from services.gateway.operations.command import Caller
from services.gateway.service import running
from services.gateway.settings import HttpSettings, Settings
from services.gateway.wiring import Parts
from shared.contracts.consoles import ConsoleType
from shared.contracts.errors import InstanceNotFound, TemporaryError
from shared.platform.bus import topology
from tests.support.broker import Broker, Vhost, fresh_vhost
from tests.support.lxd import Instances, Lxd, instances_on
from tests.support.polling import eventually
from tests.support.worker_process import WorkerProcess

HOST = "h1"
MOST_CONSOLES = 3

# Names a console of the instance.
ConsoleOf = Callable[..., Console]


@pytest.fixture(scope="module")
def shared_vhost(broker: Broker) -> Iterator[Vhost]:
    with fresh_vhost(broker) as vhost:
        topology.declare(vhost.uri)
        yield vhost


@pytest.fixture(scope="module")
def worker(
    shared_vhost: Vhost, lxd: Lxd, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[WorkerProcess]:
    """A worker that was started and not awaited."""
    with worker_on(lxd.socket, shared_vhost, tmp_path_factory.mktemp("worker")) as process:
        yield process


@contextmanager
def worker_on(socket: Path, vhost: Vhost, folder: Path) -> Iterator[WorkerProcess]:
    """Run a worker of an LXD's socket."""
    environment = {
        "FLEET_AMQP_URI": vhost.host_uri(HOST),
        "FLEET_HOST": HOST,
        "FLEET_LXD_SOCKET": str(socket),
        "FLEET_STATE_DIR": str(folder),
        "FLEET_LOG_LEVEL": "debug",
        "FLEET_HEARTBEAT_S": "0.5",
        "FLEET_MAX_CONSOLES": str(MOST_CONSOLES),
    }
    process = WorkerProcess(environment, folder / "worker.log")
    process.start()
    try:
        yield process
    finally:
        process.kill()


@pytest.fixture(scope="module")
def mine(lxd: Lxd) -> Iterator[Instances]:
    with instances_on(lxd) as instances:
        yield instances


@pytest.fixture(scope="module")
def shell(mine: Instances) -> str:
    """The name of a running instance."""
    return mine.launch("shell")


@pytest.fixture
async def gateway(
    shared_vhost: Vhost, worker: WorkerProcess, tmp_path: Path
) -> AsyncIterator[Parts]:
    """A gateway that sees the worker's LXD."""
    async with gateway_of(shared_vhost, tmp_path) as parts:
        yield parts


@asynccontextmanager
async def gateway_of(vhost: Vhost, folder: Path) -> AsyncIterator[Parts]:
    """Run a gateway; it sees the host's LXD, and its worker takes calls."""
    settings = Settings(
        amqp_uri=vhost.uri,
        database_url=f"sqlite:///{folder}/gateway.db",
        http=HttpSettings((("127.0.0.1", 0),), None, (), ()),
        ready_after_s=0.5,
    )
    clock = Clock(monotonic=time.monotonic, wall=time.time)
    parts = wiring.build(settings, clock)
    async with running(parts, settings, clock):
        await eventually(lambda: parts.fleet.ready and _sees_lxd(parts), within_s=20)
        await eventually(lambda: _takes_calls(parts), within_s=20)
        yield parts


@pytest.fixture
def console_of(lxd: Lxd) -> ConsoleOf:
    """Names consoles of instances."""

    def console(name: str, kind: ConsoleType = ConsoleType.EXEC, uuid: str = "") -> Console:
        return console_on(lxd, name, kind, uuid)

    return console


def console_on(lxd: Lxd, name: str, kind: ConsoleType, uuid: str = "") -> Console:
    """Name a console of an instance of this daemon."""
    config = lxd.call("GET", f"/1.0/instances/{name}")["config"]
    target = Target(HOST, "default", name, uuid or config.get("volatile.uuid", ""))
    return Console(f"vm-{target.uuid}", target, kind, Caller("admin", "192.0.2.7"))


def _sees_lxd(parts: Parts) -> bool:
    return any(host.lxd_connected for host in parts.fleet.hosts())


async def _takes_calls(parts: Parts) -> bool:
    # A worker says that it is there before its queue of calls is.
    try:
        await parts.snapshots.list(Target(HOST, "default", "nobody", ""))
    except InstanceNotFound:
        return True
    except TemporaryError:
        return False
    return False
