"""A real Prometheus finds the fleet's hosts by itself, scrapes them, and knows real containers.

The gateway has a token, and the server the configuration that we ship.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from deploy.local import processes
from deploy.local.services import loopback_binds
from tests.support.broker import Broker, fresh_vhost
from tests.support.daemons import ROOT
from tests.support.fleet import Fleet, fleet_of
from tests.support.lxd import Lxd, daemon_of_its_own
from tests.support.polling import wait_until
from tests.support.prometheus import (
    Prometheus,
    StartPrometheus,
    check_config,
    complaints,
)

EXAMPLE = ROOT / "deploy/prometheus/prometheus.yml"
PATIENCE_S = 20.0

Series = tuple[str, frozenset[tuple[str, str]]]

# The series of LXD's that we do not have for a container, and why.
NOT_OURS: dict[str, Callable[[str, dict[str, str]], bool]] = {
    "what stays on the loopback interface goes through no counter outside the container": (
        lambda name, labels: name.startswith("lxd_network_") and labels["device"] == "lo"
    ),
    "CPU time is the sum of all CPUs, with the label 0 as LXD has it itself on cgroup v2": (
        lambda name, labels: name == "lxd_cpu_seconds_total" and labels["cpu"] != "0"
    ),
    "what goes through a device that stands on disks is counted at these disks": (
        lambda name, labels: (
            name.startswith("lxd_disk_") and labels["device"].startswith(("dm-", "md", "loop"))
        )
    ),
    "LXD looks into the mounted file system, whose type and use the sampler does not know": (
        lambda name, labels: name.startswith("lxd_filesystem_")
    ),
    "Incus only tells it": (
        lambda name, labels: name in {"lxd_cpu_effective_total", "lxd_memory_OOM_kills_total"}
    ),
}
# LXD tells it where it can look into the file system.
OURS_AT_TIMES = {"lxd_filesystem_size_bytes"}


@pytest.fixture(scope="module")
def token_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("token") / "token"
    file.write_text("a-token-of-this-test-and-no-other")
    return file


@pytest.fixture(scope="module")
def fleet(
    broker: Broker, lxd: Lxd, token_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    binds = loopback_binds(processes.free_port(), ipv6=False)
    directory = tmp_path_factory.mktemp("fleet")
    token = {"FLEET_TOKEN_FILE": str(token_file)}
    with (
        daemon_of_its_own() as own,
        fresh_vhost(broker) as vhost,
        fleet_of({"h1": lxd, "h2": own}, vhost, directory, binds, **token) as running,
    ):
        yield running


@pytest.fixture
def prometheus(fleet: Fleet, token_file: Path, start_prometheus: StartPrometheus) -> Prometheus:
    """A server with the example's configuration, but faster and at this fleet's gateway."""
    config = EXAMPLE.read_text().replace("http://127.0.0.1:8000", fleet.url)
    config = config.replace("/etc/prometheus/lxdfleet-token", str(token_file))
    config = re.sub(r"_interval: \d+s", "_interval: 1s", config)
    return start_prometheus(config)


def eventually(reached: Callable[[], object], timeout_s: float = PATIENCE_S) -> object:
    return wait_until(reached, within_s=timeout_s, every_s=0.25)


def series_of(metrics: str, instance: str) -> set[Series]:
    """Return the names and labels of an instance's series, without the label that is ours."""
    return {
        (sample.name, frozenset((sample.labels | {"host": ""}).items()))
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.labels.get("name") == instance
    }


def labels_by_name(metrics: str, instance: str) -> dict[str, set[str]]:
    """Return the names of the labels of each series that an instance has."""
    return {
        sample.name: set(sample.labels)
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if sample.labels.get("name") == instance
    }


def test_each_host_is_a_target_and_its_containers_answer_queries(
    fleet: Fleet, prometheus: Prometheus
) -> None:
    names = {host: on.launch("scraped") for host, on in fleet.on.items()}

    for host, name in names.items():
        series = f'lxd_memory_MemTotal_bytes{{name="{name}"}}'
        eventually(lambda series=series: prometheus.query(series))
        (found,) = prometheus.query(series)

        assert found["metric"]["host"] == found["metric"]["instance"] == host
        assert found["metric"]["project"] == "default"
        assert found["metric"]["type"] == "container"
        assert int(found["value"][1]) > 2**20
    # The gateway itself may be scraped last.
    eventually(lambda: prometheus.value("sum(up)") == 1 + len(fleet.on))
    assert len(prometheus.targets()) == 1 + len(fleet.on)
    eventually(lambda: prometheus.value('lxdfleet_hosts{state="online"}') == len(fleet.on))


def test_a_containers_processes_are_as_many_as_lxd_counts(
    fleet: Fleet, prometheus: Prometheus
) -> None:
    name = fleet.on["h1"].launch("counted")

    eventually(
        lambda: (
            prometheus.value(f'lxd_procs_total{{name="{name}"}}')
            == fleet.on["h1"].lxd.call("GET", f"/1.0/instances/{name}/state")["processes"]
        )
    )


