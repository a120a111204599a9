"""What central services ask of a worker that carries out policies, and what it tells them."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from shared.contracts.codec import from_wire, to_wire
from shared.contracts.events import PolicyRunChanged, ProtectionReported
from shared.contracts.policies import (
    Policy,
    PolicyRun,
    ProtectionState,
    RunRequest,
    RunsStarted,
    RunState,
    Schedule,
    Selection,
)
from shared.policies.moments import parse_moment
from shared.policies.naming import snapshot_name
from tests.support.bus_side import BusSide
from tests.support.lxd import Instances
from tests.support.lxd_worker.policies import a_plan, a_policy

# Due once in four years: runs are requested.
SELDOM = Schedule(cron="0 0 29 2 *")
_versions = iter(range(1, 1000))


@dataclass
class Centre:
    """A centre with one host; runs are requested for seconds of a minute.

    `pattern` names the snapshots.
    """

    bus: BusSide
    instances: Instances
    pattern: str = "{policy}-{time}"

    def give(self, *policies: Policy, clock: float | None = None) -> None:
        """Give the host a new plan; `clock` is the centre's, if it is another one."""
        now = time.time() if clock is None else clock
        self.bus.call("set_plan", to_wire(a_plan(*policies, version=next(_versions), clock=now)))

    def policy(self, *names: str, **changes: Any) -> Policy:
        """Return a policy for these instances."""
        own: dict[str, Any] = {"schedule": SELDOM, "pattern": self.pattern}
        return a_policy(**(own | {"selection": Selection(names=names)} | changes))

    def run(self, policy: Policy, second: int, **changes: Any) -> int:
        """Run a policy now; return for how many instances."""
        request = RunRequest(policy_id=policy.id, at=f"2026-11-29T12:00:{second:02}Z")
        answer = self.bus.call("run_policy", to_wire(replace(request, **changes)))
        return from_wire(RunsStarted, answer).instances

    def over(self, name: str, second: int) -> PolicyRun:
        """Wait until a run is told that is over, with all that it prunes."""
        at = f"2026-11-29T12:00:{second:02}Z"

        def told() -> PolicyRun | None:
            runs = [one.run for one in self.bus.of(PolicyRunChanged)]
            mine = [run for run in runs if (run.instance, run.slot) == (name, at)]
            return mine[-1] if mine and mine[-1].state is not RunState.RUNNING else None

        return self.bus.until(told)

    def taken(self, name: str, *seconds: int) -> None:
        """Run the policy that selects an instance, and wait for each run's end."""
        for second in seconds:
            self.run(self.policy(name), second)
            assert self.over(name, second).state is RunState.TAKEN

    def snapshots(self, name: str) -> list[str]:
        """Return the names of an instance's snapshots in LXD."""
        listed = self.instances.lxd.call("GET", f"/1.0/instances/{name}/snapshots")
        return [path.rpartition("/")[2] for path in listed]

    def until_there(self, name: str, *seconds: int) -> None:
        """Wait until LXD has the snapshots of these runs, and no others."""
        moments = (parse_moment(f"2026-11-29T12:00:{second:02}Z") for second in seconds)
        wanted = {snapshot_name(self.policy(name), name, moment) for moment in moments}
        self.bus.until(lambda: set(self.snapshots(name)) == wanted)

    def protection(self, name: str, state: ProtectionState) -> Any:
        """Wait until an instance is told to be protected like this."""

        def told() -> Any:
            reports = self.bus.of(ProtectionReported)
            mine = [one for one in reports[-1].instances if one.name == name] if reports else []
            return mine[0] if mine and mine[0].state is state else None

        return self.bus.until(told)
