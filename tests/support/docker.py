"""Docker for tests: a daemon, and base images that come from no registry."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local import processes
from tests.support.daemons import ROOT, missing

MARK = "LXDFLEET_DOCKERD"  # in the environment of a daemon that we have started
LABEL = "lxdfleet.test"
START_TIMEOUT_S = 30.0

# Kept from run to run: making it takes a minute. `make compose-test` makes it again if it is gone.
BASE = ROOT / "var" / "compose-test" / "bookworm.tar"

# What lets apt-get and pip work in a build as they do on this machine.
_OF_THIS_MACHINE = (
    *Path("/etc/apt/apt.conf.d").glob("*"),
    Path("/etc/ssl/certs/ca-certificates.crt"),
)

# Debian's package would start the broker in the build.
_START_NOTHING = "#!/bin/sh\nexit 101\n"

# Not the command in /usr/sbin: it hands no signal on, and Docker would kill it after a minute.
_BROKER = """\
ARG BASE_IMAGE
FROM ${BASE_IMAGE}
RUN apt-get update && apt-get install --yes --no-install-recommends rabbitmq-server
USER rabbitmq
CMD ["/usr/lib/rabbitmq/bin/rabbitmq-server"]
"""


@dataclass(frozen=True, slots=True)
class Docker:
    """A daemon that answers; `env` leads its client there."""

    env: Mapping[str, str]

    def run(self, *arguments: str, text: str = "", **env: str) -> str:
        """Return what the client prints; fail the test when it fails."""
        return run(["docker", *arguments], {**self.env, **env}, text)

    def inspect(self, container: str) -> dict[str, Any]:
        """Return all that Docker tells of a container."""
        (found,) = json.loads(self.run("inspect", container))
        return dict(found)

    def size_mb(self, image: str) -> float:
        """Return how much an image holds, its base included."""
        return int(self.run("image", "inspect", "--format={{.Size}}", image)) / 1e6


def run(command: Sequence[str], env: Mapping[str, str], text: str = "") -> str:
    """Return what a program prints; fail the test with all it said when it fails."""
    done = subprocess.run(
        command, env=env, cwd=ROOT, input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def answers(*command: str, env: Mapping[str, str] = os.environ) -> bool:
    """Tell whether a program is there and ends well."""
    if shutil.which(command[0]) is None:
        return False
    return subprocess.run(command, env=env, capture_output=True, check=False).returncode == 0


@contextmanager
def daemon() -> Iterator[Docker]:
    """Use the machine's daemon if it answers; else run one of our own, and remove it afterwards."""
    if answers("docker", "version"):
        yield Docker(os.environ)
        return
    if os.geteuid() != 0 or shutil.which("dockerd") is None:
        missing("no Docker answers, and only root can start an installed one")
    with (
        tempfile.TemporaryDirectory(prefix="lxdfleet-docker-") as directory,
        _own_daemon(Path(directory)) as own,
    ):
        yield own


@contextmanager
def _own_daemon(directory: Path) -> Iterator[Docker]:
    address = f"unix://{directory / 'docker.sock'}"
    env = os.environ | {"DOCKER_HOST": address, MARK: str(directory)}
    pid = processes.spawn(_dockerd(directory, address), env, directory / "dockerd.log")
    try:
        if not processes.wait_until(
            lambda: answers("docker", "version", env=env), timeout_s=START_TIMEOUT_S
        ):
            raise processes.DidNotStart((directory / "dockerd.log").read_text())
        yield Docker(env)
    finally:
        processes.end(pid, f"{MARK}={directory}", timeout_s=60.0)
        processes.unmount_below(directory)


def _dockerd(directory: Path, address: str) -> list[str]:
    """Return a daemon's command that leaves the machine's bridges, routes and firewall alone."""
    places = {name: directory / name for name in ("data-root", "exec-root", "pidfile")}
    return [
        "dockerd",
        f"--host={address}",
        *(f"--{option}={place}" for option, place in places.items()),
        "--bridge=none",
        "--iptables=false",
        "--ip-forward=false",
        "--ip-masq=false",
    ]


@contextmanager
def images(docker: Docker) -> Iterator[Mapping[str, str]]:
    """Make the base images; give the variables that let Compose use them. Removes all afterwards.

    The images that Compose builds get names that go with them.
    """
    name = f"lxdfleet-test-{secrets.token_hex(3)}"
    python, broker = f"{name}-base", f"{name}-broker"
    try:
        docker.run("import", f"--change=LABEL {LABEL}={name}", str(base()), python)
        build = ("build", "--network=host", f"--build-arg=BASE_IMAGE={python}", f"--tag={broker}")
        docker.run(*build, "-", text=_BROKER, DOCKER_BUILDKIT="0")
        yield {
            "FLEET_IMAGE": name,
            "FLEET_PYTHON_IMAGE": python,
            "FLEET_BROKER_IMAGE": broker,
            "FLEET_BUILD_NETWORK": "host",
        }
    finally:
        _remove(docker, name)


def _remove(docker: Docker, name: str) -> None:
    """Remove the images and what was left of building them: all inherit the base image's label."""
    docker.run("image", "prune", "--all", "--force", f"--filter=label={LABEL}={name}")
    for image in docker.run("image", "ls", "--quiet", f"--filter=label={LABEL}={name}").split():
        docker.run("image", "rm", "--force", image)


def base() -> Path:
    """Return Debian with Python as an archive; make it unless it was made before."""
    with processes.file_lock(BASE.with_suffix(".lock")):
        if not BASE.exists():
            with tempfile.TemporaryDirectory(prefix="lxdfleet-base-") as directory:
                _bootstrap(Path(directory))
    return BASE


def _bootstrap(root: Path) -> None:
    packages = "--include=ca-certificates,python3,python3-venv"
    run(["debootstrap", "--variant=minbase", packages, "bookworm", str(root)], os.environ)
    for file in _OF_THIS_MACHINE:
        shutil.copy(file, root / file.relative_to("/"))
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text(_START_NOTHING)
    policy.chmod(0o755)
    shutil.rmtree(root / "var/lib/apt/lists")
    run(["chroot", str(root), "apt-get", "clean"], os.environ)
    unfinished = BASE.with_suffix(".new")
    run(["tar", "--directory", str(root), "--create", "--file", str(unfinished), "."], os.environ)
    unfinished.rename(BASE)
