"""The composed system: `fleet`, all services as processes over two real LXD hosts.

Host `h1` is the machine's LXD, which others may use, `h2` a daemon of the fleet's own. A module's
tests share a fleet, so each one uses instances of its own and leaves every process running. When a
test fails, the last lines of each service's log are part of the report.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from deploy.local import credentials, lxd_daemon, processes
from deploy.local.services import LocalHost, Service, loopback_binds, services, url
from shared.platform.bus import topology
from tests.support.broker import Broker, Vhost, fresh_vhost
from tests.support.daemons import ROOT
from tests.support.lxd import Instances, Lxd, daemon_of_its_own, instances_on
from tests.support.polling import wait_until

START_TIMEOUT_S = 40.0
LOG_TAIL = 4000  # characters


class Process:
    """A service of the fleet, which a test may stop, kill and start."""

    def __init__(self, service: Service, log: Path) -> None:
        self.log = log
        self._service = service
        self._mark = f"FLEET_STATE_DIR={service.env['FLEET_STATE_DIR']}"
        Path(service.env["FLEET_STATE_DIR"]).mkdir(mode=0o700, parents=True, exist_ok=True)
        self.start()

    def start(self) -> None:
        """Start it; it must not run."""
        self.pid = processes.spawn(self._service.command, self._service.env, self.log)

    def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        processes.end(self.pid, self._mark)

    def kill(self) -> None:
        """End it at once."""
        processes.kill(self.pid, self._mark)

    def restart(self) -> None:
        """Kill it, and start it again."""
        self.kill()
        self.start()

    def runs(self) -> bool:
        """Tell whether it has not ended."""
        return processes.is_ours(self.pid, self._mark)


@dataclass(frozen=True, slots=True)
class Fleet:
    """A running fleet.

    `on` holds, by host, this fleet's instances there, `processes` its services by name: `gateway`,
    `snapshots`, `worker-h1`, `sampler-h1` and so on. `http` calls `url`.
    """

    url: str
    http: httpx.Client
    on: Mapping[str, Instances]
    processes: Mapping[str, Process]
    vhost: Vhost

    @property
    def ws_url(self) -> str:
        """The address of its WebSockets."""
        return self.url.replace("http", "ws", 1)

    def is_ready(self) -> bool:
        """Tell whether the gateway sees every host with its LXD connected."""
        try:
            answer = self.http.get("/api/hosts")
        except httpx.TransportError:
            return False
        hosts = answer.json() if answer.is_success else []
        seen = {host["host"] for host in hosts if host["online"] and host["lxd_connected"]}
        return seen == set(self.on)

    def wait_until_ready(self) -> None:
        """Wait until every host is there; fail the test when one is not in time."""
        wait_until(self.is_ready, within_s=START_TIMEOUT_S, every_s=0.2, seen=self.logs)

    def logs(self) -> str:
        """Return the last lines of every service's log."""
        return "\n".join(
            f"--- {name}\n{process.log.read_text()[-LOG_TAIL:]}"
            for name, process in self.processes.items()
        )


@pytest.fixture(scope="module")
def fleet(broker: Broker, lxd: Lxd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet for the tests of a module, on a free port."""
    binds = loopback_binds(processes.free_port(), ipv6=False)
    directory = tmp_path_factory.mktemp("fleet")
    with (
        daemon_of_its_own() as own,
        fresh_vhost(broker) as vhost,
        fleet_of({"h1": lxd, "h2": own}, vhost, directory, binds, **_roomy()) as running,
    ):
        yield running


@contextmanager
def fleet_of(
    hosts: Mapping[str, Lxd], vhost: Vhost, directory: Path, binds: str, **settings: str
) -> Iterator[Fleet]:
    """Run a fleet of these hosts; stop it afterwards, and delete its instances.

    `settings` are further variables for its services, such as `FLEET_ALLOWED_ORIGINS`. With
    `FLEET_TOKEN_FILE` its `http` sends the token.
    """
    topology.declare(vhost.uri)
    uris = {credentials.host_user(host): vhost.host_uri(host) for host in hosts}
    central = {credentials.CENTRAL: vhost.uri, credentials.SNAPSHOTS: vhost.snapshots_uri}
    files = credentials.write_uris(directory, central | uris)
    env = _environment() | settings | {"FLEET_HTTP_BIND": binds}
    named = [LocalHost(host, lxd.socket) for host, lxd in hosts.items()]
    with ExitStack() as stack:
        on = {host: stack.enter_context(instances_on(lxd)) for host, lxd in hosts.items()}
        started = _started(services(named, directory, files, env), directory, stack)
        headers = _authorization(settings.get("FLEET_TOKEN_FILE"))
        http = stack.enter_context(httpx.Client(base_url=url(binds), headers=headers, timeout=90))
        running = Fleet(url(binds), http, on, started, vhost)
        running.wait_until_ready()
        yield running


@contextmanager
def known_instance(fleet: Fleet, lxd: Lxd, name: str, **fields: str) -> Iterator[None]:
    """Create an instance under exactly this name, and wait until the gateway knows it.

    It is stopped; it is deleted afterwards, if it is still there.
    """
    lxd.create(name, **fields)
    try:
        path = f"/api/instances/{name}"
        wait_until(lambda: fleet.http.get(path).is_success, within_s=5)
        yield
    finally:
        lxd_daemon.force_delete(lxd.socket, name)


def _started(listed: Sequence[Service], directory: Path, stack: ExitStack) -> dict[str, Process]:
    started: dict[str, Process] = {}
    stack.callback(_stop, started)
    for service in listed:
        started[service.name] = Process(service, directory / f"{service.name}.log")
    return started


def _stop(started: Mapping[str, Process]) -> None:
    """Stop all at once: each takes its seconds to leave the broker."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(Process.stop, started.values()))


def _roomy() -> dict[str, str]:
    """Return settings with which other sessions' instances leave room, and one port for SSH."""
    # None from which the kernel connects.
    port = 11000 + secrets.randbelow(20000)
    return {
        "FLEET_OVERCOMMIT_CPU": "1000",
        "FLEET_OVERCOMMIT_MEMORY": "1000",
        "FLEET_OVERCOMMIT_DISK": "1000",
        "FLEET_NAT_ADDRESS": "127.0.0.1",
        "FLEET_NAT_SSH_PORTS": f"{port}-{port}",
    }


@contextmanager
def fleet_of_one(broker: Broker, directory: Path, **settings: str) -> Iterator[Fleet]:
    """Run a fleet whose only host, `h1`, has a daemon of its own; see `fleet_of`."""
    binds = loopback_binds(processes.free_port(), ipv6=False)
    with (
        daemon_of_its_own() as own,
        fresh_vhost(broker) as vhost,
        fleet_of({"h1": own}, vhost, directory, binds, **settings) as running,
    ):
        yield running


def _authorization(token_file: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {Path(token_file).read_text()}"} if token_file else {}


def _environment() -> dict[str, str]:
    """Return the tests' environment without what it may say of another fleet."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("FLEET_")}
    return others | {"PYTHONPATH": str(ROOT)}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the services' logs to the report of a failed test."""
    report = yield
    used = [one for one in getattr(item, "funcargs", {}).values() if isinstance(one, Fleet)]
    if report.failed and used:
        report.sections.append(("logs of the fleet", used[0].logs()))
    return report
