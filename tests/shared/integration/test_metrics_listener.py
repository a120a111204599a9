"""The own `/metrics` of worker, sampler and snapshots service: real processes, a real broker."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.local import credentials, processes
from deploy.local.services import LocalHost, services
from shared.platform.bus import topology
from tests.lxd_double import DoubledInstance, LxdDouble
from tests.support.broker import Vhost
from tests.support.daemons import ROOT
from tests.support.fleet import Process
from tests.support.polling import wait_until
from tests.support.prometheus import complaints

NOBODY = "amqp://nobody@127.0.0.1:1/"
PATIENCE_S = 15.0


@dataclass(frozen=True, slots=True)
class Scraped:
    """A process that was started, and where its metrics should be."""

    process: Process
    port: int

    def text(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=5).text

    def tells(self, series: str, value: float) -> bool:
        """Tell whether the series, named with its labels' values, has this value before long."""

        def tells() -> bool:
            return processes.listens(self.port) and self._values().get(series, -1.0) >= value

        return wait_until(tells, within_s=PATIENCE_S)

    def _values(self) -> dict[str, float]:
        return {
            " ".join([sample.name, *sample.labels.values()]): sample.value
            for family in text_string_to_metric_families(self.text())
            for sample in family.samples
        }


Start = Callable[..., Scraped]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a service of host h1 by its name, between a broker and LXD's double."""
    with ExitStack() as stack:
        double = stack.enter_context(LxdDouble(tmp_path / "lxd.socket"))
        double.add(DoubledInstance("web", status="Running"))

        def start(name: str, uri: str, **env: str) -> Scraped:
            port = processes.free_port()
            names = (credentials.CENTRAL, credentials.SNAPSHOTS, credentials.host_user("h1"))
            users = dict.fromkeys(names, uri)
            files = credentials.write_uris(tmp_path, users)
            paths = {"PYTHONPATH": str(ROOT)}
            listed = services([LocalHost("h1", double.socket)], tmp_path, files, paths)
            (service,) = (each for each in listed if each.name == name)
            own = {"FLEET_METRICS_BIND": f"127.0.0.1:{port}"} | env
            process = Process(replace(service, env=service.env | own), tmp_path / f"{name}.log")
            stack.callback(process.kill)
            return Scraped(process, port)

        yield start


@pytest.fixture
def uri(vhost: Vhost) -> str:
    """The broker as host h1 may use it."""
    topology.declare(vhost.uri)
    return vhost.host_uri("h1")


def test_the_worker_tells_what_it_is_connected_to(start: Start, uri: str) -> None:
    worker = start("worker-h1", uri)

    assert worker.tells("lxdfleet_broker_connected", 1)
    assert worker.tells("lxdfleet_worker_lxd_connected", 1)
    assert "lxdfleet_broker_reconnects_total 0.0" in worker.text()
    assert "lxdfleet_worker_journal_length 0.0" in worker.text()


def test_the_sampler_tells_what_became_of_its_samples(start: Start, uri: str) -> None:
    sampler = start("sampler-h1", uri, FLEET_SAMPLE_INTERVAL_S="1")

    assert sampler.tells("lxdfleet_sampler_samples_total published", 2)
    assert sampler.tells("lxdfleet_sampler_instances", 1)
    assert sampler.tells("lxdfleet_sampler_round_seconds_count", 2)


def test_the_snapshots_service_tells_whether_it_leads(start: Start, vhost: Vhost) -> None:
    topology.declare(vhost.uri)
    snapshots = start("snapshots", vhost.snapshots_uri)

    assert snapshots.tells("lxdfleet_snapshots_leads", 1)
    assert snapshots.tells("lxdfleet_broker_connected", 1)
    assert 'lxdfleet_snapshots_plans_sent_total{outcome="sent"} 0.0' in snapshots.text()
    assert complaints(snapshots.text()) == set()


@pytest.mark.parametrize("name", ["worker-h1", "sampler-h1"])
def test_promtool_objects_to_nothing(start: Start, uri: str, name: str) -> None:
    service = start(name, uri)
    assert service.tells("lxdfleet_broker_connected", 1)

    assert complaints(service.text()) == set()


@pytest.mark.parametrize("name", ["worker-h1", "sampler-h1"])
def test_metrics_are_told_while_the_broker_is_away(start: Start, name: str) -> None:
    service = start(name, NOBODY)

    assert service.tells("lxdfleet_broker_connected", 0)


@pytest.mark.parametrize("name", ["worker-h1", "sampler-h1"])
def test_a_peer_that_says_nothing_keeps_nobody_waiting(start: Start, name: str) -> None:
    service = start(name, NOBODY)
    assert service.tells("lxdfleet_broker_connected", 0)

    with socket.create_connection(("127.0.0.1", service.port)):
        assert "lxdfleet_broker_connected" in service.text()


@pytest.mark.parametrize("name", ["worker-h1", "sampler-h1"])
def test_a_service_that_was_not_told_to_listens_nowhere(start: Start, uri: str, name: str) -> None:
    service = start(name, uri, FLEET_METRICS_BIND="")
    log = service.process.log
    wait_until(lambda: "connected to the broker" in log.read_text(), within_s=PATIENCE_S)

    sockets = psutil.Process(service.process.pid).net_connections("inet")

    assert [each.status for each in sockets if each.status == psutil.CONN_LISTEN] == []


@pytest.mark.parametrize("name", ["worker-h1", "sampler-h1"])
def test_an_address_that_is_taken_ends_the_start_with_its_reason(start: Start, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        service = start(name, NOBODY, FLEET_METRICS_BIND=address)

        wait_until(lambda: not service.process.runs(), within_s=PATIENCE_S)
    assert service.process.log.read_text() == (
        f"FLEET_METRICS_BIND: {address}: Address already in use\n"
    )
