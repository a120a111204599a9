"""Cgroup files of every layout, in trees as kernels lay them out: v1, hybrid and v2."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from services.metrics.sampler.cgroups.open_cgroup import PARTS_S
from services.metrics.sampler.cgroups.open_cgroups import CgroupFiles
from services.metrics.sampler.kernel_counters import Details, DiskTraffic, InstanceEnded, Usage
from services.metrics.sampler.sanitize import Dropped
from shared.contracts.samples import BlockDevice, MemoryParts
from tests.support.sampler import WEB

PAYLOAD = "lxc.payload.web"

V1_FILES = {
    f"cpu,cpuacct/{PAYLOAD}/cpuacct.usage": "7000000000\n",
    f"cpu,cpuacct/{PAYLOAD}/cpuacct.stat": "user 500\nsystem 199\n",
    f"memory/{PAYLOAD}/memory.usage_in_bytes": "4096000\n",
    f"memory/{PAYLOAD}/memory.stat": "rss 1\ntotal_rss 3072000\ntotal_swap 8192\n",
    f"pids/{PAYLOAD}/pids.current": "12\n",
    f"blkio/{PAYLOAD}/blkio.throttle.io_service_bytes_recursive": (
        "9999:0 Read 100\n9999:0 Write 200\n9999:0 Total 300\nTotal 300\n"
    ),
    f"blkio/{PAYLOAD}/blkio.throttle.io_serviced_recursive": (
        "9999:0 Read 3\n9999:0 Write 4\n9999:0 Total 7\nTotal 7\n"
    ),
}
V1_MOUNTS = "".join(
    f"3{number} 31 0:2{number} / {{root}}/{place} rw,relatime - cgroup cgroup rw,{place}\n"
    for number, place in enumerate(["cpu,cpuacct", "memory", "pids", "blkio"])
)
V1_CGROUP = "".join(
    f"{number}:{place}:/{PAYLOAD}\n"
    for number, place in enumerate(["cpu,cpuacct", "memory", "pids", "blkio"], start=2)
)
V1_DISKS = (BlockDevice(device="vda", read_bytes=100, written_bytes=200, reads=3, writes=4),)
V1_USAGE = Usage(
    7_000_000_000,
    4_096_000,
    12,
    DiskTraffic(100, 200),
    Details(5.0, 1.99, MemoryParts(rss=3_072_000, swap=8192), V1_DISKS),
)

V2_MOUNTS = "30 23 0:26 / {root} rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V2_FILES = {
    f"{PAYLOAD}/cpu.stat": "usage_usec 8000000\nuser_usec 5000000\nsystem_usec 3000000\n",
    f"{PAYLOAD}/memory.current": "5120000\n",
    f"{PAYLOAD}/memory.stat": "anon 4000000\nfile 1000000\n",
    f"{PAYLOAD}/memory.swap.current": "16384\n",
    f"{PAYLOAD}/pids.current": "13\n",
    f"{PAYLOAD}/io.stat": (
        "9999:0 rbytes=300 wbytes=400 rios=5 wios=6 dbytes=0 dios=0\n"
        "7:0 rbytes=300 wbytes=400 rios=1 wios=1 dbytes=0 dios=0\n"  # not a real disk
    ),
    # What the guest's systemd uses itself, which is not all that the guest uses.
    f"{PAYLOAD}/init.scope/cpu.stat": "usage_usec 1\nuser_usec 1\nsystem_usec 0\n",
    f"{PAYLOAD}/init.scope/memory.current": "1\n",
}
V2_CGROUP = f"0::/{PAYLOAD}/init.scope\n"
V2_DISKS = (BlockDevice(device="vda", read_bytes=300, written_bytes=400, reads=5, writes=6),)
V2_PARTS = MemoryParts(rss=4_000_000, cached=1_000_000, swap=16384)
V2_USAGE = Usage(
    8_000_000_000, 5_120_000, 13, DiskTraffic(300, 400), Details(5.0, 3.0, V2_PARTS, V2_DISKS)
)


class Tree:
    """A root directory with what `/proc` and the cgroup mounts would hold."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now_s = 1000.0
        self.cgroups = CgroupFiles({"9999:0": "vda"}.get, lambda: self.now_s, root / "proc")

    def write(self, files: Mapping[str, str]) -> None:
        for name, text in files.items():
            file = self.root / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def lay_out(self, mounts: str, cgroup: str, files: Mapping[str, str]) -> None:
        self.write(files)
        self.write(
            {
                "proc/self/mountinfo": mounts.format(root=self.root),
                f"proc/{WEB.pid}/cgroup": cgroup,
            }
        )


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def open_files(root: Path) -> list[str]:
    links = list(Path("/proc/self/fd").iterdir())
    targets = [str(link.readlink()) for link in links if link.is_symlink()]
    return [target for target in targets if target.startswith(str(root))]


