"""Root in a container gave it 4,000 addresses, and all samples of its host grew a hundredfold."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from services.metrics.sampler.instance_cache import InstanceCache
from services.metrics.sampler.instance_errors import InstanceErrors
from shared.contracts.codec import encode
from shared.lxd.models import InterfaceState, NetworkAddress
from tests.support.sampler import HOST, FakeLxd, described

pytestmark = pytest.mark.attack

ADDED = tuple(
    NetworkAddress("inet", f"10.{number // 250}.{number % 250}.1", "global")
    for number in range(4000)
)


def test_a_container_with_4000_addresses_tells_the_first_of_them() -> None:
    web = described()
    assert web.state is not None
    network = {"eth0": InterfaceState("broadcast", ADDED)}
    lxd = FakeLxd(listed=[replace(web, state=replace(web.state, network=network))])
    cache = InstanceCache(lxd, lambda: HOST, lambda: 1000.0, InstanceErrors(), period_s=60.0)

    cache.refresh()

    [told] = cache.running
    assert told.addresses[0].address == "10.0.0.1"
    assert sum(len(encode(each)) for each in told.addresses) <= 4096
