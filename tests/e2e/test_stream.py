"""The stream of changes of a real fleet."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from websockets.sync.client import ClientConnection, connect

from tests.support.fleet import Fleet


def heard(stream: ClientConnection, fits: Callable[[Any], bool], *, within_s: float) -> Any:
    """Return the first message that fits."""
    ends_at = time.monotonic() + within_s
    while True:
        message = json.loads(stream.recv(timeout=max(0.0, ends_at - time.monotonic())))
        if fits(message):
            return message


def shows(key: str, status: str) -> Callable[[Any], bool]:
    def fits(message: Any) -> bool:
        entry = message.get("changed", {}).get(key)
        return entry is not None and entry["info"]["status"] == status

    return fits


def ends(kind: str, name: str) -> Callable[[Any], bool]:
    def fits(message: Any) -> bool:
        news = message.get("changed", {}).values()
        return any(
            (each["kind"], each["instance"], each["state"]) == (kind, name, "done") for each in news
        )

    return fits


def test_what_happens_on_a_host_is_told_at_once(fleet: Fleet) -> None:
    with connect(f"{fleet.ws_url}/ws/stream?topic=instances") as stream:
        state = json.loads(stream.recv(timeout=5))

        name = fleet.on["h1"].launch("told")
        key = f"h1/default/{name}"
        heard(stream, shows(key, "Running"), within_s=2)
        fleet.on["h1"].set_state(name, "stop", force=True)
        heard(stream, shows(key, "Stopped"), within_s=2)
        fleet.on["h1"].delete(name)
        heard(stream, lambda told: key in told.get("removed", []), within_s=2)

    assert state["type"] == "state"
    assert key not in state["entries"]


def test_an_operation_is_told_while_it_goes_on(fleet: Fleet) -> None:
    name = fleet.on["h2"].launch("driven")
    with connect(f"{fleet.ws_url}/ws/stream?topic=instances&name={name}") as instances:
        with connect(f"{fleet.ws_url}/ws/stream?topic=operations&name={name}") as operations:
            done = fleet.http.post(f"/api/instances/{name}/stop")
            assert done.is_success
            heard(operations, ends("stop", name), within_s=5)
        heard(instances, shows(f"h2/default/{name}", "Stopped"), within_s=5)


def test_a_lost_connection_is_resumed_until_the_gateway_is_another(fleet: Fleet) -> None:
    name = fleet.on["h1"].launch("missed")
    wanted = f"{fleet.ws_url}/ws/stream?topic=instances&name={name}"
    with connect(wanted) as stream:
        first = heard(stream, lambda told: "token" in told, within_s=5)
    fleet.on["h1"].set_state(name, "stop", force=True)
    time.sleep(1)

    with connect(f"{wanted}&after={first['token']}") as stream:
        missed = json.loads(stream.recv(timeout=5))

    assert shows(f"h1/default/{name}", "Stopped")(missed)

    fleet.processes["gateway"].restart()
    fleet.wait_until_ready()
    with connect(f"{wanted}&after={missed['token']}") as stream:
        anew = [json.loads(stream.recv(timeout=5))["type"] for _ in range(2)]

    assert anew == ["resync", "state"]
