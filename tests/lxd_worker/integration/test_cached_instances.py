"""What the worker answers from memory of an LXD, and when it asks again."""

from __future__ import annotations

import pytest

from services.lxd_worker.lxd.daemon import LxdDaemon
from services.lxd_worker.lxd.host_resources import LxdHostResources
from shared.contracts.errors import LxdUnavailable
from shared.lxd.client import LxdClient
from shared.lxd.models import LxdTask
from shared.lxd.scope import LxdScope
from tests.lxd_double import DoubledInstance, LxdDouble
from tests.support.lxd_worker.wire import Omissions

WEB, DB = ("default", "web"), ("default", "db")


@pytest.fixture
def double(double: LxdDouble) -> LxdDouble:
    double.add(DoubledInstance("web"))
    return double


@pytest.fixture
def daemon(double: LxdDouble) -> LxdDaemon:
    return LxdDaemon(LxdClient(double.socket, "h1"), 1 << 30, LxdScope(), Omissions())


def test_nothing_is_remembered_before_all_was_read(daemon: LxdDaemon) -> None:
    daemon.instance(*WEB)

    assert daemon.cached_instances() is None


def test_each_reading_is_remembered(double: LxdDouble, daemon: LxdDaemon) -> None:
    double.add(DoubledInstance("db"))
    daemon.instances()
    double.change_state("db", "start")

    read_again = daemon.instance(*DB).instance
    assert daemon.instance("default", "nobody").instance is None

    remembered = daemon.cached_instances()
    assert remembered is not None
    assert {name: one.status for name, one in remembered.items()} == {
        WEB: "Stopped",
        DB: "Running",
    }
    assert remembered[DB] == read_again


def test_what_is_gone_is_not_remembered(double: LxdDouble, daemon: LxdDaemon) -> None:
    daemon.instances()
    deletion = LxdClient(double.socket, "h1").delete(LxdTask, "instances", "web")
    daemon.wait(deletion.id, 5.0)

    daemon.instance(*WEB)

    assert daemon.cached_instances() == {}


def test_after_a_reading_that_failed_nothing_is_remembered(
    double: LxdDouble, daemon: LxdDaemon
) -> None:
    daemon.instances()
    double.go_away()

    with pytest.raises(LxdUnavailable):
        daemon.instance(*WEB)

    assert daemon.cached_instances() is None


@pytest.mark.parametrize(("listening", "asked"), [(True, 2), (False, 3)])
def test_what_there_is_for_new_instances_is_asked_anew_when_it_may_have_changed(
    double: LxdDouble, listening: bool, asked: int
) -> None:
    offer = LxdHostResources(LxdClient(double.socket, "h1"), lambda: listening)
    told = [offer.networks(), offer.networks()]

    offer.forget()

    assert told == [offer.networks()] * 2
    assert sum("networks" in request for request in double.requests) == asked
