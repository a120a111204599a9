"""The fleet in containers, started anew for each Compose, and figures about it."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from tests.support import composed as composed_fleet
from tests.support import docker as docker_for_tests
from tests.support.composed import Composed
from tests.support.docker import Docker
from tests.support.lxd import OwnLxd, daemon_of_its_own

IMAGES = ("gateway", "host", "broker", "base")

FIGURES: list[str] = []


@pytest.fixture(scope="session")
def docker() -> Iterator[Docker]:
    with docker_for_tests.daemon() as running:
        yield running


@pytest.fixture(scope="session")
def bases(docker: Docker) -> Iterator[Mapping[str, str]]:
    """The environment that names the base images, and those that are to be built."""
    with timed("making the base images"):
        docker_for_tests.base()
    with docker_for_tests.images(docker) as names:
        yield {**docker.env, **names}


@pytest.fixture(scope="session")
def built(docker: Docker, bases: Mapping[str, str]) -> Mapping[str, str]:
    """The environment that names the services' images; they are there."""
    with timed("building the services' images"):
        docker_for_tests.run([*composed_fleet.any_program(), "build"], bases)
    for image in IMAGES:
        size = docker.size_mb(f"{bases['FLEET_IMAGE']}-{image}")
        FIGURES.append(f"image {image}: {size:.0f} MB")
    return bases


@pytest.fixture(scope="session")
def lxd_of_our_own() -> Iterator[OwnLxd]:
    with daemon_of_its_own() as own:
        yield own


@pytest.fixture(scope="module", params=composed_fleet.PROGRAMS)
def composed(
    request: pytest.FixtureRequest,
    docker: Docker,
    built: Mapping[str, str],
    lxd_of_our_own: OwnLxd,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Composed]:
    program = composed_fleet.program(request.param)
    folder = tmp_path_factory.mktemp("secrets")
    began = time.monotonic()
    with composed_fleet.composed(docker, program, built, lxd_of_our_own, folder) as running:
        FIGURES.append(f"{request.param}: up in {time.monotonic() - began:.1f} s")
        yield running


@contextmanager
def timed(what: str) -> Iterator[None]:
    began = time.monotonic()
    yield
    FIGURES.append(f"{what}: {time.monotonic() - began:.1f} s")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how large the images are, and how long things took."""
    if FIGURES:
        terminalreporter.section("containers")
    for line in FIGURES:
        terminalreporter.write_line(line)
