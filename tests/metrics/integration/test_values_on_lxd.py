"""The values of samples on a real LXD, held against LXD's own `/state` and against plain facts."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from services.metrics.sampler.cgroups.open_cgroups import CgroupFiles
from services.metrics.sampler.disks import RealDisks
from services.metrics.sampler.instance_cache import InstanceCache
from services.metrics.sampler.instance_errors import InstanceErrors
from services.metrics.sampler.kernel import process_age_s, read_host
from services.metrics.sampler.lxd_source import LxdSource
from services.metrics.sampler.proc_net_dev import ProcNetDev
from services.metrics.sampler.sampling import Sampling, Sources
from shared.contracts.events import Sampled
from shared.contracts.samples import InstanceSample, MemoryParts
from shared.lxd.client import LxdClient
from shared.lxd.scope import LxdScope
from tests.support.lxd import Instances, Lxd, OwnLxd
from tests.support.polling import wait_until

MIB = 1 << 20
NS_PER_S = 1_000_000_000
PARTS = {
    "lxd_memory_Active_anon_bytes": "active_anon",
    "lxd_memory_Active_file_bytes": "active_file",
    "lxd_memory_Cached_bytes": "cached",
    "lxd_memory_Dirty_bytes": "dirty",
    "lxd_memory_Inactive_anon_bytes": "inactive_anon",
    "lxd_memory_Inactive_file_bytes": "inactive_file",
    "lxd_memory_Mapped_bytes": "mapped",
    "lxd_memory_RSS_bytes": "rss",
    "lxd_memory_Shmem_bytes": "shmem",
    "lxd_memory_Unevictable_bytes": "unevictable",
    "lxd_memory_Writeback_bytes": "writeback",
}
SPIN = "while :; do :; done >/dev/null 2>&1 &"
FILL_20_MIB = "mount -t tmpfs none /tmp && dd if=/dev/zero of=/tmp/filled bs=1M count=20"
WRITE_6_READ_2_MIB = (
    "dd if=/dev/zero of=/file bs=1M count=6 oflag=direct && "
    "dd if=/file of=/dev/null bs=1M count=2 iflag=direct"
)


class Probe:
    """A sampler of a real LXD, without a bus and without LXD's events.

    `proc` is where it sees processes; where it sees none, it has to measure by LXD.
    """

    def __init__(self, lxd: Lxd, proc: Path = Path("/proc")) -> None:
        self.taken: list[Sampled] = []
        sources = Sources(
            cgroups=CgroupFiles(RealDisks().name, time.monotonic, proc),
            network=ProcNetDev(),
            host=read_host,
            process_age=process_age_s,
            clock=time.monotonic,
            now=lambda: "",
        )
        over_socket = LxdSource(LxdClient(lxd.socket, "h1", read_s=30.0), LxdScope())
        self.cache = InstanceCache(
            over_socket, read_host, time.monotonic, InstanceErrors(), period_s=60.0
        )
        self._sampling = Sampling(sources, self.cache, self.taken.append, epoch=1, interval_s=1.0)

    def take(self, after_s: float = 0.0) -> Sampled:
        time.sleep(after_s)
        self._sampling.take()
        return self.taken[-1]

    def take_of_changed(self, after_s: float = 0.0) -> Sampled:
        """Take a sample after something has happened that an event would tell of."""
        time.sleep(after_s)
        self.cache.refresh()
        return self.take()

    def of(self, name: str) -> InstanceSample | None:
        return next((each for each in self.taken[-1].instances if each.name == name), None)

    def sure_of(self, name: str) -> InstanceSample:
        sample = self.of(name)
        assert sample is not None
        return sample

    def share(self, name: str) -> float:
        share = self.sure_of(name).cpu_percent
        assert share is not None
        return share


@pytest.fixture(params=["cgroup", "lxd"])
def probe(request: pytest.FixtureRequest, lxd: Lxd, tmp_path: Path) -> Iterator[Probe]:
    """A probe that measures this way, and has done so."""
    probe = Probe(lxd, Path("/proc") if request.param == "cgroup" else tmp_path)
    yield probe
    measured = {sample.source for sample in probe.taken if sample.instances}
    assert measured == {request.param}


@pytest.fixture
def by_cgroup(lxd: Lxd) -> Probe:
    return Probe(lxd)


def run(instances: Instances, name: str, *command: str) -> None:
    body = {"command": command, "environment": {}, "wait-for-websocket": False}
    instances.lxd.call("POST", f"/1.0/instances/{name}/exec", body)


def keep_busy(instances: Instances, name: str) -> None:
    run(instances, name, "sh", "-c", SPIN)


def state_of(instances: Instances, name: str) -> dict[str, Any]:
    state: dict[str, Any] = instances.lxd.call("GET", f"/1.0/instances/{name}/state")
    return state


def test_a_container_that_spins_on_a_fifth_of_a_cpu_uses_all_that_it_may(
    instances: Instances, probe: Probe
) -> None:
    busy = instances.launch("busy", config={"limits.cpu.allowance": "20ms/100ms"})
    idle = instances.launch("idle")
    keep_busy(instances, busy)

    probe.take(after_s=1.0)
    probe.take(after_s=3.0)

    assert probe.share(busy) > 60
    assert probe.share(idle) < 5


@pytest.mark.parametrize("limits", [{}, {"limits.cpu": "1"}])
def test_one_spinning_process_uses_its_part_of_the_allowed_cpus(
    instances: Instances, probe: Probe, limits: dict[str, str]
) -> None:
    busy = instances.launch("busy", config=limits)
    keep_busy(instances, busy)
    whole = 100.0 if limits else 100.0 / read_host().cpus

    probe.take(after_s=0.5)
    probe.take(after_s=2.0)

    # Others may use this machine's CPUs too, so that it gets much less; never more.
    assert 0.1 * whole < probe.share(busy) < 1.05 * whole + 1
    of_one_core = probe.sure_of(busy).cpu_core_percent
    assert of_one_core is not None
    assert 10 < of_one_core < 106


def test_the_first_sample_is_the_mean_since_the_start(instances: Instances, probe: Probe) -> None:
    busy = instances.launch("busy", config={"limits.cpu.allowance": "20ms/100ms"})
    time.sleep(3.0)
    keep_busy(instances, busy)
    time.sleep(3.0)

    probe.take()

    assert 25 < probe.share(busy) < 75  # it was idle for half of its life


def test_what_is_measured_is_what_lxd_s_own_state_says(instances: Instances, probe: Probe) -> None:
    name = instances.launch(config={"limits.memory": "64MiB"})
    _until_addressed(instances, name)
    run(instances, name, "sh", "-c", FILL_20_MIB)
    keep_busy(instances, name)
    time.sleep(1.0)
    instances.set_state(name, "freeze")  # so that nothing changes between the two readings
    earlier = _counters(instances, name)

    probe.take()

    sample, state = probe.sure_of(name), state_of(instances, name)
    assert sample.cpu_ns == state["cpu"]["usage"] > 0
    assert sample.memory_total == 64 * MIB
    assert sample.memory_used is not None
    assert sample.memory_used > 20 * MIB
    assert abs(sample.memory_used - state["memory"]["usage"]) < MIB  # the kernel takes caches back
    assert sample.processes == state["processes"]
    assert sample.uuid == instances.lxd.uuid_of(name)
    _assert_between(earlier, sample, state["network"]["eth0"]["counters"])
    assert {(each.device, each.family, each.address, each.scope) for each in sample.addresses} == {
        (device, each["family"], each["address"], each["scope"])
        for device, nic in state["network"].items()
        for each in nic["addresses"]
    }


def test_what_an_instance_sends_is_not_taken_for_what_it_receives(
    instances: Instances, probe: Probe
) -> None:
    name = instances.launch()
    _until_addressed(instances, name)
    probe.take()

    with _listener(instances) as (address, port):
        run(instances, name, "sh", "-c", f"dd if=/dev/zero bs=1M count=5 | nc {address} {port}")
    time.sleep(0.5)
    earlier = _counters(instances, name)
    probe.take()

    sample, later = probe.sure_of(name), _counters(instances, name)
    _assert_between(earlier, sample, later)
    assert earlier["bytes_sent"] > 5 * MIB
    assert later["bytes_received"] < MIB
    assert sample.interfaces is not None
    [eth0] = sample.interfaces
    assert (eth0.device, eth0.rx_errors, eth0.tx_errors) == ("eth0", 0, 0)
    assert sample.network_tx_rate is not None
    assert sample.network_rx_rate is not None
    assert sample.network_tx_rate > 4 * sample.network_rx_rate > 0


def test_a_hot_plugged_interface_counts_and_has_no_rate_before_it_was_there(
    instances: Instances, probe: Probe
) -> None:
    name = instances.launch()
    _until_addressed(instances, name)
    probe.take()
    eth1 = {"type": "nic", "nictype": "p2p", "name": "eth1"}

    instances.lxd.call("PATCH", f"/1.0/instances/{name}", {"devices": {"eth1": eth1}})
    run(instances, name, "ip", "link", "set", "eth1", "up")
    time.sleep(0.5)
    earlier = _counters(instances, name, "eth0", "eth1")
    probe.take_of_changed()

    sample, later = probe.sure_of(name), _counters(instances, name, "eth0", "eth1")
    _assert_between(earlier, sample, later)
    assert sample.interfaces is not None
    assert {each.device for each in sample.interfaces} == {"eth0", "eth1"}
    assert sample.network_tx_rate is None


def test_an_instance_without_a_network_has_no_traffic(instances: Instances, probe: Probe) -> None:
    name = instances.launch(devices={"eth0": {"type": "none"}})

    probe.take(after_s=0.5)

    sample = probe.sure_of(name)
    assert (sample.network_rx, sample.network_tx) == (0, 0)
    assert {each.device for each in sample.addresses} == {"lo"}


def test_disk_traffic_is_what_lxd_s_own_metrics_say(instances: Instances, by_cgroup: Probe) -> None:
    # Kernels with cgroup v1 count only where there is a limit.
    root = instances.lxd.call("GET", "/1.0/profiles/default")["devices"]["root"]
    limited = root | {"limits.read": "900MB", "limits.write": "900MB"}
    name = instances.launch(devices={"root": limited})
    by_cgroup.take()
    run(instances, name, "sh", "-c", WRITE_6_READ_2_MIB)

    by_cgroup.take(after_s=0.5)

    sample = by_cgroup.sure_of(name)
    assert sample.disk_read is not None
    assert sample.disk_write is not None
    assert sample.disk_read >= 2 * MIB
    assert sample.disk_write >= 6 * MIB
    assert sample.block_devices
    ours = {
        (metric, each.device): count
        for each in sample.block_devices
        for metric, count in {
            "lxd_disk_read_bytes_total": each.read_bytes,
            "lxd_disk_reads_completed_total": each.reads,
            "lxd_disk_written_bytes_total": each.written_bytes,
            "lxd_disk_writes_completed_total": each.writes,
        }.items()
    }
    wait_until(
        lambda: ours.items() <= lxds_series(instances, name, "device").items(),
        within_s=20,
        every_s=0.5,
    )


def test_the_parts_of_cpu_time_and_memory_are_what_lxd_s_own_metrics_say(
    instances: Instances, probe: Probe
) -> None:
    name = instances.launch(config={"limits.memory": "64MiB"})
    run(instances, name, "sh", "-c", FILL_20_MIB)
    keep_busy(instances, name)
    wait_until(
        lambda: state_of(instances, name)["cpu"]["usage"] > NS_PER_S, within_s=20, every_s=0.5
    )
    instances.set_state(name, "freeze")  # so that nothing changes while LXD's metrics are old

    def taken() -> tuple[float, float, MemoryParts]:
        probe.take()
        sample = probe.sure_of(name)
        return sample.cpu_user_s or 0.0, sample.cpu_system_s or 0.0, sample.memory or MemoryParts()

    def agrees_with_lxd() -> bool:
        user_s, system_s, memory = taken()
        modes, parts = lxds_series(instances, name, "mode"), lxds_series(instances, name)
        # The kernel divides its exact sum in two by samples, which LXD tells as they are.
        return (
            abs(user_s - modes.get(("lxd_cpu_seconds_total", "user"), 0.0)) < 0.4
            and abs(system_s - modes.get(("lxd_cpu_seconds_total", "system"), 0.0)) < 0.4
            and all(_is_near(memory, part, parts.get((name, ""))) for name, part in PARTS.items())
        )

    wait_until(agrees_with_lxd, within_s=20, every_s=0.5)
    user_s, system_s, memory = taken()
    assert user_s > 0.5
    assert abs(user_s + system_s - state_of(instances, name)["cpu"]["usage"] / NS_PER_S) < 0.4
    assert memory.shmem is not None
    assert memory.shmem >= 20 * MIB


def test_disk_is_the_pool_s_total_and_never_a_guessed_use(
    instances: Instances, probe: Probe
) -> None:
    name = instances.launch()
    pool = instances.lxd.call("GET", "/1.0/profiles/default")["devices"]["root"]["pool"]
    space = instances.lxd.call("GET", f"/1.0/storage-pools/{pool}/resources")["space"]

    taken = probe.take()

    sample, disk = probe.of(name), state_of(instances, name)["disk"]
    assert sample is not None
    assert sample.disk_total == space["total"] == taken.host.disk_total
    assert (sample.disk_used is None) == ("root" not in disk)


def test_a_stopped_container_is_not_in_the_sample_and_a_frozen_one_uses_nothing(
    instances: Instances, probe: Probe
) -> None:
    stopped = instances.launch("stopped")
    frozen = instances.launch("frozen")
    keep_busy(instances, frozen)
    probe.take(after_s=0.5)

    instances.set_state(stopped, "stop", force=True)
    instances.set_state(frozen, "freeze")
    probe.take()  # without asking LXD again, where it need not be asked
    probe.take(after_s=1.0)

    assert probe.of(stopped) is None
    assert probe.share(frozen) == 0


def test_a_restarted_container_starts_anew(instances: Instances, probe: Probe) -> None:
    name = instances.launch(config={"limits.cpu.allowance": "20ms/100ms"})
    keep_busy(instances, name)
    probe.take(after_s=2.0)
    probe.take(after_s=1.0)
    before = probe.share(name)

    instances.set_state(name, "restart", force=True)
    probe.take_of_changed(after_s=3.0)
    first = probe.share(name)
    probe.take(after_s=1.0)

    assert before > 60
    assert first < 60  # only the boot of these seconds, none of the work before
    assert probe.share(name) < 10


def test_a_namesake_made_anew_starts_anew(instances: Instances, probe: Probe) -> None:
    name = instances.launch(config={"limits.cpu.allowance": "20ms/100ms"})
    keep_busy(instances, name)
    probe.take(after_s=2.0)
    before = probe.of(name)

    instances.delete(name)
    assert instances.launch() == name
    probe.take_of_changed(after_s=3.0)

    after = probe.of(name)
    assert before is not None
    assert after is not None
    assert after.uuid == instances.lxd.uuid_of(name) != before.uuid
    assert probe.share(name) < 30
    assert after.memory_total == read_host().memory_total


def test_containers_are_measured_while_their_lxd_is_killed_and_comes_back(
    own_lxd: OwnLxd,
) -> None:
    probe = Probe(own_lxd)
    mine = Instances(own_lxd, "own")
    name = mine.launch(config={"limits.cpu.allowance": "20ms/100ms"})
    keep_busy(mine, name)
    probe.take(after_s=1.0)

    own_lxd.kill()
    probe.cache.refresh()
    probe.take(after_s=2.0)
    meanwhile = probe.share(name)
    own_lxd.start()
    probe.take_of_changed(after_s=2.0)

    assert meanwhile > 60
    assert probe.share(name) > 60
    assert [each.source for each in probe.taken] == ["cgroup"] * 3
    mine.delete(name)


def test_two_daemons_instances_of_one_name_are_told_apart(
    own_lxd: OwnLxd, instances: Instances, by_cgroup: Probe
) -> None:
    name = instances.launch()
    namesakes = Instances(own_lxd, instances.prefix)
    namesakes.launch(config={"limits.cpu.allowance": "20ms/100ms"})
    keep_busy(namesakes, name)
    other = Probe(own_lxd)

    for probe in (by_cgroup, other):
        probe.take(after_s=1.0)
        probe.take(after_s=2.0)

    assert {each.source for each in by_cgroup.taken + other.taken} == {"cgroup"}
    assert by_cgroup.share(name) < 10
    assert other.share(name) > 60
    namesakes.delete(name)


def test_no_descriptor_stays_open_of_what_has_ended(instances: Instances, by_cgroup: Probe) -> None:
    before = _open_cgroup_files(instances.prefix)
    name, other = instances.launch("a"), instances.launch("b")
    by_cgroup.take_of_changed()
    of_two = _open_cgroup_files(instances.prefix)

    for _ in range(3):
        instances.set_state(name, "restart", force=True)
        by_cgroup.take()
        by_cgroup.take_of_changed()
    after_restarts = _open_cgroup_files(instances.prefix)
    instances.set_state(name, "stop", force=True)
    instances.delete(other)
    by_cgroup.take()
    by_cgroup.take_of_changed()

    assert before == 0
    assert after_restarts == of_two > 0
    assert _open_cgroup_files(instances.prefix) == 0


def _until_addressed(instances: Instances, name: str) -> None:
    def addresses() -> list[str]:
        found = state_of(instances, name)["network"]["eth0"]["addresses"]
        return [each["address"] for each in found if each["scope"] == "global"]

    wait_until(addresses, within_s=20, every_s=0.2)


def _open_cgroup_files(prefix: str) -> int:
    links = list(Path("/proc/self/fd").iterdir())
    targets = [str(link.readlink()) for link in links if link.is_symlink()]
    return sum(f"lxc.payload.{prefix}" in target for target in targets)


def _assert_between(earlier: dict[str, int], sample: InstanceSample, later: dict[str, int]) -> None:
    """Assert that the sample's counters lie between two of LXD's readings.

    They cannot be held against one: the kernel itself sends, so that they grow even while the
    instance is frozen.
    """
    assert sample.interfaces is not None
    ours = {
        "bytes_received": sample.network_rx,
        "bytes_sent": sample.network_tx,
        "packets_received": sum(each.rx_packets or 0 for each in sample.interfaces),
        "packets_sent": sum(each.tx_packets or 0 for each in sample.interfaces),
    }
    assert sample.network_rx == sum(each.rx_bytes for each in sample.interfaces)
    assert sample.network_tx == sum(each.tx_bytes for each in sample.interfaces)
    for key, count in ours.items():
        assert count is not None
        assert earlier[key] <= count <= later[key], key
    assert earlier["bytes_sent"] > 0


def _counters(instances: Instances, name: str, *devices: str) -> dict[str, int]:
    network = state_of(instances, name)["network"]
    counted = [network[device]["counters"] for device in devices or ("eth0",)]
    keys = ("bytes_received", "bytes_sent", "packets_received", "packets_sent")
    return {key: sum(each[key] for each in counted) for key in keys}


@contextmanager
def _listener(instances: Instances) -> Iterator[tuple[str, int]]:
    """Read what one instance sends to the host, until it has sent all."""
    bridge = instances.lxd.call("GET", "/1.0/profiles/default")["devices"]["eth0"]["network"]
    network = instances.lxd.call("GET", f"/1.0/networks/{bridge}")["config"]
    address = network["ipv4.address"].partition("/")[0]
    with socket.create_server((address, 0)) as server:
        reader = threading.Thread(target=_read_all, args=[server])
        reader.start()
        yield address, server.getsockname()[1]
        reader.join()


def _read_all(server: socket.socket) -> None:
    server.settimeout(20)
    connection, _ = server.accept()
    with connection:
        while connection.recv(MIB):
            pass


def lxds_series(instances: Instances, name: str, label: str = "") -> dict[tuple[str, str], float]:
    """Return the values in LXD's metrics, which it makes anew every few seconds only.

    Those that differ in no more than other labels than this one are summed.
    """
    sums: Counter[tuple[str, str]] = Counter()
    for family in text_string_to_metric_families(instances.lxd.metrics()):
        for series in family.samples:
            if series.labels.get("name") == name:
                sums[series.name, series.labels.get(label, "")] += series.value
    return dict(sums)


def _is_near(memory: MemoryParts, part: str, lxds: float | None) -> bool:
    """Return whether no more than what the kernel takes back any time lies between them."""
    ours = getattr(memory, part)
    return ours is not None and lxds is not None and abs(ours - lxds) < MIB
