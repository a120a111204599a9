"""Measure what a policy takes for a host's containers, beside a shell loop over `lxc snapshot`.

Both take a snapshot of each container, four at once. The loop ends when its last command has; the
policy's time is from the request to run it until the history has every snapshot.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median
from typing import Any

from benchmarks.figures import Figure, at_most
from benchmarks.ground import HOST, Ground, alone
from tests.support.polling import wait_until

AT_ONCE = 4
ROUNDS = 3
MOST_TIMES = 1.2
POLICIES = "/api/v1/policies"
WITHIN_S = 300.0
LOOK_S = 0.05


def figures(ground: Ground) -> Iterator[Figure]:
    """Measure both by turns."""
    policy = _policy(ground)
    by_loop, by_policy = [], []
    for number in range(ROUNDS):
        by_loop.append(_timed(partial(_loop, ground, f"loop{number}")))
        _remove_all(ground)
        by_policy.append(_timed(partial(_run, ground, policy)))
        _remove_all(ground)
    loop_s, policy_s = median(by_loop), median(by_policy)
    yield Figure(
        f"snapshots of {len(ground.loaded.names)} containers by a policy, {AT_ONCE} at once",
        f"{policy_s:.1f} s: {policy_s / loop_s:.2f} times",
        f"`lxc snapshot` in a shell loop, {AT_ONCE} at once: {loop_s:.1f} s",
        policy_s / loop_s,
        at_most(MOST_TIMES, "times"),
    )


def _policy(ground: Ground) -> str:
    """Create a policy that is due once in a while; return its id once the host has it."""
    body = {
        "name": "all",
        "schedule": {"cron": "0 0 29 2 *"},
        "selection": {"names": ["*"]},
        "retention": {"keepLast": 1},
        "atOnce": AT_ONCE,
    }
    created = ground.fleet.http.post(POLICIES, json=body).raise_for_status().json()

    def has_it() -> bool:
        plans = _data(ground, f"{POLICIES}/plans")["plans"]
        return any(plan["host"] == HOST and plan["current"] for plan in plans)

    wait_until(has_it, within_s=WITHIN_S)
    return str(created["data"]["id"])


def _run(ground: Ground, policy: str) -> None:
    path = f"{POLICIES}/{policy}/run"
    started = ground.fleet.http.post(path, json={}).raise_for_status().json()["data"]
    assert started["started"] == len(ground.loaded.names), started
    slot = started["at"]

    def all_taken() -> bool:
        found = _data(ground, f"{POLICIES}/{policy}/runs?state=taken&limit=200")["runs"]
        return [run["slot"] for run in found].count(slot) == int(started["started"])

    wait_until(all_taken, within_s=WITHIN_S, every_s=LOOK_S)


def _loop(ground: Ground, snapshot: str) -> None:
    names = "\n".join(ground.loaded.names)
    with tempfile.TemporaryDirectory() as home:
        subprocess.run(
            ["xargs", "-P", str(AT_ONCE), "-I{}", "lxc", "snapshot", "{}", snapshot],
            input=names,
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "HOME": home, "LXD_DIR": str(ground.lxd.directory)},
        )


def _remove_all(ground: Ground) -> None:
    for name in ground.loaded.names:
        path = f"/1.0/instances/{name}/snapshots"
        for snapshot in ground.lxd.call("GET", path):
            ground.lxd.call("DELETE", snapshot)


def _timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _data(ground: Ground, path: str) -> dict[str, Any]:
    data: dict[str, Any] = ground.fleet.http.get(path).raise_for_status().json()["data"]
    return data


if __name__ == "__main__":
    alone(figures)
