"""An operator's proxy device `ssh`, with `bind=instance`, was shown to customers as a port of the
host, taken from the pool, and deleted by `PUT {"forwards": []}`.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from deploy.local import processes
from deploy.local.services import loopback_binds
from tests.support.broker import Vhost
from tests.support.fleet import Fleet, fleet_of
from tests.support.lxd import OwnLxd
from tests.support.polling import wait_until


@pytest.fixture
def first() -> int:
    """Return where twenty free ports begin: none from which the kernel connects."""
    begins = (11000 + secrets.randbelow(210) * 100 for _ in count())
    return next(first for first in begins if all(map(processes.bindable, range(first, first + 20))))


@pytest.fixture
def fleet(own_lxd: OwnLxd, vhost: Vhost, tmp_path: Path, first: int) -> Iterator[Fleet]:
    settings = {
        "FLEET_NAT_ADDRESS": "127.0.0.1",
        "FLEET_NAT_SSH_PORTS": f"{first}-{first + 1}",
        "FLEET_NAT_PORTS": f"{first + 10}-{first + 19}",
    }
    binds = loopback_binds(processes.free_port(), ipv6=False)
    with fleet_of({"h1": own_lxd}, vhost, tmp_path, binds, **settings) as running:
        yield running


def operators(first: int) -> dict[str, dict[str, str]]:
    """Return the proxies of an operator: none of them is a port that was given out."""
    inside = {"listen": f"tcp:127.0.0.1:{first}", "connect": "tcp:127.0.0.1:22"}
    many = {"listen": f"tcp:127.0.0.1:{first + 10}-{first + 11}", "connect": "tcp:127.0.0.1:80"}
    haproxy = {"listen": f"tcp:127.0.0.1:{first + 12}", "connect": "tcp:127.0.0.1:80"}
    devices = {
        "ssh": inside | {"bind": "instance"},
        "forward-0": many,
        "forward-1": haproxy | {"proxy_protocol": "true"},
    }
    return {name: {"type": "proxy", **device} for name, device in devices.items()}


def devices(fleet: Fleet, name: str) -> dict[str, dict[str, str]]:
    return dict(fleet.on["h1"].lxd.call("GET", f"/1.0/instances/{name}")["devices"])


def ports(fleet: Fleet, name: str) -> dict[str, Any]:
    path = f"/api/v1/vms/{name}/ports"
    wait_until(lambda: fleet.http.get(path).is_success, within_s=10)
    return dict(fleet.http.get(path).json()["data"])


def put(fleet: Fleet, name: str, *forwards: dict[str, object]) -> dict[str, Any]:
    answer = fleet.http.put(f"/api/v1/vms/{name}/ports", json={"forwards": forwards})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["data"])


def test_an_operators_proxies_are_neither_given_out_nor_taken_away(
    fleet: Fleet, first: int
) -> None:
    theirs = operators(first)
    name = fleet.on["h1"].launch("web", devices=theirs)

    shown = ports(fleet, name)
    vm = fleet.http.get(f"/api/v1/vms/{name}").json()["data"]
    given = put(fleet, name, {"connect": 22}, {"connect": 8080})
    with socket.create_connection(("127.0.0.1", first + 13), timeout=5):
        pass
    between = devices(fleet, name)
    none = put(fleet, name)

    assert (shown["ssh"], shown["forwards"], vm["sshPort"], vm["natPorts"]) == (
        None,
        [],
        None,
        None,
    )
    assert {each["device"]: each["options"] for each in shown["others"]} == {
        "ssh": {"bind": "instance"},
        "forward-0": {},
        "forward-1": {"proxy_protocol": "true"},
    }
    # What listens inside holds no port of the pool, what listens on the host does.
    assert given["ssh"] == first
    assert [each["listen"] for each in given["forwards"]] == [first, first + 13]
    assert between.items() >= theirs.items()
    assert len(between) == 5
    assert (none["forwards"], devices(fleet, name)) == ([], theirs)


def test_a_port_that_something_else_listens_on_is_not_given_out(fleet: Fleet, first: int) -> None:
    name = fleet.on["h1"].create("web")
    ports(fleet, name)

    with socket.create_server(("127.0.0.1", first)):
        given = put(fleet, name, {"connect": 22})

    assert given["ssh"] == first + 1
