"""CPU shares from two readings: what is right, and what must not be guessed."""

from __future__ import annotations

import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from services.metrics.sampler.kernel_counters import Details, DiskTraffic, Space, Traffic
from services.metrics.sampler.reading import LXD, HostReading, InstanceReading, Pools, Reading
from services.metrics.sampler.sample import (
    SampledReading,
    host_sample,
    instance_samples,
    new_runs,
    source_of,
    within_message,
)
from services.metrics.sampler.sanitize import Dropped
from shared.contracts.codec import decode, encode
from shared.contracts.events import MAX_BYTES, Sampled
from shared.contracts.samples import Address, BlockDevice, InstanceSample, Interface, MemoryParts
from tests.support.sampler import HOST, POOLS, WEB, S

IDENTITY = WEB.identity
VETH = frozenset({"veth1"})


def reading(at_s: float, *instances: InstanceReading, host: HostReading = HOST) -> Reading:
    timed = [replace(each, at_s=at_s) for each in instances]
    network = Traffic(int(at_s), int(at_s), frozenset({"eth0"}))
    return Reading(at_s, host, POOLS, network, {each.identity: each for each in timed})


def taken(at_s: float, *instances: InstanceReading, host: HostReading = HOST) -> SampledReading:
    return SampledReading(reading(at_s, *instances, host=host), {})


def sample_of(
    before: InstanceReading, now: InstanceReading, *, elapsed_s: float = 5.0
) -> InstanceSample:
    samples = instance_samples(taken(100.0, before), reading(100.0 + elapsed_s, now), ages={})
    return samples[now.identity]


@pytest.mark.parametrize(
    ("earlier", "now", "elapsed_s", "percent"),
    [
        (WEB, replace(WEB, cpu_ns=15 * S), 5, 50.0),  # one of its two CPUs all the time
        (WEB, replace(WEB, cpu_ns=20 * S), 5, 100.0),
        (WEB, replace(WEB, cpu_ns=10 * S), 5, 0.0),
        (WEB, replace(WEB, cpu_ns=15 * S, cpus=1), 5, 100.0),
        (WEB, replace(WEB, cpu_ns=11 * S, cpus=0.25), 8, 50.0),
        (WEB, replace(WEB, cpu_ns=21 * S), 5, 100.0),  # the times of measuring are not exact
        (WEB, replace(WEB, cpu_ns=15 * S), 50, 5.0),  # rounds were missed
        (WEB, replace(WEB, cpu_ns=None), 5, None),
        (WEB, replace(WEB, cpu_ns=15 * S, cpus=None), 5, None),
        (replace(WEB, cpu_ns=None), WEB, 5, None),  # an agent has begun to answer
        (WEB, replace(WEB, cpu_ns=1 * S), 5, None),  # a guest counts anew in the same process
        (WEB, replace(WEB, cpu_ns=15 * S), 0, None),
    ],
)
def test_cpu_is_the_share_of_the_allowed_cpus_between_two_readings(
    earlier: InstanceReading, now: InstanceReading, elapsed_s: float, percent: float | None
) -> None:
    sample = sample_of(earlier, now, elapsed_s=elapsed_s)

    assert sample.cpu_percent == percent


@pytest.mark.parametrize(
    ("earlier", "now"),
    [
        (None, WEB),
        (WEB, replace(WEB, pid=43)),  # restarted
        (WEB, replace(WEB, pid=43, cpu_ns=50 * S)),  # restarted, and busier than all before
        (WEB, replace(WEB, uuid="u-2")),  # made anew under the same name
        (WEB, replace(WEB, project="other")),
    ],
)
def test_a_new_run_starts_anew_with_the_mean_since_its_start(
    earlier: InstanceReading | None, now: InstanceReading
) -> None:
    before = None if earlier is None else taken(100.0, earlier)
    after = reading(105.0, now)

    [sample] = instance_samples(before, after, ages={now.identity: 40.0}).values()

    assert [each.run for each in new_runs(before, after)] == [now.run]
    assert now.cpu_ns is not None
    assert sample.cpu_percent == now.cpu_ns / S / 40 / 2 * 100
    assert (sample.network_rx_rate, sample.disk_read_rate) == (None, None)


def test_a_new_run_of_unknown_age_has_no_share_yet() -> None:
    [sample] = instance_samples(None, reading(105.0, WEB), ages={}).values()

    assert sample.cpu_percent is None


def test_a_virtual_machine_has_no_share_since_its_start_for_its_guest_counts_since_its_boot() -> (
    None
):
    machine = replace(WEB, kind="virtual-machine")

    [sample] = instance_samples(None, reading(105.0, machine), ages={IDENTITY: 40.0}).values()

    assert sample.cpu_percent is None


def test_a_run_that_goes_on_is_not_new() -> None:
    assert new_runs(taken(100.0, WEB), reading(105.0, replace(WEB, cpu_ns=11 * S))) == []


