"""What one host told of itself filled every gateway.

40 messages of 15 MB gave a gateway 3.2 GB of memory, every reader a list of 629 MB and the database
795 MB. Each field has a bound since then; many instances that use it up are still too much.
"""

from __future__ import annotations

import pytest

from services.gateway.fleet.view import FleetView
from shared.contracts.codec import encode
from tests.support.builders import a_change, a_heartbeat, an_instance, an_inventory
from tests.support.clock import FakeClock

pytestmark = pytest.mark.attack

BUDGET = 16 * 2**20
LARGE = {str(number): "x" * 8192 for number in range(64)}


def test_what_one_host_tells_is_held_up_to_its_budget() -> None:
    fleet = FleetView(FakeClock().clock, ready_after_s=0)
    for host in ("attacker", "neighbour"):
        fleet.apply(host, a_heartbeat())
    fleet.apply("neighbour", an_inventory(an_instance("theirs")))
    fleet.apply("attacker", an_inventory())

    for number in range(60):
        vm = an_instance(f"vm-{number}", user=LARGE)
        fleet.apply("attacker", a_change(vm, sequence=2 + number))

    listed = [known.instance for known in fleet.instances()]
    assert sum(len(encode(instance)) for instance in listed) <= BUDGET
    assert "theirs" in {instance.name for instance in listed}
    assert len(fleet.stored_host("attacker").instances) == len(listed) - 1
