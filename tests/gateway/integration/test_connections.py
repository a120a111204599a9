"""How many connections a real gateway has open at once."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support.gateway_process import Process
from tests.support.polling import wait_until
from tests.support.raw_http import CLOSED, connected

Start = Callable[..., Process]


@contextmanager
def several(gateway: Process, number: int) -> Iterator[list[bytes]]:
    """Connect that often; yield what each was told unasked."""
    with ExitStack() as clients:
        opened = [clients.enter_context(connected(gateway.ports[0])) for _ in range(number)]
        yield [_unasked(client) for client in opened]


def _unasked(client: socket.socket) -> bytes:
    client.settimeout(0.05)
    try:
        return client.recv(2**16)
    except TimeoutError:
        return b"nothing"


def wait_until_alone(gateway: Process) -> None:
    """Wait until the connections that somebody has closed are closed here too."""
    process = psutil.Process(gateway.popen.pid)

    def is_alone() -> bool:
        return not any(each.raddr for each in process.net_connections("tcp"))

    wait_until(is_alone, within_s=5)


def lines(gateway: Process, text: str) -> int:
    return gateway.log.read_text().count(text)


@pytest.mark.attack
def test_beyond_the_bound_a_connection_is_told_to_come_back(start_process: Start) -> None:
    gateway = start_process(FLEET_MAX_CONNECTIONS="20")
    gateway.wait_until_ready()
    wait_until_alone(gateway)

    with several(gateway, 120) as told:
        refused = [each for each in told if each != b"nothing"]
        assert len(refused) == 100
        assert all(each.startswith(b"HTTP/1.1 503") for each in refused)
        assert all(b"retry-after: 1\r\n" in each for each in refused)

    wait_until(lambda: lines(gateway, "connections refused") > 0, within_s=3)
    # It took well below ten seconds.
    assert lines(gateway, "connections refused") < 10
    assert lines(gateway, "Traceback") == 0
    wait_until_alone(gateway)
    assert gateway.get("/livez").status_code == 200
    assert 'connections_refused_total{limit="total"} 100' in gateway.get("/metrics").text


@pytest.mark.attack
def test_without_descriptors_it_refuses_and_goes_on(start_process: Start) -> None:
    gateway = start_process(FLEET_MAX_CONNECTIONS="4000")
    gateway.wait_until_ready()
    wait_until_alone(gateway)
    process = psutil.Process(gateway.popen.pid)
    process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + 10, 4096))
    before, logged = process.cpu_times().user, lines(gateway, "\n")

    with several(gateway, 200) as told:
        assert told.count(b"nothing") <= 10
        assert {each[:12] for each in told if each != b"nothing"} <= {b"HTTP/1.1 503", CLOSED}
        used_s = process.cpu_times().user - before

    assert used_s < 3
    assert lines(gateway, "\n") - logged < 50
    wait_until_alone(gateway)
    assert gateway.get("/livez").status_code == 200


def test_descriptors_are_there_for_all_that_may_connect(start_process: Start) -> None:
    gateway = start_process(["prlimit", "--nofile=256:"], FLEET_MAX_CONNECTIONS="3000")
    gateway.wait_until_ready()

    soft, _ = psutil.Process(gateway.popen.pid).rlimit(psutil.RLIMIT_NOFILE)

    assert soft >= 3000


@pytest.mark.attack
def test_websockets_have_a_bound_of_their_own(start_process: Start) -> None:
    gateway = start_process(FLEET_MAX_WEBSOCKETS="3")
    gateway.wait_until_ready()
    address = f"ws://127.0.0.1:{gateway.ports[0]}/ws/monitor"

    with ExitStack() as viewers:
        for _ in range(3):
            viewers.enter_context(connect(address))
        try:
            viewers.enter_context(connect(address))
        except InvalidStatus as refused:
            response = refused.response

    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    with connect(address) as viewer:
        assert viewer.recv(timeout=5)
