"""`start` again at once after a failed start: "500, Instance is busy running a stop operation".

After a failed start LXD tidies up for a second, and refuses everything else meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.broker import Broker
from tests.support.fleet import Fleet, fleet_of_one
from tests.support.polling import wait_until

BROKEN = {"raw.lxc": "lxc.init.cmd = /does/not/exist"}


@pytest.fixture(scope="module")
def fleet(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with fleet_of_one(broker, tmp_path_factory.mktemp("fleet")) as running:
        yield running


def started(fleet: Fleet, vm: str) -> Any:
    answer = fleet.http.post(f"/api/v1/vms/{vm}/start", headers={"Accept-Language": "en"})
    return answer.status_code, answer.json()


def test_each_start_says_why_it_failed_itself(fleet: Fleet) -> None:
    name = fleet.on["h1"].create("broken", config=BROKEN)
    path = f"/api/v1/vms/{name}"
    wait_until(lambda: fleet.http.get(path).is_success, within_s=10)

    answers = [started(fleet, name) for _ in range(3)]

    codes = [(status, body["error"]["code"]) for status, body in answers]
    assert codes == [(500, "LXD_REFUSED")] * 3
    assert not any("busy" in body["error"]["message"] for _, body in answers)


def test_what_else_is_asked_for_then_is_done(fleet: Fleet) -> None:
    name = fleet.on["h1"].create("unwanted", config=BROKEN)
    path = f"/api/v1/vms/{name}"
    wait_until(lambda: fleet.http.get(path).is_success, within_s=10)

    failed, _ = started(fleet, name)
    deleted = fleet.http.delete(path)

    assert (failed, deleted.status_code) == (500, 200)
    assert fleet.http.get(path).status_code == 404
