"""The fleet that docker-compose.yml describes, built, started and driven."""

import json
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from deploy.local.busybox_image import ALIAS
from tests.support import docker as docker_for_tests
from tests.support.composed import HOST, PROGRAMS, Composed, program
from tests.support.polling import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

SERVICES = {"broker", "gateway", "snapshots", "worker", "sampler"}


def shown(fleet: Composed, name: str) -> dict[str, Any]:
    """Return the instance as the API shows it; nothing while it does not know it."""
    answer = fleet.http.get(f"/api/instances/{name}")
    return dict(answer.json()) if answer.is_success else {}


def becomes(fleet: Composed, name: str, status: str) -> bool:
    return wait_until(
        lambda: shown(fleet, name).get("info", {}).get("status") == status, within_s=10
    )


def is_sampled(fleet: Composed, name: str) -> bool:
    resources = shown(fleet, name)["resources"]
    return resources["memory_used"] > 0 and "cpu_percent" not in resources["unknown"]


def sources(fleet: Composed) -> list[str]:
    """Return who instances were measured by, one after another."""
    return re.findall(r"the source of samples is (\w+)", fleet.compose("logs", "sampler"))


def templates_there(fleet: Composed) -> set[str]:
    """Return the ids of the templates whose image a host has."""
    answer = fleet.http.get("/api/v1/templates").raise_for_status()
    return {each["id"] for each in answer.json()["data"]["templates"] if each["hosts"]}


def grows(fleet: Composed, service: str, health: str) -> bool:
    return wait_until(lambda: fleet.health(service) == health, within_s=90, every_s=2)


def user_of(pid: int) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


@pytest.mark.parametrize("name", PROGRAMS)
def test_prometheus_and_grafana_are_there_when_asked_for(name: str) -> None:
    command = [*program(name), "--profile", "observe", "config", "--services"]

    listed = docker_for_tests.run(command, os.environ)

    assert set(listed.split()) == SERVICES | {"secrets", "prometheus", "grafana"}


def test_all_services_become_healthy(composed: Composed) -> None:
    healthy = {service for service in SERVICES if grows(composed, service, "healthy")}

    assert healthy == SERVICES, composed.compose("logs")


def test_an_instance_is_seen_sampled_stopped_and_started(composed: Composed) -> None:
    name = composed.instances.launch("driven")

    assert becomes(composed, name, "Running")
    assert shown(composed, name)["info"]["host"] == HOST
    wait_until(lambda: is_sampled(composed, name), within_s=10)
    assert sources(composed) == ["cgroup"]

    stopped = composed.http.post(f"/api/instances/{name}/stop")

    assert stopped.json()["success"] is True
    assert composed.instances.status(name) == "Stopped"

    started = composed.http.post(f"/api/instances/{name}/start")

    assert started.json()["success"] is True
    assert composed.instances.status(name) == "Running"


def test_an_instance_is_created_and_typed_to(composed: Composed) -> None:
    wait_until(lambda: ALIAS in templates_there(composed), within_s=20)
    name = composed.instances.name("new")
    wanted = {"name": name, "template": ALIAS, "cpu": 1, "memory": 64, "disk": 1, "autoStart": True}

    vm = composed.http.post("/api/v1/vms", json=wanted).raise_for_status().json()["data"]

    ended = composed.http.get(f"/api/operations/{vm['operation']}?wait=60", timeout=70).json()
    assert ended["state"] == "done", ended
    assert becomes(composed, name, "Running")
    way = composed.http.get(f"/api/v1/vms/{vm['id']}/console").raise_for_status().json()["data"]
    with connect(way["url"]) as socket:
        socket.send(b"echo $((6 * 7))\n")
        screen = b""
        while b"\n42" not in screen:
            screen += socket.recv(timeout=20, decode=False)


def test_without_the_token_nothing_is_told(composed: Composed) -> None:
    answer = composed.http.get("/api/instances", headers={"Authorization": ""})

    assert answer.status_code == 401


def test_no_service_of_ours_runs_as_root(composed: Composed) -> None:
    pids = {service: composed.pid(service) for service in sorted(SERVICES - {"broker"})}

    assert {service: user_of(pid) for service, pid in pids.items()} == dict.fromkeys(pids, 10001)


@pytest.mark.parametrize("service", ["broker", "gateway", "snapshots", "worker", "sampler"])
def test_docker_knows_no_password(composed: Composed, service: str) -> None:
    told = json.dumps(composed.container(service))

    assert not [password for password in composed.passwords() if password in told]


def test_the_passwords_stay_when_the_fleet_is_started_again(composed: Composed) -> None:
    passwords = composed.passwords()

    composed.compose("up", "--detach", "--no-build")

    assert composed.passwords() == passwords
    assert composed.http.get("/api/hosts").is_success


def test_an_lxd_that_was_started_again_is_found(composed: Composed) -> None:
    name = composed.instances.launch("found")
    assert becomes(composed, name, "Running")

    composed.lxd.stop()
    composed.lxd.start()

    wait_until(lambda: composed.http.post(f"/api/instances/{name}/stop").is_success, within_s=20)
    assert composed.instances.status(name) == "Stopped"


def test_services_that_hang_are_unhealthy(composed: Composed) -> None:
    hung = {service: composed.pid(service) for service in ("worker", "sampler", "snapshots")}
    for pid in hung.values():
        os.kill(pid, signal.SIGSTOP)

    unhealthy = [service for service in hung if grows(composed, service, "unhealthy")]

    for pid in hung.values():
        os.kill(pid, signal.SIGCONT)
    assert unhealthy == list(hung)
