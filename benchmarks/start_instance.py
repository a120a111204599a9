"""Measure how much longer a start takes through the API than in LXD itself.

One container is stopped through LXD again and again, and started by turns through LXD's own API,
which is the baseline, and through the gateway. Both are measured until the outcome. Before each,
the fleet has noticed the previous change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from benchmarks.figures import Figure, at_most, centile
from benchmarks.ground import Ground, alone
from tests.support.polling import wait_until

NOTICED_WITHIN_S = 10.0
# Seconds until the services are idle after they have noticed.
REST_S = 0.3


def figures(ground: Ground) -> Iterator[Figure]:
    """Measure both by turns."""
    name = ground.loaded.names[0]
    by_lxd, by_api = [], []
    for _ in range(ground.scale.slow_rounds):
        by_lxd.append(_start(ground, name, lambda: _by_lxd(ground, name)))
        by_api.append(_start(ground, name, lambda: _by_api(ground, name)))
    lxd_ms, api_ms = centile(by_lxd, 50), centile(by_api, 50)
    yield Figure(
        "start through the API, beyond LXD's own time",
        f"p50 {api_ms:.0f} ms: {api_ms - lxd_ms:.0f} ms more",
        f"LXD's API: p50 {lxd_ms:.0f} ms",
        api_ms - lxd_ms,
        at_most(15, "ms more (p50)"),
    )


def _start(ground: Ground, name: str, start: Callable[[], object]) -> float:
    """Stop the container; return the milliseconds of its start."""
    _set_state(ground, name, "stop", force=True)
    _wait_until(ground, name, "Stopped")
    began = time.perf_counter()
    start()
    took_ms = 1000 * (time.perf_counter() - began)
    _wait_until(ground, name, "Running")
    return took_ms


def _by_lxd(ground: Ground, name: str) -> None:
    _set_state(ground, name, "start")


def _by_api(ground: Ground, name: str) -> None:
    answer = ground.fleet.http.post(f"/api/instances/{name}/start").raise_for_status()
    assert answer.json()["success"], answer.text


def _set_state(ground: Ground, name: str, action: str, **more: object) -> None:
    body = {"action": action, "timeout": 30} | more
    ground.lxd.call("PUT", f"/1.0/instances/{name}/state", body)


def _wait_until(ground: Ground, name: str, status: str) -> None:
    def noticed() -> bool:
        found = ground.fleet.http.get(f"/api/instances/{name}").raise_for_status().json()
        return bool(found["info"]["status"] == status)

    wait_until(noticed, within_s=NOTICED_WITHIN_S)
    time.sleep(REST_S)


if __name__ == "__main__":
    alone(figures)
