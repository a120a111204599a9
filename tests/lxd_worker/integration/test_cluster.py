"""One member of an LXD cluster, as its double tells of it: it lists its neighbours' instances."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from services.lxd_worker.instances.lifecycle_events import affected_instances
from services.lxd_worker.lxd.daemon import LxdDaemon
from shared.contracts.errors import LxdUnavailable
from shared.lxd.client import LxdClient
from shared.lxd.events import listen
from shared.lxd.models import LifecycleEvent
from shared.lxd.scope import LxdScope
from tests.lxd_double import DoubledInstance, LxdDouble
from tests.support.lxd_worker.wire import Omissions


@pytest.fixture
def double(tmp_path: Path) -> Iterator[LxdDouble]:
    """The member `node-1`, with `mine`; `theirs` is on its neighbour."""
    with LxdDouble(tmp_path / "lxd.socket", member="node-1") as double:
        double.add(DoubledInstance("mine", location="node-1"))
        double.add(DoubledInstance("theirs", location="node-2"))
        yield double


@pytest.fixture
def scope() -> LxdScope:
    return LxdScope()


@pytest.fixture
def daemon(double: LxdDouble, scope: LxdScope) -> LxdDaemon:
    return LxdDaemon(LxdClient(double.socket, "h1"), 1 << 30, scope, Omissions())


def test_the_neighbours_instances_are_not_told(daemon: LxdDaemon) -> None:
    told = daemon.instances()

    assert [(one.name, one.location) for one in told] == [("mine", "node-1")]
    assert daemon.instance("default", "theirs").instance is None


def test_the_neighbours_instances_are_not_touched(daemon: LxdDaemon) -> None:
    daemon.server()

    assert daemon.observe("default", "mine") is not None
    assert daemon.observe("default", "theirs") is None


def test_a_new_instance_is_made_on_this_member(daemon: LxdDaemon) -> None:
    daemon.server()

    asked = daemon.create("default", {"name": "new", "source": {"type": "none"}})
    daemon.wait(asked, 5.0)

    made = daemon.instance("default", "new").instance
    assert made is not None
    assert made.location == "node-1"


def test_what_happens_on_the_neighbour_is_not_heard(
    double: LxdDouble, daemon: LxdDaemon, scope: LxdScope
) -> None:
    daemon.server()
    opened, heard = threading.Event(), queue.Queue[LifecycleEvent]()

    def hear() -> None:
        with suppress(LxdUnavailable):
            listen(LxdClient(double.socket, "h1"), scope, opened.set, heard.put)

    listening = threading.Thread(target=hear)
    listening.start()
    assert opened.wait(timeout=5)
    double.change_state("theirs", "start")
    double.change_state("mine", "start")
    first = heard.get(timeout=5)
    double.go_away()
    listening.join(timeout=5)

    assert [one.name for one in affected_instances(first)] == ["mine"]
