"""Waiting for an operation of an LXD's, whichever way that LXD answers to who waits."""

from __future__ import annotations

import pytest

from deploy.local import lxd_api
from services.lxd_worker.lxd.daemon import LxdDaemon
from services.lxd_worker.protocols import LxdOperation
from shared.contracts.errors import LxdBusy, LxdRefused
from shared.lxd.client import LxdClient
from shared.lxd.models import LxdTask
from shared.lxd.scope import LxdScope
from tests.lxd_double import DoubledInstance, LxdDouble
from tests.support.lxd_worker.wire import Omissions


@pytest.fixture(params=[0, 500, 200], ids=["shown", "refused", "refused-late"])
def double(request: pytest.FixtureRequest, double: LxdDouble) -> LxdDouble:
    double.faults.waits_refused = request.param
    double.add(DoubledInstance("web"))
    return double


@pytest.fixture
def api(double: LxdDouble) -> LxdClient:
    return LxdClient(double.socket, "h1")


@pytest.fixture
def daemon(api: LxdClient) -> LxdDaemon:
    return LxdDaemon(api, 1 << 30, LxdScope(), Omissions())


def begin(api: LxdClient, action: str) -> str:
    path = ("instances", "web", "state")
    return api.put(LxdTask, *path, params={}, body={"action": action}).id


def test_why_an_operation_failed_is_told(
    double: LxdDouble, api: LxdClient, daemon: LxdDaemon
) -> None:
    double.faults.failures["start"] = "disk quota exceeded"

    told = daemon.wait(begin(api, "start"), 5.0)

    assert told is not None
    assert not told.running
    assert isinstance(told.error, LxdRefused)
    assert "disk quota exceeded" in str(told.error)


def test_one_that_takes_longer_runs_on(
    double: LxdDouble, api: LxdClient, daemon: LxdDaemon
) -> None:
    double.faults.duration_s["start"] = 60

    assert daemon.wait(begin(api, "start"), 0.0) == LxdOperation(running=True)


def test_one_that_was_forgotten_is_not_told(
    double: LxdDouble, api: LxdClient, daemon: LxdDaemon
) -> None:
    begun = begin(api, "start")
    double.go_away()
    double.come_back()

    assert daemon.wait(begun, 5.0) is None


def test_set_up_is_told_why_an_operation_failed(double: LxdDouble) -> None:
    double.faults.failures["start"] = "disk quota exceeded"

    with pytest.raises(LxdRefused) as caught:
        lxd_api.call(double.socket, "PUT", "/1.0/instances/web/state", {"action": "start"})

    assert caught.value.reason == "disk quota exceeded"


def test_set_up_waits_no_longer_than_it_wants(double: LxdDouble, api: LxdClient) -> None:
    double.faults.duration_s["start"] = 60

    with pytest.raises(LxdBusy, match="not over after 1 s"):
        api.call("PUT", "/1.0/instances/web/state", {"action": "start"}, timeout_s=1)
