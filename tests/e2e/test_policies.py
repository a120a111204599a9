"""A policy, from the service that keeps it to the snapshots of a real LXD."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.fleet import Fleet
from tests.support.polling import wait_until

HOST = "h1"
# Two slots of a policy of each minute, and some for the machine.
PATIENCE_S = 150.0
AWAY = (httpx.HTTPError, KeyError)


def has_its_plan(fleet: Fleet) -> bool:
    """Tell whether the host carries out the plan that it is to have, and trusts its clock."""
    plans = fleet.http.get("/api/v1/policies/plans").json()["data"]["plans"]
    return any(plan["host"] == HOST and plan["current"] and plan["clockTrusted"] for plan in plans)


def taken(fleet: Fleet, policy: str) -> list[dict[str, Any]]:
    """Return the runs of a policy that brought a snapshot, newest first."""
    path = f"/api/v1/policies/{policy}/runs"
    return list(fleet.http.get(path, params={"state": "taken"}).json()["data"]["runs"])


def test_a_host_carries_out_its_plan_while_central_services_are_away_and_tells_of_it_later(
    fleet: Fleet,
) -> None:
    instances = fleet.on[HOST]
    name = instances.launch("kept")
    central = [fleet.processes["snapshots"], fleet.processes["gateway"]]
    path = f"/1.0/instances/{name}/snapshots"

    created = fleet.http.post(
        "/api/v1/policies",
        json={
            "name": "minutely",
            "schedule": {"cron": "* * * * *"},
            "selection": {"hosts": [HOST], "names": [name]},
            "retention": {"keepLast": 1},
        },
    )
    assert created.status_code == 201, created.text
    policy = created.json()["data"]["id"]
    wait_until(lambda: has_its_plan(fleet), within_s=60, seen=fleet.logs)

    for service in central:
        service.kill()
    wait_until(lambda: instances.lxd.call("GET", path), within_s=PATIENCE_S, every_s=0.5)
    for service in central:
        service.start()

    first = wait_until(lambda: taken(fleet, policy), within_s=60, ignoring=AWAY, seen=fleet.logs)[
        -1
    ]
    assert first["snapshot"].startswith("minutely-")
    # The next one takes its place.
    wait_until(
        lambda: any(first["snapshot"] in run["pruned"] for run in taken(fleet, policy)),
        within_s=PATIENCE_S,
        seen=fleet.logs,
    )
    assert len(instances.lxd.call("GET", path)) == 1
    assert fleet.http.delete(f"/api/v1/policies/{policy}").is_success
    assert fleet.http.get(f"/api/v1/policies/{policy}").status_code == 404
