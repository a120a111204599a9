"""The fleet of docker-compose.yml for tests, beside whatever else runs on the machine."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from deploy.local import processes
from tests.support import docker
from tests.support.daemons import missing
from tests.support.docker import Docker
from tests.support.lxd import Instances, OwnLxd, instances_on

HOST = "compose"
# Compose 1 and 2, as they are called; Debian 13 has the second under the first one's name, too.
PROGRAMS = ("docker-compose", "docker compose")


@dataclass(frozen=True, slots=True)
class Composed:
    """The running fleet of one host: how Compose is called for it, and where it is reached."""

    docker: Docker
    program: list[str]
    env: Mapping[str, str]
    http: httpx.Client
    lxd: OwnLxd
    instances: Instances

    def compose(self, *arguments: str) -> str:
        """Return what Compose prints."""
        return docker.run([*self.program, *arguments], self.env)

    def container(self, service: str) -> dict[str, Any]:
        """Return all that Docker tells of a service's container, which must run."""
        return self.docker.inspect(self.compose("ps", "--quiet", service).strip())

    def pid(self, service: str) -> int:
        """Return the number of the service's process."""
        return int(self.container(service)["State"]["Pid"])

    def health(self, service: str) -> str:
        """Return what the service's health check found: `starting`, `healthy`, `unhealthy`."""
        return str(self.container(service)["State"]["Health"]["Status"])

    def passwords(self) -> set[str]:
        """Return all passwords that were drawn for it."""
        folder = Path(self.env["FLEET_SECRETS"], "passwords")
        return {file.read_text() for file in folder.iterdir()}


def program(name: str) -> list[str]:
    """Return how this Compose is called; leave the test out where it is not installed."""
    return name.split() if _is_installed(name) else missing(f"{name} is not installed")


def any_program() -> list[str]:
    """Return how the first Compose that is installed is called; without any, leave the test out."""
    found = next(filter(_is_installed, PROGRAMS), None)
    return found.split() if found else missing("no Compose is installed")


def _is_installed(name: str) -> bool:
    return docker.answers(*name.split(), "version")


@contextmanager
def composed(
    running: Docker, command: list[str], env: Mapping[str, str], lxd: OwnLxd, folder: Path
) -> Iterator[Composed]:
    """Run the fleet over this LXD, its secrets in the folder; remove it afterwards.

    `env` names the images, which have to be there.
    """
    port = processes.free_port()
    env = {**env, **_apart_from_others(folder, port, lxd)}
    try:
        docker.run([*command, "up", "--detach", "--no-build"], env)
        with instances_on(lxd) as instances, _client(port, folder / "gateway/token") as http:
            yield Composed(running, command, env, http, lxd, instances)
    finally:
        docker.run([*command, "down", "--volumes"], env)


def _apart_from_others(folder: Path, port: int, lxd: OwnLxd) -> dict[str, str]:
    return {
        "COMPOSE_PROJECT_NAME": f"fleet{secrets.token_hex(3)}",
        "FLEET_SECRETS": str(folder),
        "FLEET_BROKER_PORT": str(processes.free_port()),
        "FLEET_HTTP_PUBLISH": f"127.0.0.1:{port}",
        "FLEET_LXD_DIR": str(lxd.directory),
        "FLEET_HOST": HOST,
        "FLEET_SAMPLE_INTERVAL_S": "1",
    }


def _client(port: int, token: Path) -> httpx.Client:
    authorization = {"Authorization": f"Bearer {token.read_text()}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=authorization, timeout=60)