def test_an_instance_that_has_stopped_is_in_no_sample() -> None:
    assert instance_samples(taken(100.0, WEB), reading(105.0), ages={}) == {}


def test_the_other_values_are_those_of_the_later_reading() -> None:
    later = replace(WEB, memory_used=200, network=Traffic(9, 2, VETH), processes=4)

    sample = sample_of(WEB, later)

    assert (sample.name, sample.uuid, sample.project) == ("web", "u-1", "default")
    assert (sample.memory_used, sample.memory_total) == (200, 1000)
    assert (sample.disk_used, sample.disk_total) == (None, 80)
    assert (sample.network_rx, sample.network_tx, sample.processes) == (9, 2, 4)
    assert (sample.disk_read, sample.disk_write, sample.cpu_ns) == (1000, 2000, 10 * S)


def test_the_details_of_the_later_reading_are_told() -> None:
    parts, disk = MemoryParts(rss=7), BlockDevice(device="vda", read_bytes=1, written_bytes=2)
    nic = Interface(device="eth0", rx_bytes=9, tx_bytes=2)
    later = replace(
        WEB, network=Traffic(9, 2, VETH, (nic,)), details=Details(1.5, 0.5, parts, (disk,))
    )

    sample = sample_of(WEB, later)

    assert (sample.cpu_user_s, sample.cpu_system_s, sample.memory) == (1.5, 0.5, parts)
    assert (sample.interfaces, sample.block_devices) == ((nic,), (disk,))


def test_details_that_nobody_tells_are_unknown() -> None:
    sample = sample_of(WEB, replace(WEB, network=None, details=Details()))

    assert (sample.cpu_user_s, sample.cpu_system_s, sample.memory) == (None, None, None)
    assert (sample.interfaces, sample.block_devices) == (None, None)


def test_cpu_is_told_in_percent_of_one_core_too() -> None:
    on_both_cores = sample_of(WEB, replace(WEB, cpu_ns=20 * S, cpus=2))
    of_unknown_limit = sample_of(WEB, replace(WEB, cpu_ns=15 * S, cpus=None))

    assert (on_both_cores.cpu_percent, on_both_cores.cpu_core_percent) == (100.0, 200.0)
    assert (of_unknown_limit.cpu_percent, of_unknown_limit.cpu_core_percent) == (None, 100.0)


def test_rates_are_bytes_per_second_since_the_earlier_reading() -> None:
    later = replace(WEB, network=Traffic(501, 52, VETH), disk=DiskTraffic(1000, 2010))

    sample = sample_of(WEB, later, elapsed_s=5.0)

    assert (sample.network_rx_rate, sample.network_tx_rate) == (100.0, 10.0)
    assert (sample.disk_read_rate, sample.disk_write_rate) == (0.0, 2.0)


def test_what_was_not_read_anew_keeps_its_sample() -> None:
    now = reading(105.0, replace(WEB, source=LXD))
    before = SampledReading(
        now, instance_samples(taken(100.0, replace(WEB, cpu_ns=5 * S)), now, ages={})
    )

    samples = instance_samples(before, dataclasses.replace(now, at_s=110.0), ages={})

    assert samples == before.samples
    assert samples[IDENTITY].cpu_percent == 50.0


@pytest.mark.parametrize(
    ("instances", "source"),
    [
        ([], None),
        ([WEB], "cgroup"),
        ([replace(WEB, source=LXD)], "lxd"),
        ([WEB, replace(WEB, name="vm", source=LXD)], "mixed"),
    ],
)
def test_the_source_is_who_the_instances_were_read_from(
    instances: list[InstanceReading], source: str | None
) -> None:
    assert source_of(reading(100.0, *instances)) == source


@pytest.mark.parametrize(
    ("earlier", "percent"),
    [
        (None, 25.0),  # the mean since boot
        (HOST, 25.0),  # the kernel's clock has not ticked since
        (dataclasses.replace(HOST, cpu_busy_s=49.0, cpu_total_s=190.0), 10.0),
        (dataclasses.replace(HOST, cpu_busy_s=40.0, cpu_total_s=190.0), 100.0),
        (dataclasses.replace(HOST, cpu_busy_s=50.0, cpu_total_s=190.0), 0.0),
        (
            dataclasses.replace(HOST, cpu_busy_s=51.0, cpu_total_s=190.0),
            0.0,
        ),  # the kernel's idle may go back
    ],
)
def test_the_host_s_cpu_is_the_share_of_all_its_cores(
    earlier: HostReading | None, percent: float
) -> None:
    before = None if earlier is None else taken(100.0, host=earlier)

    sample = host_sample(before, reading(105.0))

    assert sample.cpu_percent == percent
    assert (sample.cpu_cores, sample.memory_total, sample.memory_used) == (2, 1000, 400)
    assert sample.load_1 == 0.5


