"""A gateway believes a worker once it knows whose it is: the first heartbeat does not wait."""

from __future__ import annotations

from shared.contracts.events import Event, Heartbeat, Inventory
from tests.support.bus_side import BusSide
from tests.support.lxd import Lxd, OwnLxd
from tests.support.worker_process import Prepare

# A third of the pause between two heartbeats, and room for a busy machine to start a process.
PROMPT_S = 20.0
ONE_A_MINUTE = {"FLEET_HEARTBEAT_S": "60"}


def tells_of_lxd(event: Event) -> bool:
    return isinstance(event, Heartbeat) and event.lxd_connected and bool(event.fingerprint)


def told(bus: BusSide, *, connected: bool) -> bool:
    beats = bus.of(Heartbeat)
    return bool(beats) and beats[-1].lxd_connected is connected


def test_a_worker_says_who_its_lxd_is_when_it_starts(
    prepare: Prepare, lxd: Lxd, bus: BusSide
) -> None:
    prepare(lxd.socket).start(**ONE_A_MINUTE)

    bus.until(lambda: any(map(tells_of_lxd, bus.events)), timeout_s=PROMPT_S)
    # Whichever comes first: a gateway asks again for what it could not believe yet.
    bus.until(lambda: bus.of(Inventory), timeout_s=PROMPT_S)


def test_lxd_s_end_and_its_return_are_told_at_once(
    prepare: Prepare, own_lxd: OwnLxd, bus: BusSide
) -> None:
    prepare(own_lxd.socket).start(**ONE_A_MINUTE)
    bus.until(lambda: told(bus, connected=True), timeout_s=PROMPT_S)

    own_lxd.kill()
    bus.until(lambda: told(bus, connected=False), timeout_s=PROMPT_S)
    own_lxd.start()

    bus.until(lambda: told(bus, connected=True), timeout_s=PROMPT_S)