def test_a_busy_containers_cpu_time_is_what_lxd_counts(
    fleet: Fleet, prometheus: Prometheus
) -> None:
    on = fleet.on["h1"]
    name = on.launch("busy")
    used = f'sum(lxd_cpu_seconds_total{{name="{name}"}})'
    eventually(lambda: prometheus.value(used) is not None)

    work = ["dd", "if=/dev/urandom", "of=/dev/null", "bs=1M", "count=500"]
    on.lxd.call("POST", f"/1.0/instances/{name}/exec", {"command": work})

    lxds_s = on.lxd.call("GET", f"/1.0/instances/{name}/state")["cpu"]["usage"] / 1e9
    assert lxds_s > 0.5
    eventually(lambda: prometheus.value(used) == pytest.approx(lxds_s, abs=0.2))


def test_a_stopped_container_has_no_series(fleet: Fleet, prometheus: Prometheus) -> None:
    name = fleet.on["h1"].launch("stopped")
    series = f'lxd_procs_total{{name="{name}"}}'
    eventually(lambda: prometheus.query(series))

    fleet.http.post(f"/api/instances/{name}/stop").raise_for_status()

    eventually(lambda: not prometheus.query(series))
    ended = 'lxdfleet_operations_total{kind="stop",outcome="done"}'
    eventually(lambda: (prometheus.value(ended) or 0) >= 1)


def test_a_host_that_is_away_is_down_and_has_no_series_until_it_is_back(
    fleet: Fleet, prometheus: Prometheus
) -> None:
    name = fleet.on["h2"].launch("away")
    its_own = f'lxd_procs_total{{name="{name}"}}'
    eventually(lambda: prometheus.query(its_own))

    services = [fleet.processes[f"{service}-h2"] for service in ("worker", "sampler")]
    for each in services:
        each.kill()
    # A sample is good for 15 s.
    try:
        eventually(lambda: prometheus.value('up{instance="h2"}') == 0, timeout_s=60)
        eventually(lambda: prometheus.value('lxdfleet_host_online{host="h2"}') == 0)
        eventually(lambda: prometheus.query('lxdfleet_sample_age_seconds{host="h2"} > 15'))
        left = prometheus.query(its_own)
        others = prometheus.value('up{instance="h1"}')
    finally:
        for each in services:
            each.start()
    eventually(lambda: prometheus.query(its_own))

    assert (left, others) == ([], 1)


def test_without_the_token_nothing_can_be_scraped(fleet: Fleet) -> None:
    paths = ("/metrics", "/metrics/gateway", "/metrics/hosts/h1", "/api/prometheus/targets")

    statuses = {httpx.get(fleet.url + path).status_code for path in paths}

    assert statuses == {401}


def test_series_have_lxds_own_labels_and_the_host(fleet: Fleet) -> None:
    on = fleet.on["h1"]
    name = on.launch("compared")
    path = "/metrics/hosts/h1"
    eventually(lambda: name in fleet.http.get(path).text and name in on.lxd.metrics())

    ours = labels_by_name(fleet.http.get(path).text, name)
    lxds = labels_by_name(on.lxd.metrics(), name)

    assert {"lxd_memory_MemTotal_bytes", "lxd_memory_MemFree_bytes", "lxd_procs_total"} <= set(ours)
    both = ours.keys() & lxds.keys()
    assert ours.keys() - both <= OURS_AT_TIMES
    assert {each: ours[each] for each in both} == {each: lxds[each] | {"host"} for each in both}


def test_all_series_of_lxd_are_there_but_those_that_cannot_be(fleet: Fleet) -> None:
    on = fleet.on["h1"]
    # Kernels with cgroup v1 count only disks for which there is a limit.
    root = on.lxd.call("GET", "/1.0/profiles/default")["devices"]["root"]
    name = on.launch("complete", devices={"root": root | {"limits.write": "900MB"}})
    work = ["dd", "if=/dev/zero", "of=/file", "bs=1M", "count=1", "oflag=direct"]
    on.lxd.call("POST", f"/1.0/instances/{name}/exec", {"command": work})
    written = re.compile(rf'lxd_disk_written_bytes_total{{device="\w.*name="{name}"')

    def metrics() -> list[str]:
        return [on.lxd.metrics(), fleet.http.get("/metrics/hosts/h1").text]

    eventually(lambda: all(map(written.search, metrics())))
    lxds, ours = (series_of(text, name) for text in metrics())

    missing = {
        (each, labels)
        for each, labels in lxds - ours
        if not any(explains(each, dict(labels)) for explains in NOT_OURS.values())
    }
    assert missing == set()
    assert {each for each, _ in ours - lxds} <= OURS_AT_TIMES


def test_promtool_accepts_what_the_gateway_says_of_a_real_fleet(fleet: Fleet) -> None:
    on = fleet.on["h1"]
    name = on.launch("checked")
    eventually(lambda: name in fleet.http.get("/metrics").text and name in on.lxd.metrics())

    about_lxds_names = complaints(on.lxd.metrics())

    assert complaints(fleet.http.get("/metrics").text) <= about_lxds_names
    assert complaints(fleet.http.get("/metrics/gateway").text) == set()


def test_promtool_accepts_the_example_of_a_configuration() -> None:
    assert "SUCCESS" in check_config(EXAMPLE)