@pytest.mark.parametrize(
    ("pools", "used", "total"),
    [
        (POOLS, 20, 80),
        (Pools({"other": Space(used=1, total=2)}, "default"), 3, 9),
        (Pools({}), 3, 9),
    ],
)
def test_the_host_s_disk_is_the_default_pool_or_the_root_file_system(
    pools: Pools, used: int, total: int
) -> None:
    sample = host_sample(None, dataclasses.replace(reading(105.0), pools=pools))

    assert (sample.disk_used, sample.disk_total) == (used, total)


def test_the_host_s_network_has_totals_and_rates() -> None:
    sample = host_sample(taken(100.0), reading(105.0))

    assert (sample.network_rx, sample.network_tx) == (105, 105)
    assert (sample.network_rx_rate, sample.network_tx_rate) == (1.0, 1.0)


def test_the_traffic_of_a_host_without_network_hardware_is_unknown() -> None:
    bare = dataclasses.replace(reading(105.0), network=Traffic(0, 0, frozenset()))

    sample = host_sample(taken(100.0), bare)

    assert (sample.network_rx, sample.network_rx_rate) == (None, None)


def sampled(host: HostReading, pools: Pools = POOLS, earlier: HostReading = HOST) -> Sampled:
    later = dataclasses.replace(reading(105.0, host=host), pools=pools)
    return Sampled(
        epoch=1,
        sequence=1,
        at="",
        interval_s=5.0,
        source=LXD,
        host=host_sample(taken(100.0, host=earlier), later),
        instances=[],
    )


WHOLE = st.integers(-(2**70), 2**70)
REAL = st.floats()
SPACES = st.builds(Space, used=WHOLE, total=WHOLE)
HOSTS = st.builds(
    HostReading,
    cpus=st.integers(0, 2**40),
    cpu_busy_s=REAL,
    cpu_total_s=REAL,
    memory_total=WHOLE,
    memory_used=WHOLE,
    root_space=SPACES,
    load_1=REAL | st.none(),
)


@pytest.mark.attack
@given(host=HOSTS, earlier=HOSTS, spaces=st.dictionaries(st.just("default"), SPACES))
def test_whatever_is_read_of_a_host_its_sample_is_read(
    host: HostReading, earlier: HostReading, spaces: dict[str, Space]
) -> None:
    sample = sampled(host, Pools(spaces, "default"), earlier)

    assert decode(Sampled, encode(sample)) == sample


@pytest.mark.parametrize("load", [math.nan, math.inf, -1.0, 2.0**63])
def test_a_load_that_is_none_is_unknown(load: float) -> None:
    assert sampled(dataclasses.replace(HOST, load_1=load)).host.load_1 is None


def test_a_share_of_no_cpu_at_all_is_no_error() -> None:
    sample = sample_of(WEB, replace(WEB, cpu_ns=15 * S, cpus=0.0))

    assert sample.cpu_percent == 0.0


def test_a_use_or_rate_beyond_all_bounds_is_unknown() -> None:
    most = 2**63 - 1
    grown = replace(WEB, cpu_ns=most, disk=DiskTraffic(most, most))

    sample = sample_of(WEB, grown, elapsed_s=1e-9)

    assert (sample.cpu_core_percent, sample.disk_read_rate) == (None, None)
    assert sample.cpu_percent == 100.0


def large(number: int, addresses: int = 64) -> InstanceSample:
    address = Address(device="eth0", family="inet6", address="f" * 64, scope="global")
    return InstanceSample(name=f"i{number}", uuid="u", addresses=(address,) * addresses)


def test_as_many_samples_as_a_host_has_are_sent_as_they_are() -> None:
    samples = [large(number) for number in range(900)]
    dropped = Dropped()

    assert within_message(samples, dropped) == samples
    assert dropped == {}


@pytest.mark.attack
def test_of_samples_that_no_message_holds_the_largest_lose_their_lists() -> None:
    small = [large(number, addresses=1) for number in range(1500)]
    samples = [*small, *[large(number, addresses=200) for number in range(1500, 3500)]]
    dropped = Dropped()

    sent = within_message(samples, dropped)

    assert sent[:1500] == small
    assert [each.name for each in sent] == [each.name for each in samples]
    assert sum(len(encode(each)) for each in sent) < MAX_BYTES[Sampled]
    assert dropped["too_many"] == sum(not each.addresses for each in sent) > 0


def test_no_more_instances_are_sent_than_a_message_may_hold() -> None:
    samples = [large(number, addresses=0) for number in range(10_001)]
    dropped = Dropped()

    assert within_message(samples, dropped) == samples[:10_000]
    assert dropped == {"too_many": 1}


@pytest.mark.attack
def test_instances_that_are_too_much_even_without_lists_are_left_out() -> None:
    longest = "\U0001f600" * 255
    one = replace(large(0, addresses=0), project=longest, uuid=longest)
    samples = [one] * 10_000
    dropped = Dropped()

    sent = within_message(samples, dropped)

    assert sent == samples[: len(sent)]
    assert sum(len(encode(each)) for each in sent) < MAX_BYTES[Sampled]
    assert dropped["too_many"] >= 10_000 - len(sent) > 0
