"""The clients that stand in the document, run as they stand there.

They expect port 8000 and an instance `test1`.
"""

import ast
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.local import processes
from deploy.local.console_page import NODE
from deploy.local.services import PORT, has_ipv6_loopback, loopback_binds
from tests.support.broker import Broker, fresh_vhost
from tests.support.documents import INSTANCES_API, run_example
from tests.support.fleet import Fleet, fleet_of, known_instance
from tests.support.lxd import Lxd, daemon_of_its_own

# Ours for a while: other checkouts on this machine test with the same port.
PORT_LOCK = Path(tempfile.gettempdir()) / f"lxdfleet-port-{PORT}.lock"


@pytest.fixture(scope="module")
def documented_fleet(
    broker: Broker, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Fleet, Lxd]]:
    binds = loopback_binds(PORT, ipv6=has_ipv6_loopback())
    directory = tmp_path_factory.mktemp("fleet")
    with processes.file_lock(PORT_LOCK), daemon_of_its_own() as own, fresh_vhost(broker) as vhost:
        assert processes.bindable(PORT), f"something else listens on port {PORT}"
        with fleet_of({"h1": own}, vhost, directory, binds) as running:
            yield running, own


@pytest.fixture
def fleet(documented_fleet: tuple[Fleet, Lxd]) -> Fleet:
    return documented_fleet[0]


@pytest.fixture
def stopped(documented_fleet: tuple[Fleet, Lxd]) -> Iterator[Lxd]:
    """The LXD that has a stopped `test1`, of which the gateway knows."""
    fleet, lxd = documented_fleet
    with known_instance(fleet, lxd, "test1", description="test1 20001 password123 30000 30025"):
        yield lxd


def status(lxd: Lxd) -> str:
    return str(lxd.call("GET", "/1.0/instances/test1")["status"])


def run(language: str, *command: str) -> str:
    return run_example(INSTANCES_API, language, "测试示例", *command)


def json_values(text: str) -> list[Any]:
    values, rest = [], text
    while rest:
        value, end = json.JSONDecoder().raw_decode(rest)
        values.append(value)
        rest = rest[end:].lstrip()
    return values


def test_the_curl_commands_work(fleet: Fleet, stopped: Lxd) -> None:
    printed = run("bash", "bash", "-e")

    listed, detail, *actions = json_values(printed)
    assert [instance["name"] for instance in listed] == ["test1"]
    assert (detail["ssh_port"], detail["nat_ports"]) == (20001, "30000-30025")
    assert [(action["success"], action["message"]) for action in actions] == [
        (True, "实例 test1 启动成功"),
        (True, "实例 test1 停止成功"),
        (True, "实例 test1 删除成功"),
    ]
    assert stopped.call("GET", "/1.0/instances") == []


def test_the_python_client_works(fleet: Fleet, stopped: Lxd) -> None:
    printed = run("python", sys.executable, "-")

    listed, started = (ast.literal_eval(line) for line in printed.splitlines())
    assert [instance["name"] for instance in listed] == ["test1"]
    assert started == {"success": True, "message": "实例 test1 启动成功", "data": None}
    assert status(stopped) == "Running"


def test_the_javascript_client_works(fleet: Fleet, stopped: Lxd) -> None:
    printed = run("javascript", NODE, "-")

    assert "name: 'test1'" in printed
    assert "success: true" in printed
    assert status(stopped) == "Running"
