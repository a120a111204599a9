"""How much is read of the interfaces that a guest makes, in a tree as `/proc` is."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from services.metrics.sampler.proc_net_dev import ProcNetDev
from services.metrics.sampler.sanitize import Dropped
from shared.lxd.models import NetworkCounters

HEADER = b"Inter-|   Receive\n face |bytes\n"


class Tree:
    """A `/proc` in which a process has so many interfaces, and the host itself."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def write(self, place: str, interfaces: int) -> None:
        file = self._root / place / "net" / "dev"
        file.parent.mkdir(parents=True, exist_ok=True)
        lines = [b"veth%08x: 1 2 0 0 0 0 0 0 3 4 0 0 0 0 0 0\n" % n for n in range(interfaces)]
        file.write_bytes(HEADER + b"".join(lines))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def test_all_interfaces_of_a_guest_are_summed(tree: Tree, tmp_path: Path) -> None:
    tree.write("42", 400)

    traffic = ProcNetDev(tmp_path).inside(42, [], Dropped())

    assert traffic is not None
    assert (traffic.received, traffic.sent) == (400, 1200)


@pytest.mark.attack
def test_interfaces_of_a_guest_without_end_are_not_read(tree: Tree, tmp_path: Path) -> None:
    tree.write("42", 200_000)
    network, dropped = ProcNetDev(tmp_path), Dropped()
    began = time.process_time()

    traffic = network.inside(42, [], dropped)

    assert traffic is None
    assert dropped == {"too_many": 1}
    assert time.process_time() - began < 0.1


def test_a_guest_that_is_gone_has_no_traffic(tmp_path: Path) -> None:
    assert ProcNetDev(tmp_path).inside(42, [], Dropped()) is None


def test_every_interface_of_the_host_is_read(tree: Tree, tmp_path: Path) -> None:
    tree.write("", 20_000)

    network = ProcNetDev(tmp_path).host(Dropped())

    assert len(network.counters) == 20_000
    assert network.counters["veth00000000"] == NetworkCounters(1, 3, 2, 4, 0, 0, 0, 0)
    assert network.hardware == set()