@pytest.mark.parametrize(
    ("mounts", "cgroup", "files", "usage"),
    [
        pytest.param(V1_MOUNTS, V1_CGROUP, V1_FILES, V1_USAGE, id="v1"),
        pytest.param(V2_MOUNTS, V2_CGROUP, V2_FILES, V2_USAGE, id="v2"),
        pytest.param(
            V1_MOUNTS + "39 31 0:38 / {root}/unified rw,relatime - cgroup2 cgroup2 rw\n",
            V1_CGROUP + f"0::/{PAYLOAD}\n",
            V1_FILES | {f"unified/{PAYLOAD}/cpu.stat": V2_FILES[f"{PAYLOAD}/cpu.stat"]},
            V1_USAGE,
            id="hybrid",
        ),
        pytest.param(
            V1_MOUNTS.replace("memory", "net_cls")
            + "39 31 0:38 / {root}/unified rw,relatime - cgroup2 cgroup2 rw\n",
            V1_CGROUP.replace("memory", "net_cls") + f"0::/{PAYLOAD}\n",
            V1_FILES
            | {
                f"unified/{PAYLOAD}/{name}": V2_FILES[f"{PAYLOAD}/{name}"]
                for name in ("memory.current", "memory.stat", "memory.swap.current")
            },
            Usage(
                7_000_000_000,
                5_120_000,
                12,
                DiskTraffic(100, 200),
                Details(5.0, 1.99, V2_PARTS, V1_DISKS),
            ),
            id="hybrid, memory being v2's",
        ),
    ],
)
def test_all_figures_are_read_in_every_layout(
    tree: Tree, mounts: str, cgroup: str, files: Mapping[str, str], usage: Usage
) -> None:
    tree.lay_out(mounts, cgroup, files)

    assert tree.cgroups.read(WEB, Dropped()) == usage


def test_what_a_kernel_does_not_count_is_unknown(tree: Tree) -> None:
    only_cpu = {f"cpu,cpuacct/{PAYLOAD}/cpuacct.usage": "7000000000\n"}

    tree.lay_out(V1_MOUNTS, V1_CGROUP, only_cpu)

    assert tree.cgroups.read(WEB, Dropped()) == Usage(7_000_000_000, None, None, None, Details())


def test_a_disk_whose_operations_are_not_counted_has_bytes_only(tree: Tree) -> None:
    operations = f"blkio/{PAYLOAD}/blkio.throttle.io_serviced_recursive"
    tree.lay_out(V1_MOUNTS, V1_CGROUP, V1_FILES | {operations: "Total 0\n"})

    usage = tree.cgroups.read(WEB, Dropped())

    assert usage is not None
    assert usage.details.block_devices == (
        BlockDevice(device="vda", read_bytes=100, written_bytes=200),
    )


def test_the_parts_of_memory_are_read_anew_after_a_while(tree: Tree) -> None:
    tree.lay_out(V2_MOUNTS, V2_CGROUP, V2_FILES)
    tree.cgroups.read(WEB, Dropped())
    tree.write({f"{PAYLOAD}/memory.stat": "anon 7\n", f"{PAYLOAD}/memory.swap.current": "8\n"})

    tree.now_s += PARTS_S - 0.1
    soon = tree.cgroups.read(WEB, Dropped())
    tree.now_s += 0.1
    later = tree.cgroups.read(WEB, Dropped())

    assert soon is not None
    assert later is not None
    assert soon.details.memory == V2_PARTS
    assert later.details.memory == MemoryParts(rss=7, swap=8)


def test_files_are_opened_once_and_show_the_latest(tree: Tree) -> None:
    tree.lay_out(V2_MOUNTS, V2_CGROUP, V2_FILES)
    tree.cgroups.read(WEB, Dropped())
    opened = open_files(tree.root)

    tree.write({f"{PAYLOAD}/memory.current": "6000000\n"})
    usage = tree.cgroups.read(WEB, Dropped())

    assert usage is not None
    assert usage.memory == 6_000_000
    assert open_files(tree.root) == opened
    assert len(opened) == 6


def test_a_cgroup_in_which_nothing_runs_any_more_is_of_a_run_that_has_ended(tree: Tree) -> None:
    tree.lay_out(V2_MOUNTS, V2_CGROUP, V2_FILES)
    tree.cgroups.read(WEB, Dropped())
    tree.write({f"{PAYLOAD}/pids.current": "0\n"})

    with pytest.raises(InstanceEnded):
        tree.cgroups.read(WEB, Dropped())

    assert open_files(tree.root) == []


def test_the_files_of_what_does_not_run_any_more_are_closed(tree: Tree) -> None:
    tree.lay_out(V2_MOUNTS, V2_CGROUP, V2_FILES)
    tree.cgroups.read(WEB, Dropped())

    tree.cgroups.forget_others([replace(WEB, pid=WEB.pid + 1)])

    assert open_files(tree.root) == []


def test_a_process_that_is_gone_has_ended_where_others_were_read_before(tree: Tree) -> None:
    tree.lay_out(V2_MOUNTS, V2_CGROUP, V2_FILES)
    tree.cgroups.read(WEB, Dropped())

    with pytest.raises(InstanceEnded):
        tree.cgroups.read(replace(WEB, name="db", pid=43), Dropped())


@pytest.mark.parametrize(
    "cgroup", ["0::/\n", "0::/system.slice/cron.service\n", "0::/lxc.payload.other\n"]
)
def test_the_process_of_somebody_else_is_not_taken_for_the_instance(
    tree: Tree, cgroup: str
) -> None:
    others = {"lxc.payload.other/cpu.stat": V2_FILES[f"{PAYLOAD}/cpu.stat"]}
    tree.lay_out(V2_MOUNTS, cgroup, V2_FILES | others)

    assert tree.cgroups.read(WEB, Dropped()) is None
    assert open_files(tree.root) == []


def test_where_processes_cannot_be_seen_nothing_is_read(tree: Tree) -> None:
    tree.lay_out(V2_MOUNTS, V2_CGROUP, V2_FILES)

    assert tree.cgroups.read(replace(WEB, pid=43), Dropped()) is None


def test_where_cgroups_are_not_mounted_nothing_is_read(tree: Tree) -> None:
    tree.lay_out("", V2_CGROUP, V2_FILES)

    assert tree.cgroups.read(WEB, Dropped()) is None


def test_a_virtual_machine_is_never_read(tree: Tree) -> None:
    tree.lay_out(V2_MOUNTS, V2_CGROUP, V2_FILES)

    assert tree.cgroups.read(replace(WEB, kind="virtual-machine"), Dropped()) is None
