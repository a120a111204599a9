"""A cgroup directory called `g\\xff`, or one with a line separator, stopped its host's samples."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.metrics.sampler.cgroups.open_cgroups import CgroupFiles
from services.metrics.sampler.sanitize import Dropped
from tests.support.sampler import WEB

pytestmark = pytest.mark.attack


@pytest.mark.parametrize("child", [b"g\xff", b"g\x0bh", "g\u2028h".encode(), b"g:h"])
def test_a_container_whose_init_is_in_such_a_cgroup_is_measured(
    tmp_path: Path, child: bytes
) -> None:
    files = {
        "proc/self/mountinfo": b"30 23 0:26 / %s rw - cgroup2 none\xff rw\n" % bytes(tmp_path),
        f"proc/{WEB.pid}/cgroup": b"0::/lxc.payload.web/%s\n" % child,
        "lxc.payload.web/cpu.stat": b"usage_usec 8\nuser_usec 5\nsystem_usec 3\n",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    cgroups = CgroupFiles(lambda _: None, lambda: 0.0, tmp_path / "proc")

    usage = cgroups.read(WEB, Dropped())

    assert usage is not None
    assert usage.cpu_ns == 8000
