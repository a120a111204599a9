"""Prometheus itself: its judge of metrics, and a server for a test that scrapes and answers."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.local import processes
from tests.support.daemons import missing
from tests.support.polling import wait_until

START_TIMEOUT_S = 20.0

# What promtool finds wrong with names that are LXD's and that its dashboards need.
ABOUT_LXDS_NAMES = {
    "lxd_memory_MemAvailable_bytes metric names should be written in 'snake_case' not 'camelCase'",
    "lxd_memory_MemFree_bytes metric names should be written in 'snake_case' not 'camelCase'",
    "lxd_memory_MemTotal_bytes metric names should be written in 'snake_case' not 'camelCase'",
    'lxd_procs_total non-counter metrics should not have "_total" suffix',
}


def complaints(metrics: str) -> set[str]:
    """Return what `promtool check metrics` has to say; fail the test if it cannot read them."""
    program = _program("promtool")
    command = [program, "check", "metrics"]
    done = subprocess.run(command, input=metrics, capture_output=True, text=True, check=False)
    assert metrics
    assert done.returncode in {0, 3}, done.stderr
    return set(done.stderr.splitlines())


def check_config(file: Path) -> str:
    """Return what promtool says of a configuration that it accepts; else fail the test."""
    command = [_program("promtool"), "check", "config", "--syntax-only", str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def check_rules(rules: Path, cases: str, folder: Path) -> None:
    """Have promtool check a file of rules and try it on cases in its own form.

    `RULES` in them stands for the file. A case that fails fails the test.
    """
    program, file = _program("promtool"), folder / "cases.yml"
    file.write_text(cases.replace("RULES", str(rules)))
    for command in (["check", "rules", rules], ["test", "rules", file]):
        done = subprocess.run(
            [program, *map(str, command)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A running server; `http` calls its API."""

    http: httpx.Client

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the instant vector: each series' labels under `metric`, its `value` as pair."""
        answer = self.http.get("/api/v1/query", params={"query": expression}).json()
        assert answer["status"] == "success", answer
        return list(answer["data"]["result"])

    def value(self, expression: str) -> float | None:
        """Return the value of the one series that the expression gives; None: it gives none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return float(found[0]["value"][1]) if found else None

    def targets(self) -> dict[str, str]:
        """Return the health of each target, by its `instance` label."""
        active = self.http.get("/api/v1/targets").json()["data"]["activeTargets"]
        return {target["labels"]["instance"]: target["health"] for target in active}

    def ready(self) -> bool:
        """Tell whether it answers queries."""
        try:
            return self.http.get("/-/ready").is_success
        except httpx.TransportError:
            return False


StartPrometheus = Callable[[str], Prometheus]


@pytest.fixture
def start_prometheus(tmp_path: Path) -> Iterator[StartPrometheus]:
    """Start a server with this configuration, for the length of the test."""
    with ExitStack() as stack:

        def start(config: str) -> Prometheus:
            return _started(config, tmp_path, stack)

        yield start


def _started(config: str, directory: Path, stack: ExitStack) -> Prometheus:
    file, data, log = (directory / f"prometheus.{name}" for name in ("yml", "data", "log"))
    file.write_text(config)
    mark = f"FLEET_TEST_PROMETHEUS={data}"
    address = f"127.0.0.1:{processes.free_port()}"
    command = [
        _program("prometheus"),
        f"--config.file={file}",
        f"--storage.tsdb.path={data}",
        f"--web.listen-address={address}",
    ]
    pid = processes.spawn(command, dict([mark.split("=", 1)]), log)
    stack.callback(processes.end, pid, mark)
    server = Prometheus(stack.enter_context(httpx.Client(base_url=f"http://{address}")))
    wait_until(server.ready, within_s=START_TIMEOUT_S, every_s=0.2, seen=log.read_text)
    return server


def _program(name: str) -> str:
    return shutil.which(name) or missing("Prometheus is not installed")
