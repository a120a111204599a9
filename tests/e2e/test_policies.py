"""A policy, from the service that keeps it to the snapshots of a real LXD."""

from __future__ import annotations

import contextlib

from shared.contracts.errors import SnapshotsUnavailable
from shared.contracts.policies import PolicyRun, Retention, RunState, Schedule, Selection
from tests.support.fleet import Fleet
from tests.support.polling import wait_until
from tests.support.snapshots import PolicyCaller, a_policy

HOST = "h1"
# Two slots of a policy of each minute, and some for the machine.
PATIENCE_S = 150.0


def taken(caller: PolicyCaller, uuid: str) -> list[PolicyRun]:
    """Return the runs of an instance that brought a snapshot, newest first."""
    runs = caller.runs(uuid=uuid, state=RunState.TAKEN).runs
    return [each.run for each in runs if each.host == HOST]


def test_a_host_carries_out_its_plan_while_central_services_are_away_and_tells_of_it_later(
    fleet: Fleet,
) -> None:
    instances = fleet.on[HOST]
    name = instances.launch("kept")
    uuid = instances.lxd.uuid_of(name)
    snapshots = fleet.processes["snapshots"]
    with contextlib.closing(PolicyCaller(fleet.vhost.uri)) as caller:
        policy = caller.create(
            a_policy(
                "minutely",
                schedule=Schedule(cron="* * * * *"),
                selection=Selection(hosts=(HOST,), names=(name,)),
                retention=Retention(keep_last=1),
            )
        )
        wait_until(
            lambda: (plan := caller.plan(HOST)) and plan.carried_version and plan.clock_trusted,
            within_s=60,
            seen=fleet.logs,
        )

        for service in (snapshots, fleet.processes["gateway"]):
            service.kill()
        path = f"/1.0/instances/{name}/snapshots"
        wait_until(lambda: instances.lxd.call("GET", path), within_s=PATIENCE_S, every_s=0.5)
        for service in (snapshots, fleet.processes["gateway"]):
            service.start()

        first = wait_until(
            lambda: taken(caller, uuid), within_s=60, ignoring=(SnapshotsUnavailable, TimeoutError)
        )[-1]
        assert (first.policy, first.instance) == ("minutely", name)
        # The next one takes its place.
        wait_until(
            lambda: any(first.snapshot in run.pruned for run in taken(caller, uuid)),
            within_s=PATIENCE_S,
            seen=fleet.logs,
        )
        assert len(instances.lxd.call("GET", path)) == 1
        caller.delete(policy.id)
