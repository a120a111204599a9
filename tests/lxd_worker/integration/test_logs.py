"""LXD's logs through the adapter: found where they are, cut, and never the cause of a failure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.lxd_worker.lxd.daemon import LxdDaemon
from services.lxd_worker.lxd.host_resources import LxdHostResources
from shared.contracts.errors import LxdUnavailable
from shared.contracts.hosts import VIRTUAL_MACHINE
from shared.contracts.worker_api import MOST_LOG
from shared.lxd.client import LxdClient
from shared.lxd.scope import LxdScope
from tests.lxd_double import DoubledInstance, LxdDouble
from tests.support.lxd_worker.wire import Omissions


@pytest.fixture
def double(tmp_path: Path) -> Iterator[LxdDouble]:
    with LxdDouble(tmp_path / "lxd.socket") as double:
        yield double


@pytest.fixture
def daemon(double: LxdDouble) -> LxdDaemon:
    api = LxdClient(double.socket, "h1")
    return LxdDaemon(api, 1 << 30, LxdScope(), Omissions())


@pytest.mark.parametrize("kind", ["container", VIRTUAL_MACHINE])
@pytest.mark.parametrize("project", ["default", "shop"])
def test_a_log_is_read_whatever_its_file_is_called(
    double: LxdDouble, daemon: LxdDaemon, kind: str, project: str
) -> None:
    double.add(DoubledInstance("web", type=kind, log=b"why\n", project=project))

    assert daemon.start_log(project, "web") == "why\n"


def test_an_empty_log_is_one_and_where_there_is_none_there_is_none(
    double: LxdDouble, daemon: LxdDaemon
) -> None:
    double.add_all([DoubledInstance("empty", log=b""), DoubledInstance("none", log=None)])

    assert [daemon.start_log("default", name) for name in ("empty", "none", "nix")] == [
        "",
        None,
        None,
    ]


def test_of_a_long_log_the_end_is_read(double: LxdDouble, daemon: LxdDaemon) -> None:
    double.add(DoubledInstance("web", log=b"x" * (1 << 20) + b"the end"))

    log = daemon.start_log("default", "web")

    assert log is not None
    assert log.endswith("the end")
    assert MOST_LOG < len(log) < 1 << 20


def test_a_log_that_vanishes_meanwhile_may_be_told_later(
    double: LxdDouble, daemon: LxdDaemon
) -> None:
    double.add(DoubledInstance("web", log=b"why"))
    double.faults.refused["/1.0/instances/web/logs/lxc.log"] = 500

    with pytest.raises(LxdUnavailable):
        daemon.start_log("default", "web")


def test_the_projects_of_a_host_are_told(double: LxdDouble) -> None:
    double.add(DoubledInstance("web", project="shop"))
    api = LxdClient(double.socket, "h1")

    assert LxdHostResources(api, lambda: False).projects() == ["default", "shop"]
