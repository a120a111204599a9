"""What LXD's metrics tell of instances, in the form that LXD 5.0 writes them."""

from __future__ import annotations

import time

import pytest

from services.metrics.sampler.kernel_counters import Details
from services.metrics.sampler.lxd_metrics import details_in
from services.metrics.sampler.sanitize import Dropped
from shared.contracts.samples import BlockDevice, MemoryParts

WEB = 'name="web",project="default",type="container"'
DB = 'name="db",project="shop",type="virtual-machine"'

METRICS = f"""\
# HELP lxd_cpu_seconds_total The total number of CPU time used in seconds.
# TYPE lxd_cpu_seconds_total counter
lxd_cpu_seconds_total{{cpu="0",mode="system",{WEB}}} 0.25
lxd_cpu_seconds_total{{cpu="1",mode="system",{WEB}}} 0.5
lxd_cpu_seconds_total{{cpu="0",mode="user",{WEB}}} 1.5
lxd_cpu_seconds_total{{cpu="0",mode="iowait",{DB}}} 7
lxd_disk_read_bytes_total{{device="vda",{WEB}}} 4096
lxd_disk_reads_completed_total{{device="vda",{WEB}}} 1
lxd_disk_written_bytes_total{{device="vda",{WEB}}} 1.2345678e+07
lxd_disk_writes_completed_total{{device="vda",{WEB}}} 2
lxd_disk_read_bytes_total{{device="half",{WEB}}} 1
lxd_memory_RSS_bytes{{{WEB}}} 2.1000192e+07
lxd_memory_Cached_bytes{{{DB}}} 4096
lxd_memory_MemTotal_bytes{{{WEB}}} 6.7108864e+07
lxd_uptime_seconds 5
"""


@pytest.mark.parametrize("metrics", [METRICS, METRICS.replace("lxd_", "incus_")])
def test_details_are_told_of_each_instance(metrics: str) -> None:
    details = details_in(metrics, Dropped())

    assert details == {
        ("default", "web"): Details(
            cpu_user_s=1.5,
            cpu_system_s=0.75,
            memory=MemoryParts(rss=21000192),
            block_devices=(
                BlockDevice(
                    device="vda", read_bytes=4096, written_bytes=12345678, reads=1, writes=2
                ),
            ),
        ),
        ("shop", "db"): Details(memory=MemoryParts(cached=4096)),
    }


def test_nothing_is_told_where_nothing_runs() -> None:
    assert details_in("# EOF\n", Dropped()) == {}


@pytest.mark.attack
@pytest.mark.parametrize(
    "line",
    [
        f"lxd_memory_RSS_bytes{{{DB}}} nan",
        f"lxd_memory_RSS_bytes{{{DB}}} +Inf",
        f"lxd_memory_RSS_bytes{{{DB}}} -1",
        f"lxd_memory_RSS_bytes{{{DB}}} 1.8446744073709552e+19",
        f"lxd_memory_RSS_bytes{{{DB}}} much",
        'lxd_memory_RSS_bytes{project="shop"} 1',
        f"lxd_cpu_seconds_total{{{DB}}} 1",
        f"lxd_disk_read_bytes_total{{{DB}}} 1",
        # LXD does not escape what an agent calls its disks.
        f'lxd_disk_read_bytes_total{{device="x",{WEB}",{DB}}} 1',
        f'lxd_disk_read_bytes_total{{device="x",name="web",{DB}}} 1',
        f'lxd_disk_read_bytes_total{{device="x"y",{DB}}} 1',
    ],
)
def test_a_line_that_cannot_be_true_is_left_out_and_counted(line: str) -> None:
    dropped = Dropped()

    assert details_in(f"{METRICS}{line}\n", dropped) == details_in(METRICS, Dropped())
    assert dropped.total() == 1


@pytest.mark.attack
def test_of_whom_two_lines_tell_the_same_nothing_is_believed_and_of_others_all() -> None:
    forged = f'lxd_disk_read_bytes_total{{device="vda",{WEB}}} 1\n'

    details = details_in(METRICS + forged, Dropped())

    assert details[("default", "web")] == Details()
    assert details[("shop", "db")] == Details(memory=MemoryParts(cached=4096))


@pytest.mark.attack
def test_a_name_without_end_is_read_in_linear_time() -> None:
    endless = f'lxd_disk_read_bytes_total{{device="{"lxd_" * 500_000}",{DB}}} 1\n'
    began = time.process_time()

    details = details_in(METRICS + endless, Dropped())

    assert time.process_time() - began < 5
    assert details == details_in(METRICS, Dropped())
