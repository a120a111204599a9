"""What the golden files ask of the WebSockets."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from shared.contracts.events import PolicyRunChanged
from shared.contracts.policies import RunState
from tests.support.builders import AT, a_change, a_heartbeat, a_removal, a_run
from tests.support.golden import givens
from tests.support.golden.exchanges import Case
from tests.support.golden.fleet import WEB, GoldenGateway

STREAM, MONITOR = "WS /ws/stream", "WS /ws/monitor"


def _web_stops(gateway: GoldenGateway) -> None:
    gateway.hear("h1", a_change(replace(WEB, status="Stopped", revision=9)))


def _web_goes(gateway: GoldenGateway) -> None:
    gateway.hear("h1", a_removal("web", revision=9))


def _h1_loses_its_lxd(gateway: GoldenGateway) -> None:
    gateway.hear("h1", a_heartbeat(fingerprint="fingerprint-of-h1", lxd_connected=False))


def _operation_ends(gateway: GoldenGateway) -> None:
    gateway.go_on("op-1", state="done", sequence=6, finished_at=AT)


def _a_run_fails(gateway: GoldenGateway) -> None:
    failed = a_run("run-2", uuid=WEB.uuid, state=RunState.FAILED, code="lxd_busy", sequence=2)
    gateway.hear(
        "h1", PolicyRunChanged(run=replace(failed, snapshot="", pruned=(), pruned_count=0))
    )


def monitor() -> Iterator[Case]:
    """Yield the live stream of the document."""
    yield Case("ws/monitor", MONITOR)
    yield Case("ws/monitor-for-a-guest", MONITOR, caller="guest")
    yield Case("ws/monitor-of-host", f"{MONITOR}?host=h2")
    yield Case("ws/monitor-of-project", f"{MONITOR}?project=shop")
    yield Case("ws/monitor-of-no-host", f"{MONITOR}?host=nix")
    yield Case("ws/monitor-unready", MONITOR, unready=True)
    yield Case("ws/monitor-stranger", MONITOR, caller="stranger")
    yield Case("ws/monitor-origin", MONITOR, headers={"origin": "https://evil.example"})


def stream() -> Iterator[Case]:
    """Yield the stream of changes."""
    going = givens.an_operation_goes_on
    for name, topic, change in (
        ("instances", "instances", _web_stops),
        ("instances-removed", "instances&host=h1&name=web", _web_goes),
        ("hosts", "hosts", _h1_loses_its_lxd),
        ("operations", "operations", _operation_ends),
        ("snapshots", "snapshots&host=h1", _a_run_fails),
    ):
        steps = (None, change, None)
        yield Case(f"ws/stream-{name}", f"{STREAM}?topic={topic}", steps=steps, given=going)
    failed = givens.an_operation_has_failed
    yield Case("ws/stream-failed", f"{STREAM}?topic=operations", given=failed)
    yield Case("ws/stream-for-a-guest", f"{STREAM}?topic=instances&name=web", caller="guest")
    yield Case("ws/stream-of-none", f"{STREAM}?topic=instances&name=nix")
    yield Case("ws/stream-unknown-position", f"{STREAM}?topic=hosts&after=x-1", steps=(None, None))
    yield Case("ws/stream-wrong-topic", f"{STREAM}?topic=nix")
    yield Case("ws/stream-unready", f"{STREAM}?topic=hosts", unready=True)
    away = givens.the_database_is_away
    yield Case("ws/stream-no-database", f"{STREAM}?topic=operations", given=away)
    yield Case("ws/stream-stranger", f"{STREAM}?topic=hosts", caller="stranger")
    subscribe = {"type": "subscribe", "topic": "hosts", "host": "h2"}
    named = {"type": "subscribe", "topic": "hosts", "name": "web"}
    said = ("what?", None, named, None, subscribe, None)
    yield Case("ws/stream-messages", STREAM, steps=said)


def console() -> Iterator[Case]:
    """Yield how a console is refused; `test_console.py` has what goes through one."""
    yield Case("ws/console-no-password", "WS /console/vm-1")
    yield Case("ws/console-wrong-password", "WS /console/vm-1?password=wrong")


def cases() -> Iterator[Case]:
    """Yield them all."""
    for part in (monitor, stream, console):
        yield from part()
