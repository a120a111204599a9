"""IntervalTimer of sampling while LXD, the broker and the instances come and go."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

import pytest

from services.metrics.sampler.instance_cache import InstanceCache
from services.metrics.sampler.instance_errors import InstanceErrors
from services.metrics.sampler.kernel_counters import Details, Traffic
from services.metrics.sampler.lxd_instances import InstanceWithState
from services.metrics.sampler.sampling import Sampling, Sources
from shared.contracts.errors import BrokerUnavailable
from shared.contracts.events import Sampled
from shared.contracts.samples import InstanceSample, MemoryParts
from shared.lxd.models import NetworkCounters
from tests.support.sampler import HOST, FakeCgroups, FakeLxd, FakeNetwork, described


@dataclass
class FakeBroker:
    published: list[Sampled] = field(default_factory=list)
    away: bool = False

    def publish(self, sample: Sampled) -> None:
        if self.away:
            raise BrokerUnavailable
        self.published.append(sample)


@dataclass
class Bench:
    """A sampler on fakes; `now_s` is the time."""

    lxd: FakeLxd = field(default_factory=FakeLxd)
    cgroups: FakeCgroups = field(default_factory=FakeCgroups)
    network: FakeNetwork = field(default_factory=FakeNetwork)
    broker: FakeBroker = field(default_factory=FakeBroker)
    ages: dict[int, float] = field(default_factory=dict)
    ages_read: list[int] = field(default_factory=list)
    now_s: float = 1000.0

    def __post_init__(self) -> None:
        sources = Sources(
            cgroups=self.cgroups,
            network=self.network,
            host=lambda: HOST,
            process_age=self._age,
            clock=lambda: self.now_s,
            now=lambda: f"at {self.now_s:g}",
        )
        self.cache = InstanceCache(
            self.lxd, lambda: HOST, lambda: self.now_s, InstanceErrors(), period_s=60.0
        )
        self.sampling = Sampling(sources, self.cache, self.broker.publish, epoch=7, interval_s=5.0)

    def take(self, *listed: InstanceWithState, after_s: float = 5.0) -> None:
        self.now_s += after_s
        self.lxd.listed = listed
        self.sampling.take()

    def count(self, cpu_s: float, *listed: InstanceWithState) -> None:
        """Take a sample when the cgroup of process 42 has counted so much."""
        self.cgroups.count(cpu_s)
        self.take(*listed or (described(),))

    @property
    def latest(self) -> dict[str, InstanceSample]:
        return {each.name: each for each in self.broker.published[-1].instances}

    @property
    def shares(self) -> list[float | None]:
        return [each.instances[0].cpu_core_percent for each in self.broker.published]

    @property
    def sources(self) -> list[str]:
        return [each.source for each in self.broker.published]

    def _age(self, pid: int) -> float | None:
        self.ages_read.append(pid)
        return self.ages.get(pid)


def test_samples_are_numbered_and_dated() -> None:
    bench = Bench()

    bench.count(1)
    bench.count(2)

    first, second = bench.broker.published
    assert (first.epoch, first.sequence, first.at) == (7, 1, "at 1005")
    assert (second.epoch, second.sequence, second.at) == (7, 2, "at 1010")
    assert (first.source, first.interval_s) == ("cgroup", 5.0)


def test_shares_are_from_one_sample_to_the_next() -> None:
    bench = Bench(ages={42: 20.0})

    bench.count(2)
    bench.count(3)
    bench.count(8)

    assert bench.shares == [10.0, 20.0, 100.0]


def test_lxd_is_asked_once_where_cgroups_can_be_read() -> None:
    bench = Bench()

    for cpu_s in range(5):
        bench.count(cpu_s)

    assert bench.lxd.questions.count("everything") == 1


def test_lxd_is_asked_at_every_round_where_nothing_else_can_measure() -> None:
    bench = Bench(ages={42: 20.0})

    for cpu_s in (2, 3, 8):
        bench.take(described(cpu_s=cpu_s))

    assert bench.lxd.questions.count("everything") == 3
    assert bench.shares == [10.0, 20.0, 100.0]
    assert bench.sources == ["lxd"] * 3


def test_what_only_lxd_measures_has_the_details_that_its_metrics_tell() -> None:
    parts = MemoryParts(rss=7)
    bench = Bench(lxd=FakeLxd(metrics={("default", "web"): Details(1.5, 0.5, parts)}))

    bench.take(described())
    bench.take(described(), after_s=10.0)

    web = bench.latest["web"]
    assert (web.cpu_user_s, web.cpu_system_s, web.memory) == (1.5, 0.5, parts)


def test_a_virtual_machine_among_containers_has_details_with_lxds_next_regular_answer() -> None:
    bench = Bench(lxd=FakeLxd(metrics={("default", "vm"): Details(1.5, 0.5)}))
    both = (described(), described("vm", pid=77, kind="virtual-machine"))
    bench.count(1, *both)

    bench.now_s += 60.0
    bench.cache.refresh_if_due()
    bench.count(2, *both)

    assert bench.latest["vm"].cpu_user_s == 1.5
    assert bench.latest["web"].cpu_user_s is None


def test_metrics_are_not_asked_for_where_cgroups_can_be_read() -> None:
    bench = Bench()
    bench.count(1)

    bench.cache.refresh()
    bench.count(2)

    assert "details" not in bench.lxd.questions


def test_lxd_is_not_asked_at_every_round_while_nothing_runs() -> None:
    bench = Bench()

    for _ in range(3):
        bench.take()

    assert bench.lxd.questions.count("everything") == 1
    assert [each.instances for each in bench.broker.published] == [[], [], []]


def test_a_virtual_machine_among_containers_is_as_lxd_last_told() -> None:
    bench = Bench(ages={42: 20.0})
    machine = described("vm", cpu_s=10, pid=77, kind="virtual-machine")
    bench.count(2, described(), machine)
    bench.now_s += 60.0
    bench.lxd.listed = (described(), described("vm", cpu_s=40, pid=77, kind="virtual-machine"))
    bench.cache.refresh_if_due()

    bench.count(3)
    bench.count(8)

    assert bench.sources == ["mixed"] * 3
    assert bench.latest["vm"].cpu_core_percent == 50.0  # the mean of the minute, twice
    assert bench.shares[-1] == 100.0


def test_the_source_is_logged_once_for_each_change(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    bench = Bench()
    machine = described("vm", pid=77, kind="virtual-machine")

    bench.take(machine)
    bench.take(machine)
    bench.count(1, described(), machine)
    bench.count(2, described(), machine)

    assert bench.sources == ["lxd", "lxd", "mixed", "mixed"]
    assert [record.getMessage() for record in caplog.records] == [
        "the source of samples is lxd",
        "the source of samples is mixed",
    ]


def test_traffic_is_read_at_the_host_s_end_the_other_way_round() -> None:
    bench = Bench()

    bench.network.counters = {
        "eth0": NetworkCounters(70, 90),
        "veth-web": NetworkCounters(10, 1000),
    }
    bench.count(1)
    bench.network.counters = {
        "eth0": NetworkCounters(120, 90),
        "veth-web": NetworkCounters(15, 2000),
    }
    bench.count(2)

    web, host = bench.latest["web"], bench.broker.published[-1].host
    assert (web.network_rx, web.network_tx) == (2000, 15)
    assert (web.network_rx_rate, web.network_tx_rate) == (200.0, 1.0)
    assert (host.network_rx, host.network_rx_rate) == (120, 10.0)


def test_traffic_without_an_end_on_the_host_is_read_inside() -> None:
    bench = Bench()
    bench.network.networks[42] = Traffic(5, 6, frozenset({"eth0"}))

    bench.count(1)

    assert (bench.latest["web"].network_rx, bench.latest["web"].network_tx) == (5, 6)


def test_a_replaced_interface_has_no_rate_at_first() -> None:
    bench = Bench()
    bench.network.counters = {"eth0": NetworkCounters(), "veth-web": NetworkCounters(10, 1000)}
    bench.count(1)

    bench.network.counters = {"eth0": NetworkCounters()}
    bench.network.networks[42] = Traffic(9999, 9999, frozenset({"eth0"}))
    bench.count(2)

    assert bench.latest["web"].network_rx == 9999
    assert bench.latest["web"].network_rx_rate is None


def test_traffic_that_can_be_read_nowhere_is_unknown() -> None:
    bench = Bench()

    bench.count(1)

    assert (bench.latest["web"].network_rx, bench.latest["web"].network_tx) == (None, None)


def test_a_container_that_has_ended_is_left_out_before_lxd_tells_of_it() -> None:
    bench = Bench()
    bench.cgroups.count(1, pid=43)
    bench.count(1, described(), described("db", pid=43))
    bench.lxd.questions.clear()

    bench.cgroups.ended.add(42)
    bench.take(described("db", pid=43))
    names = set(bench.latest)
    bench.now_s += 0.1
    bench.cache.refresh_if_due()

    assert names == {"db"}
    assert bench.lxd.questions == ["web"]
    assert bench.sources == ["cgroup", "cgroup"]


def test_files_are_kept_for_what_runs_only() -> None:
    bench = Bench()
    bench.count(1, described(), described("db", pid=43))

    bench.lxd.listed = [described("db", pid=43)]
    bench.cache.refresh()
    bench.take()

    assert bench.cgroups.kept == {43}


def test_the_age_of_a_process_is_read_once() -> None:
    bench = Bench(ages={42: 20.0, 43: 2.0})

    bench.take(described(cpu_s=2))
    bench.take(described(cpu_s=3))
    bench.take(described(cpu_s=1, pid=43))

    assert bench.ages_read == [42, 43]
    assert bench.shares == [10.0, 20.0, 50.0]


def test_cgroups_are_sampled_while_lxd_is_away_and_nothing_else() -> None:
    bench = Bench()
    bench.count(1, described(), described("vm", pid=77, kind="virtual-machine"))

    bench.lxd.away = True
    bench.cache.refresh()
    bench.count(2)

    assert set(bench.latest) == {"web"}
    assert bench.sources == ["mixed", "cgroup"]


def test_nothing_is_published_while_only_lxd_could_measure_and_the_next_share_spans_the_gap() -> (
    None
):
    bench = Bench(ages={42: 20.0})
    bench.take(described(cpu_s=2))

    bench.lxd.away = True
    bench.take()
    bench.take()
    bench.lxd.away = False
    bench.take(described(cpu_s=5))

    assert [each.sequence for each in bench.broker.published] == [1, 2]
    assert bench.shares == [10.0, 20.0]  # 3 s of CPU in 15 s


def test_nothing_is_published_before_lxd_has_told_what_runs() -> None:
    bench = Bench(lxd=FakeLxd(away=True))

    bench.count(1)

    assert bench.broker.published == []


def test_samples_are_dropped_while_the_broker_is_away(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    bench = Bench(ages={42: 20.0})
    bench.broker.away = True
    bench.count(1)
    bench.count(2)

    bench.broker.away = False
    bench.count(3)

    [sample] = bench.broker.published
    assert sample.sequence == 3
    assert bench.shares == [20.0]
    assert [record.getMessage() for record in caplog.records] == ["the broker is away"]
