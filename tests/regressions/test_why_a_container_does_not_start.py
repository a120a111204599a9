"""A container that does not start: all that the panel said was "forkstart ... exit status 1"."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.broker import Broker
from tests.support.fleet import Fleet, fleet_of_one
from tests.support.polling import wait_until

VMS = "/api/v1/vms"
NO_INIT = {"raw.lxc": "lxc.init.cmd = /does/not/exist", "environment.TOKEN": "s3cret"}


@pytest.fixture(scope="module")
def fleet(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet_of_one(broker, tmp_path_factory.mktemp("fleet")) as running:
        yield running


def known(fleet: Fleet, name: str) -> str:
    path = f"{VMS}/{name}"
    wait_until(lambda: fleet.http.get(path).is_success, within_s=10)
    return path


def test_the_failure_says_what_lxd_has_written_and_the_log_says_all(fleet: Fleet) -> None:
    path = known(fleet, fleet.on["h1"].create("broken", config=NO_INIT))
    before = fleet.http.get(f"{path}/log")

    started = fleet.http.post(f"{path}/start")
    operation = fleet.http.get(started.headers["location"]).json()
    log = fleet.http.get(f"{path}/log")

    assert (before.status_code, before.json()["data"]["log"]) == (200, "")
    assert started.status_code == 500
    assert "/does/not/exist" in started.json()["error"]["details"]["log"]
    assert "/does/not/exist" in operation["failure"]["log"]
    assert log.status_code == 200
    assert "/does/not/exist" in log.json()["data"]["log"]
    assert "s3cret" not in log.text


def test_one_that_starts_has_a_log_too(fleet: Fleet) -> None:
    path = known(fleet, fleet.on["h1"].launch("fine"))

    log = fleet.http.get(f"{path}/log")

    assert (log.status_code, log.json()["data"]["truncated"]) == (200, False)
