"""From the kernel's texts to the directories of an instance's cgroups."""

from __future__ import annotations

import pytest

from services.metrics.sampler.cgroups.paths import directories, parse_mounts

V1 = """\
23 1 0:21 / /sys rw,nosuid - sysfs sysfs rw
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
"""
HYBRID = V1 + "41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n"
UNIFIED = "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_each_controller_of_v1_has_its_directory() -> None:
    cgroup = "4:cpu,cpuacct:/lxc.payload.web\n3:memory:/lxc.payload.web\n"

    found = directories(cgroup, parse_mounts(V1), "default", "web")

    assert found["cpuacct"] == found["cpu"] == ["/sys/fs/cgroup/cpu,cpuacct/lxc.payload.web"]
    assert found["memory"] == ["/sys/fs/cgroup/memory/lxc.payload.web"]


def test_a_hybrid_system_has_both() -> None:
    cgroup = "3:memory:/lxc.payload.web\n0::/lxc.payload.web\n"

    found = directories(cgroup, parse_mounts(HYBRID), "default", "web")

    assert found == {
        "memory": ["/sys/fs/cgroup/memory/lxc.payload.web"],
        "": ["/sys/fs/cgroup/unified/lxc.payload.web"],
    }


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/lxc.payload.web", "/lxc.payload.web"),
        ("/lxc.payload.web-1", "/lxc.payload.web-1"),  # a second daemon's namesake
        ("/lxc.payload.web/init.scope", "/lxc.payload.web"),  # where systemd puts itself
        ("/a.slice/lxc.payload.web/b/c", "/a.slice/lxc.payload.web"),
    ],
)
def test_the_path_is_the_kernel_s_up_to_the_instance_s_own_cgroup(path: str, own: str) -> None:
    found = directories(f"0::{path}\n", parse_mounts(UNIFIED), "default", "web")

    assert found == {"": [f"/sys/fs/cgroup{own}"]}


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/system.slice/cron.service",
        "/lxc.payload.website",
        "/lxc.payload.web-x",
        "/lxc.payload.other_web",
        "/lxc.monitor.web",
    ],
)
def test_the_process_of_anybody_else_has_none(path: str) -> None:
    assert directories(f"0::{path}\n", parse_mounts(UNIFIED), "default", "web") == {}


def test_an_instance_of_another_project_has_the_project_in_its_cgroup() -> None:
    cgroup = "0::/lxc.payload.lab_web\n"

    mounts = parse_mounts(UNIFIED)

    assert directories(cgroup, mounts, "lab", "web") == {"": ["/sys/fs/cgroup/lxc.payload.lab_web"]}
    assert directories(cgroup, mounts, "default", "web") == {}


def test_the_host_s_hierarchy_may_be_mounted_anywhere_from_any_root() -> None:
    # As a process sees it that has a cgroup namespace of its own, with the host's mounted at /host.
    mounts = parse_mounts(
        "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n"
        "31 23 0:26 /../.. /host rw - cgroup2 cgroup rw\n"
    )

    found = directories("0::/../../lxc.payload.web\n", mounts, "default", "web")

    assert "/host/lxc.payload.web" in found[""]


def test_a_path_outside_of_what_is_mounted_has_no_directory() -> None:
    mounts = parse_mounts("31 23 0:26 /docker/abc /sys/fs/cgroup rw - cgroup2 cgroup rw\n")

    assert directories("0::/lxc.payload.web\n", mounts, "default", "web") == {"": []}


def test_a_controller_that_is_mounted_nowhere_has_no_directory() -> None:
    found = directories("9:pids:/lxc.payload.web\n", parse_mounts(V1), "default", "web")

    assert found == {"pids": []}
