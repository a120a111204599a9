from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.broker import Vhost
from tests.support.snapshots import (
    PlanHost,
    PolicyCaller,
    ServiceProcess,
    StartHost,
    StartService,
    processes,
)


@pytest.fixture
def start_service(vhost: Vhost, tmp_path: Path) -> Iterator[StartService]:
    with processes(vhost, tmp_path) as start:
        yield start


@pytest.fixture
def start_host(vhost: Vhost) -> Iterator[StartHost]:
    started: list[PlanHost] = []

    def start(host: str = "h1", *, trusted: bool = True) -> PlanHost:
        new = PlanHost(vhost, host, trusted=trusted)
        new.start()
        started.append(new)
        return new

    yield start
    for host in started:
        host.stop()


@pytest.fixture
def service(start_service: StartService) -> ServiceProcess:
    return start_service()


@pytest.fixture
def caller(vhost: Vhost, service: ServiceProcess) -> Iterator[PolicyCaller]:
    with contextlib.closing(PolicyCaller(vhost.uri)) as caller:
        caller.wait_until_it_answers(service)
        yield caller
