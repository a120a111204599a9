"""The gateway as a process: `python -m services.gateway`."""

import signal
import ssl
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from websockets.sync.client import connect

from deploy.local import processes
from shared.contracts.operations import State
from tests.support.broker import Vhost
from tests.support.builders import an_instance
from tests.support.certificates import self_signed
from tests.support.gateway_process import Process
from tests.support.host import WireHost
from tests.support.polling import eventually, wait_until

SETTLES_S = 5.0


Start = Callable[..., Process]


@pytest.fixture
def start(start_process: Start) -> Start:
    return start_process


def test_it_serves_every_address_without_a_broker(start: Start) -> None:
    gateway = start()
    gateway.wait_until_ready()

    assert gateway.get("/api/hosts", port=0).json() == []
    assert gateway.get("/api/health", port=1).json()["status"] == "unhealthy"


def test_an_answer_does_not_wait_for_the_clients_acknowledgement(start: Start) -> None:
    gateway = start()
    gateway.wait_until_ready()

    with httpx.Client(base_url=gateway.url) as client:
        took_s = [client.get("/api/hosts").elapsed.total_seconds() for _ in range(60)]

    # A client acknowledges the first answers of a connection at once, later ones after 40 ms.
    assert statistics.median(took_s[30:]) < 0.03


def test_it_ends_in_order_and_soon_although_a_viewer_is_connected(
    start: Start,
) -> None:
    gateway = start()
    gateway.wait_until_ready()

    with connect(f"ws://127.0.0.1:{gateway.ports[0]}/ws/monitor") as viewer:
        viewer.recv(timeout=5)
        began = time.monotonic()
        gateway.popen.send_signal(signal.SIGTERM)
        status = gateway.popen.wait(timeout=20)

    assert status == 0
    assert time.monotonic() - began < SETTLES_S


def test_it_speaks_tls_with_a_certificate(start: Start, tmp_path: Path) -> None:
    cert, key = self_signed(tmp_path)
    gateway = start(FLEET_TLS_CERT=str(cert), FLEET_TLS_KEY=str(key))
    url = f"https://127.0.0.1:{gateway.ports[0]}/livez"
    trusting = ssl.create_default_context(cafile=cert)

    wait_until(lambda: processes.listens(gateway.ports[0]), within_s=15)

    assert httpx.get(url, verify=trusting).status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)


def test_it_refuses_to_open_itself_without_a_token(start: Start) -> None:
    gateway = start(FLEET_HTTP_BIND="0.0.0.0:8000")

    assert gateway.popen.wait(timeout=20) == 2
    assert "FLEET_TOKEN_FILE" in gateway.log.read_text()


def test_it_says_which_address_is_taken(start: Start) -> None:
    first = start()
    first.wait_until_ready()

    second = start(FLEET_HTTP_BIND=f"127.0.0.1:{first.ports[0]}")

    assert second.popen.wait(timeout=20) == 1
    assert f"127.0.0.1:{first.ports[0]}" in second.log.read_text()


def test_it_says_that_the_database_is_away(start: Start, tmp_path: Path) -> None:
    gateway = start(FLEET_DATABASE_URL=f"postgresql://nobody@/nothing?host={tmp_path}")

    assert gateway.popen.wait(timeout=20) == 1
    assert "database" in gateway.log.read_text()


async def test_a_stop_over_http_reaches_the_worker_and_shows_in_the_list(
    start: Start, vhost: Vhost
) -> None:
    gateway = start(FLEET_AMQP_URI=vhost.uri)
    gateway.wait_until_ready()
    async with (
        httpx.AsyncClient(base_url=gateway.url) as client,
        WireHost(vhost.host_uri("h1"), "h1", an_instance()) as host,
    ):

        async def listed() -> bool:
            return len((await client.get("/api/instances")).json()) == 1

        await eventually(listed)
        host.after = an_instance(revision=9, status="Stopped")
        answer = await client.post("/api/instances/web/stop")
        (instance,) = (await client.get("/api/instances")).json()
        (operation,) = host.journal.journal.values()

    assert answer.json()["success"] is True
    assert instance["status"] == "Stopped"
    assert operation.state is State.DONE
