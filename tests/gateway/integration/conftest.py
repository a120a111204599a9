import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.gateway import wiring
from services.gateway.clock import Clock
from services.gateway.service import running
from services.gateway.settings import HttpSettings, Settings
from services.gateway.wiring import Parts
from shared.contracts.operations import Operation, State
from tests.support.broker import Vhost
from tests.support.builders import an_instance
from tests.support.gateway_process import Process
from tests.support.host import WireHost
from tests.support.polling import eventually

CLOCK = Clock(monotonic=time.monotonic, wall=time.time)

Start = Callable[..., Awaitable[Parts]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """A function that starts a gateway, without its HTTP side, for the rest of the test.

    All of a test share one database, a SQLite file unless it names another.
    """
    async with AsyncExitStack() as gateways:

        async def started(amqp_uri: str, database_url: str = "") -> Parts:
            settings = Settings(
                amqp_uri=amqp_uri,
                database_url=database_url or f"sqlite:///{tmp_path}/gateway.db",
                http=HttpSettings((("127.0.0.1", 0),), None, (), ()),
                call_timeout_s=1.0,
                ready_after_s=0.5,
            )
            parts = wiring.build(settings, CLOCK)
            await gateways.enter_async_context(running(parts, settings, CLOCK))
            return parts

        yield started


@pytest.fixture
async def gateway(start: Start, vhost: Vhost) -> Parts:
    """A gateway that is connected to a broker without hosts."""
    parts = await start(vhost.uri)
    await eventually(lambda: parts.bus.connected)
    return parts


def has_read(gateway: Parts, *hosts: str) -> bool:
    """Return whether the gateway shows hosts, `h1` unless others are named, and may call them."""
    fleet = gateway.fleet
    return fleet.ready and all(
        fleet.is_reachable(host) and not fleet.needs_inventory(host) for host in hosts or ["h1"]
    )


async def has_accepted(gateway: Parts, operation: Operation) -> bool:
    """Return whether a worker has accepted an operation, as far as the gateway knows."""
    return (await gateway.operations.get(operation.operation_id)).state is State.ACCEPTED


@pytest.fixture
async def hosts(gateway: Parts, vhost: Vhost) -> AsyncIterator[tuple[WireHost, WireHost]]:
    """Hosts h1 with `web` and h2 with `db`, with their own credentials, in the gateway's view."""
    async with (
        WireHost(vhost.host_uri("h1"), "h1", an_instance("web")) as first,
        WireHost(vhost.host_uri("h2"), "h2", an_instance("db")) as neighbour,
    ):
        await eventually(lambda: gateway.fleet.ready and len(gateway.fleet.instances()) == 2)
        yield first, neighbour


@pytest.fixture
def start_process(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """A function that starts a gateway as a process, which is killed after the test."""
    started: list[Process] = []

    def process(under: Sequence[str] = (), **more: str) -> Process:
        started.append(Process(tmp_path, under, **more))
        return started[-1]

    yield process
    for one in started:
        one.kill()


@pytest.fixture(scope="module")
def process_settings() -> dict[str, str]:
    """What the process that a module's tests share is told; a module may have its own."""
    return {}


@pytest.fixture(scope="module")
def gateway_process(
    process_settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Process]:
    """A gateway as a process, without a broker, for a module's tests, which leave it unharmed."""
    process = Process(tmp_path_factory.mktemp("gateway"), **process_settings)
    try:
        process.wait_until_ready()
        yield process
    finally:
        process.kill()
