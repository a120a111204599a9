"""The texts of cgroup files, as kernels write them."""

from __future__ import annotations

import pytest

from services.metrics.sampler.cgroups.files import (
    V1_MEMORY_PARTS,
    V2_MEMORY_PARTS,
    CpuTime,
    DiskCounts,
    cpu_stat,
    cpuacct_stat,
    cpuacct_usage,
    io_stat_disks,
    memory_parts,
    throttled,
    throttled_disks,
)
from shared.contracts.samples import MemoryParts

CPU_STAT = b"""\
usage_usec 1234567
user_usec 1000000
system_usec 234567
nr_periods 0
"""

THROTTLE = b"""\
254:0 Read 4096
254:0 Write 8192
254:0 Sync 0
254:0 Async 12288
254:0 Discard 0
254:0 Total 12288
7:0 Read 1
7:0 Write 2
7:0 Total 3
Total 12291
"""

IO_STAT = b"""\
254:0 rbytes=4096 wbytes=8192 rios=1 wios=2 dbytes=0 dios=0
7:3 7:2 7:1 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0
8:0
"""

# What the cgroup itself uses, and then, as `total`, with all that is below it.
V1_MEMORY_STAT = b"""\
cache 1
rss 1
swap 1
active_anon 1
hierarchical_memory_limit 9223372036854771712
total_cache 11
total_rss 12
total_shmem 13
total_mapped_file 14
total_dirty 15
total_writeback 16
total_swap 17
total_inactive_anon 18
total_active_anon 19
total_inactive_file 20
total_active_file 21
total_unevictable 22
"""
V2_MEMORY_STAT = b"""\
anon 12
file 11
kernel 99
shmem 13
file_mapped 14
file_dirty 15
file_writeback 16
inactive_anon 18
active_anon 19
inactive_file 20
active_file 21
unevictable 22
workingset_refault_anon 99
"""
PARTS = {
    "cached": 11,
    "rss": 12,
    "shmem": 13,
    "mapped": 14,
    "dirty": 15,
    "writeback": 16,
    "inactive_anon": 18,
    "active_anon": 19,
    "inactive_file": 20,
    "active_file": 21,
    "unevictable": 22,
}


def test_cpu_time_of_v2_is_in_microseconds_and_tells_its_modes() -> None:
    assert cpu_stat(CPU_STAT) == CpuTime(1_234_567_000, (1.0, 0.234567))


def test_cpu_time_of_v1_is_in_nanoseconds_and_its_modes_in_hundredths_of_a_second() -> None:
    assert cpuacct_usage(b"1234567000\n") == CpuTime(1_234_567_000, None)
    assert cpuacct_stat(b"user 100\nsystem 23\n") == (1.0, 0.23)


def test_the_disks_of_v1_are_read_their_operations_being_in_another_file() -> None:
    assert throttled_disks(THROTTLE) == {
        "254:0": DiskCounts((4096, 8192)),
        "7:0": DiskCounts((1, 2)),
    }
    assert throttled(THROTTLE) == {"254:0": (4096, 8192), "7:0": (1, 2)}


@pytest.mark.parametrize("text", [b"Total 0\n", b""])
def test_what_v1_says_of_no_disk_is_unknown(text: bytes) -> None:
    assert throttled_disks(text) is None
    assert throttled(text) is None


def test_the_disks_of_v2_are_read_those_without_numbers_left_out() -> None:
    assert io_stat_disks(IO_STAT) == {
        "254:0": DiskCounts((4096, 8192), (1, 2)),
        "7:1": DiskCounts((1, 2), (3, 4)),
    }
    assert io_stat_disks(b"") == {}


def test_the_parts_of_memory_in_v1_are_those_of_the_whole_tree() -> None:
    assert memory_parts(V1_MEMORY_PARTS, V1_MEMORY_STAT) == MemoryParts(**PARTS, swap=17)


def test_the_parts_of_memory_in_v2_have_other_names() -> None:
    assert memory_parts(V2_MEMORY_PARTS, V2_MEMORY_STAT) == MemoryParts(**PARTS)


def test_a_part_that_the_kernel_does_not_tell_is_unknown() -> None:
    assert memory_parts(V1_MEMORY_PARTS, b"total_rss 12\n") == MemoryParts(rss=12)
