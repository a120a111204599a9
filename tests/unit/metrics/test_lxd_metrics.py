"""What LXD's metrics tell of instances, in the form that LXD 5.0 writes them."""

from __future__ import annotations

import pytest

from services.metrics.domain.lxd_metrics import details_in
from services.metrics.domain.usage import Details
from shared.contracts.instances import BlockDevice, MemoryParts

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
    details = details_in(metrics)

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
    assert details_in("# EOF\n") == {}
