"""A customer escaped suspension: stop, restart and delete of a container ended as `unknown`.

Its first process was called by a name of which the kernel had cut the last letter in two.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.lxd_worker.lxd.daemon import LxdDaemon
from shared.lxd.client import LxdClient
from shared.lxd.scope import LxdScope
from tests.lxd_double import DoubledInstance, LxdDouble
from tests.support.lxd_worker.wire import Omissions

pytestmark = pytest.mark.attack

RUNNING = "Running"


@pytest.fixture
def my_name() -> Iterator[Path]:
    """The name of this process, which is put back afterwards."""
    name = Path("/proc/self/comm")
    before = name.read_bytes()
    yield name
    name.write_bytes(before)


def test_an_instance_is_looked_at_whatever_its_first_process_is_called(
    tmp_path: Path, my_name: Path
) -> None:
    omit = Omissions()
    with LxdDouble(tmp_path / "lxd.socket") as double:
        web = double.add(DoubledInstance("web", status=RUNNING))
        web.pid = os.getpid()
        daemon = LxdDaemon(LxdClient(double.socket, "h1"), 1 << 30, LxdScope(), omit)

        my_name.write_bytes("abcdefghijklmn\u00e9".encode())
        seen = daemon.observe("default", "web")

    assert my_name.read_bytes() == "abcdefghijklmn\u00e9".encode()[:15] + b"\n"
    assert seen is not None
    assert seen.init is not None
    assert seen.init.pid == os.getpid()
