"""Which address a caller has whose request comes through a reverse proxy, or says so."""

from collections.abc import Callable

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support.gateway_process import Process

pytestmark = pytest.mark.attack

Start = Callable[..., Process]

TOKEN = "0123456789abcdef" * 2
OPEN = {"FLEET_TOKEN": TOKEN, "FLEET_OPEN_NETWORKS": "10.0.0.0/8"}
THROUGH = {**OPEN, "FLEET_TRUSTED_PROXIES": "127.0.0.0/8"}


def status(gateway: Process, **headers: str) -> int:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return gateway.get("/api/hosts", headers=named).status_code


def websocket_status(gateway: Process, **headers: str) -> int:
    """Return the status of the hand-shake; 101: let in."""
    address = f"ws://127.0.0.1:{gateway.ports[0]}/ws/monitor"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with connect(address, additional_headers=named):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def test_nobody_gets_into_an_open_network_by_a_header(start_process: Start) -> None:
    gateway = start_process(**OPEN)
    gateway.wait_until_ready()

    assert status(gateway, X_Forwarded_For="10.1.2.3") == 401
    assert status(gateway, Forwarded="for=10.1.2.3", X_Real_IP="10.1.2.3") == 401
    assert websocket_status(gateway, X_Forwarded_For="10.1.2.3") == 401


def test_a_trusted_proxy_says_where_its_client_is(start_process: Start) -> None:
    gateway = start_process(**THROUGH)
    gateway.wait_until_ready()

    assert status(gateway, X_Forwarded_For="10.1.2.3") == 200
    assert status(gateway, X_Forwarded_For="10.1.2.3, 192.0.2.9") == 401
    assert websocket_status(gateway, X_Forwarded_For="10.1.2.3") == 101
    assert websocket_status(gateway, X_Forwarded_For="192.0.2.9") == 401


def test_what_comes_through_a_proxy_is_never_a_loopback_caller(start_process: Start) -> None:
    gateway = start_process(FLEET_TRUSTED_PROXIES="127.0.0.1")
    gateway.wait_until_ready()

    assert status(gateway) == 401
    assert status(gateway, X_Forwarded_For="127.0.0.1") == 401
    assert status(gateway, X_Forwarded_For="127.0.0.2") == 401
    assert websocket_status(gateway, X_Forwarded_For="127.0.0.1") == 401


def test_an_unknown_proxy_on_this_machine_opens_nothing(start_process: Start) -> None:
    gateway = start_process()
    gateway.wait_until_ready()

    assert status(gateway) == 200
    for header in ("X-Forwarded-For", "Forwarded", "X-Real-IP", "Via"):
        assert status(gateway, **{header: "192.0.2.9"}) == 401, header


def test_the_address_in_the_log_is_the_clients(start_process: Start) -> None:
    gateway = start_process(**THROUGH)
    gateway.wait_until_ready()

    status(gateway, X_Forwarded_For="10.1.2.3")
    status(gateway, X_Forwarded_For="never an address")

    assert '"address": "10.1.2.3"' in gateway.log.read_text()
    assert "never an address" not in gateway.log.read_text()
