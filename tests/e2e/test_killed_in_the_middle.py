"""A change is carried out once and ends in the truth, whichever service dies while it is made.

The client does what clients do: it repeats the request under its Idempotency-Key until it hears
something else than that the fleet is not there.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any

import httpx
import pytest

from tests.support.fleet import Fleet
from tests.support.lifecycle import Lifecycle
from tests.support.polling import wait_until

HOST = "h2"
AWAY = {"host_unreachable", "lxd_unavailable", "broker_unavailable", "fleet_view_not_ready"}

# What LXD says when it has done what the request asks for.
DONE = {"restart": "restarted", "stop": "stopped", "delete": "deleted"}


@pytest.fixture
def lifecycle(fleet: Fleet) -> Iterator[Lifecycle]:
    with closing(Lifecycle(fleet.on[HOST].lxd.socket)) as heard:
        yield heard


def asked(fleet: Fleet, kind: str, name: str, key: str) -> httpx.Response:
    method, path = ("DELETE", "") if kind == "delete" else ("POST", f"/{kind}")
    return httpx.request(
        method,
        f"{fleet.url}/api/instances/{name}{path}",
        params={"force": "true"},
        headers={"Idempotency-Key": key},
        timeout=90,
    )


def asked_until_heard(fleet: Fleet, kind: str, name: str) -> httpx.Response:
    key, answers = secrets.token_hex(8), []

    def heard() -> bool:
        with suppress(httpx.TransportError):
            answers.append(asked(fleet, kind, name, key))
        return bool(answers) and answers[-1].json().get("code") not in AWAY

    wait_until(heard, within_s=40, seen=lambda: answers)
    return answers[-1]


def shown(fleet: Fleet, name: str) -> str:
    answer = fleet.http.get(f"/api/instances/{name}")
    return "gone" if answer.status_code == 404 else str(answer.json()["info"]["status"])


def actual(fleet: Fleet, name: str) -> str:
    paths = fleet.on[HOST].lxd.call("GET", "/1.0/instances")
    return fleet.on[HOST].status(name) if f"/1.0/instances/{name}" in paths else "gone"


def operations(fleet: Fleet, name: str) -> list[dict[str, Any]]:
    return list(fleet.http.get("/api/operations", params={"instance": name}).json())


@pytest.mark.parametrize(
    "after_s",
    [pytest.param(0.02, marks=pytest.mark.slow), 0.06, pytest.param(0.2, marks=pytest.mark.slow)],
)
@pytest.mark.parametrize("kind", DONE)
@pytest.mark.parametrize("victim", [f"worker-{HOST}", "gateway"])
def test_a_repeated_request_is_carried_out_once_and_its_outcome_is_true(
    fleet: Fleet, lifecycle: Lifecycle, victim: str, kind: str, after_s: float
) -> None:
    name = fleet.on[HOST].launch(f"{victim[0]}-{kind}-{round(after_s * 100)}")
    wait_until(lambda: shown(fleet, name) == "Running", within_s=5)

    with ThreadPoolExecutor(1) as client:
        hearing = client.submit(asked_until_heard, fleet, kind, name)
        time.sleep(after_s)
        fleet.processes[victim].restart()
        answer = hearing.result()

    fleet.wait_until_ready()
    listed = operations(fleet, name)
    (told,) = [one for one in listed if one["id"] == answer.headers["x-operation-id"]]
    others = [one["state"] for one in listed if one is not told]
    assert told["final"]
    assert told["state"] == ("done" if answer.is_success else "failed")
    assert set(others) <= {"rejected"}
    assert lifecycle.of(name).count(DONE[kind]) == (1 if answer.is_success else 0)
    assert shown(fleet, name) == actual(fleet, name)


@pytest.mark.parametrize("victim", [f"worker-{HOST}", "gateway"])
def test_who_died_holds_no_instance_back(fleet: Fleet, victim: str) -> None:
    name = fleet.on[HOST].launch(f"free-{victim[0]}")
    wait_until(lambda: shown(fleet, name) == "Running", within_s=5)
    with ThreadPoolExecutor(1) as client:
        hearing = client.submit(asked_until_heard, fleet, "restart", name)
        time.sleep(0.05)
        fleet.processes[victim].restart()
        hearing.result()

    assert asked_until_heard(fleet, "stop", name).is_success
    assert shown(fleet, name) == actual(fleet, name) == "Stopped"
