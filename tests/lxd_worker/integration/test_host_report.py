"""What a real worker tells of what a real LXD has for new instances."""

from __future__ import annotations

import pytest

from shared.contracts.events import HostDescribed
from shared.contracts.hosts import Network
from tests.support.bus_side import BusSide
from tests.support.lxd import Instances, Lxd


def told(bus: BusSide, so_far: int = 0) -> HostDescribed:
    """Return the newest description after so many."""
    found = bus.until(lambda: bus.of(HostDescribed)[so_far:])
    return found[-1]


@pytest.fixture
def settings() -> dict[str, str]:
    return {"FLEET_NAT_ADDRESS": "127.0.0.1", "FLEET_OVERCOMMIT_CPU": "1"}


@pytest.mark.usefixtures("worker")
def test_a_worker_tells_at_its_start_what_there_is(bus: BusSide, lxd: Lxd) -> None:
    profile = lxd.call("GET", "/1.0/profiles/default")
    resources = lxd.call("GET", "/1.0/resources")

    host = told(bus)

    assert host.capacity is not None
    assert host.capacity.cpu == resources["cpu"]["total"]
    assert host.capacity.memory == resources["memory"]["total"]
    assert host.capacity.disk > 0
    assert "busybox" in [alias for image in host.images for alias in image.aliases]
    network = profile["devices"]["eth0"]["network"]
    assert Network(name=network, type="bridge", managed=True) in host.networks
    assert "lo" not in [one.name for one in host.networks]
    assert "default" in host.projects
    assert host.address == "127.0.0.1"


@pytest.mark.usefixtures("worker")
def test_a_new_alias_is_told_when_lxd_has_it_and_everything_when_somebody_asks(
    bus: BusSide, lxd: Lxd, instances: Instances
) -> None:
    first = told(bus)
    (image, *_) = [one for one in first.images if "busybox" in one.aliases]
    alias = instances.name("alias")
    so_far = len(bus.of(HostDescribed))

    lxd.call("POST", "/1.0/images/aliases", {"name": alias, "target": image.fingerprint})
    try:
        bus.until(lambda: alias in aliases(bus))
    finally:
        lxd.call("DELETE", f"/1.0/images/aliases/{alias}")
    bus.until(lambda: alias not in aliases(bus))
    changes = len(bus.of(HostDescribed))
    bus.call("publish_inventory")

    assert changes >= so_far + 2
    assert told(bus, changes).images


def aliases(bus: BusSide) -> list[str]:
    return [alias for image in bus.of(HostDescribed)[-1].images for alias in image.aliases]
