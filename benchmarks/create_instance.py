"""Measure creations: how long until one is accepted, and until ten at once are complete.

The baseline is LXD itself: its answer to a request for an instance, and ten `lxc init` at once, on
the same daemon with the same image and limits. Both take turns; before each, the previous instances
are deleted, and the fleet has noticed that.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx

from benchmarks.figures import Figure, at_most, centile, spread
from benchmarks.ground import Ground, alone
from deploy.local import lxd_daemon
from deploy.local.busybox_image import ALIAS
from tests.support.polling import wait_until

# Rounds of single creations for each turn of ten at once.
ROUNDS_OF_A_TURN = 4
NOTICED_WITHIN_S = 20.0

VM = {"template": ALIAS, "cpu": 1, "memory": 64, "disk": 1}
LIMITS = {"limits.cpu": "1", "limits.memory": "64MiB"}

# Creates a container of this name; returns the milliseconds until that was accepted.
Make = Callable[[Ground, str], float]


def figures(ground: Ground) -> Iterator[Figure]:
    """Measure single creations, then ten at once."""
    wait_until(lambda: _has_image(ground), within_s=NOTICED_WITHIN_S)
    rounds = ground.scale.slow_rounds
    by_lxd, by_api = _turns(rounds, lambda make: _one(ground, make), _by_lxd, _by_api)
    yield Figure(
        f"create until accepted, beside {ground.scale.instances} instances",
        spread(by_api),
        f"LXD's own answer: {spread(by_lxd)}",
        centile(by_api, 50),
        at_most(20, "ms (p50)"),
    )
    turns, number = max(1, rounds // ROUNDS_OF_A_TURN), ground.scale.created
    by_client, by_api = _turns(turns, lambda make: _at_once(ground, make), _by_client, _by_api)
    times = centile(by_api, 50) / centile(by_client, 50)
    yield Figure(
        f"{number} creates at once on one host, until all are there",
        f"{spread(by_api)}: {times:.2f} times",
        f"`lxc init`: {spread(by_client)}",
        times,
        at_most(1.5, "times (p50)"),
    )


def _turns(
    number: int, measure: Callable[[Make], float], *ways: Make
) -> tuple[list[float], list[float]]:
    """Measure two ways by turns, after one of each that is not counted."""
    durations = [[measure(way) for way in ways] for _ in range(number + 1)][1:]
    return [first for first, _ in durations], [second for _, second in durations]


def _one(ground: Ground, make: Make) -> float:
    """Return the milliseconds until one is accepted."""
    name = _new_name()
    took_ms = make(ground, name)
    _remove(ground, [name])
    return took_ms


def _at_once(ground: Ground, make: Make) -> float:
    """Return the milliseconds until all of several simultaneous creations are complete."""
    names = [_new_name() for _ in range(ground.scale.created)]
    with ThreadPoolExecutor(len(names)) as threads:
        began = time.perf_counter()
        list(threads.map(lambda name: make(ground, name), names))
        took_ms = 1000 * (time.perf_counter() - began)
    _remove(ground, names)
    return took_ms


def _by_lxd(ground: Ground, name: str) -> float:
    body = {"name": name, "source": {"type": "image", "alias": ALIAS}, "config": LIMITS}
    with httpx.Client(transport=httpx.HTTPTransport(uds=str(ground.lxd.socket))) as client:
        # Without this the measured request would open the connection.
        client.get("http://lxd/1.0").raise_for_status()
        began = time.perf_counter()
        answer = client.post("http://lxd/1.0/instances", json=body).raise_for_status()
        took_ms = 1000 * (time.perf_counter() - began)
        client.get(f"http://lxd{answer.json()['operation']}/wait", timeout=60).raise_for_status()
    return took_ms


def _by_api(ground: Ground, name: str) -> float:
    http = ground.fleet.http
    began = time.perf_counter()
    answer = http.post("/api/v1/vms", json=VM | {"name": name}).raise_for_status()
    took_ms = 1000 * (time.perf_counter() - began)
    operation = f"/api/operations/{answer.json()['data']['operation']}?wait=60"
    outcome = http.get(operation).raise_for_status().json()
    assert outcome["state"] == "done", outcome
    return took_ms


def _by_client(ground: Ground, name: str) -> float:
    options = [word for key, value in LIMITS.items() for word in ("--config", f"{key}={value}")]
    began = time.perf_counter()
    subprocess.run(
        ["lxc", "init", ALIAS, name, *options],
        check=True,
        capture_output=True,
        env=os.environ | {"LXD_DIR": str(ground.lxd.directory)},
    )
    return 1000 * (time.perf_counter() - began)


def _remove(ground: Ground, names: list[str]) -> None:
    """Delete containers, and wait until the fleet has noticed."""
    for name in names:
        lxd_daemon.force_delete(ground.lxd.socket, name)

    def noticed() -> bool:
        instances = ground.fleet.http.get("/api/instances").raise_for_status().json()
        return len(instances) == ground.scale.instances

    wait_until(noticed, within_s=NOTICED_WITHIN_S)


def _has_image(ground: Ground) -> bool:
    """Return whether the host has reported the image."""
    answer = ground.fleet.http.get("/api/v1/templates").raise_for_status()
    templates = answer.json()["data"]["templates"]
    return any(template["id"] == ALIAS and template["hosts"] for template in templates)


def _new_name() -> str:
    return f"new-{secrets.token_hex(4)}"


if __name__ == "__main__":
    alone(figures)
