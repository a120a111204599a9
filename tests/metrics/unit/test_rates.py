from __future__ import annotations

import pytest

from services.metrics.sampler.kernel_counters import DiskTraffic, Traffic
from services.metrics.sampler.rates import disk_rates, network_rates

VETH = frozenset({"veth1"})


@pytest.mark.parametrize(
    ("before", "now", "elapsed_s", "rates"),
    [
        (Traffic(100, 10, VETH), Traffic(150, 40, VETH), 5.0, (10.0, 6.0)),
        (Traffic(100, 10, VETH), Traffic(100, 10, VETH), 5.0, (0.0, 0.0)),
        (Traffic(100, 10, VETH), Traffic(50, 40, VETH), 5.0, (None, 6.0)),  # counts anew
        (Traffic(100, 10, VETH), Traffic(150, 40, frozenset({"veth2"})), 5.0, (None, None)),
        (Traffic(100, 10, VETH), Traffic(150, 40, VETH | {"veth2"}), 5.0, (None, None)),
        (Traffic(100, 10, VETH), Traffic(150, 40, VETH), 0.0, (None, None)),
        (None, Traffic(150, 40, VETH), 5.0, (None, None)),
        (Traffic(100, 10, VETH), None, 5.0, (None, None)),
    ],
)
def test_network_rates_are_of_the_same_interfaces_only(
    before: Traffic | None,
    now: Traffic | None,
    elapsed_s: float,
    rates: tuple[float | None, float | None],
) -> None:
    assert network_rates(before, now, elapsed_s) == rates


@pytest.mark.parametrize(
    ("before", "now", "rates"),
    [
        (DiskTraffic(0, 100), DiskTraffic(10, 110), (5.0, 5.0)),
        (DiskTraffic(20, 100), DiskTraffic(10, 110), (None, 5.0)),  # a disk was taken away
        (None, DiskTraffic(10, 110), (None, None)),
        (DiskTraffic(0, 100), None, (None, None)),
    ],
)
def test_disk_rates_are_unknown_rather_than_negative(
    before: DiskTraffic | None,
    now: DiskTraffic | None,
    rates: tuple[float | None, float | None],
) -> None:
    assert disk_rates(before, now, elapsed_s=2.0) == rates
