"""Every benchmark, so small that it shows nothing but that it still runs."""

from __future__ import annotations

import pytest

from benchmarks.__main__ import figures
from benchmarks.figures import Figure
from benchmarks.scale import Scale
from tests.support.broker import Broker
from tests.support.lxd import Lxd
from tests.support.scales import TINY_FLEET

pytestmark = pytest.mark.slow

TINY = Scale(
    instances=2,
    rounds=8,
    slow_rounds=2,
    created=2,
    callers=2,
    viewers=3,
    watched_s=1.0,
    scraped_hosts=2,
    fleet=TINY_FLEET,
)
# What has been promised, as docs/benchmarks.md lists it.
PROMISED = [
    ">= 100 times less",
    "<= 3 % of a core",
    "<= 150 MB",
    "<= 100 MB",
    "<= 80 MB",
    ">= 200 times faster",
    ">= 500 per second",
    "<= 100 ms (p99)",
    "<= 15 ms more (p50)",
    "<= 20 ms (p50)",
    "<= 1.5 times (p50)",
    "<= 1.2 times",
    "<= 1.5 times (p50)",
    "<= 10 ms (p50)",
    "<= 50 ms (p99)",
    "<= 15 ms (p50)",
    ">= 5 MB/s",
    "<= 2 times",
    "<= 10 MB",
    "<= 1 % of a core",
    "<= 1 % of a core",
    "<= 1000 ms (p50)",
    "<= 1000 ms (p50)",
    "<= 5 ms (p50)",
    ">= 500 per second",
    *5 * ["<= 1.2 times (p50)", "<= 1.2 times (p50)", "<= 0 lost"],
    "<= 60 % of a core",
    "<= 900 MB",
    *6 * ["<= 3 / 30 ms (p50 / p99)"],
    *4 * ["<= 10 / 50 ms (p50 / p99)"],
    *3 * ["<= 2 / - ms (p50 / p99)"],
    "<= 50 ms",
    "<= 20 / 150 ms (p50 / p99)",
    "<= 60 % of a core",
    "<= 10 ms",
    "<= 4000 ms",
    "<= 50 ms",
    "<= 10 s",
    "<= 50 ms",
    "<= 8 s",
    "<= 0 lost",
]


@pytest.fixture(scope="module")
def measured(lxd: Lxd, broker: Broker) -> list[Figure]:
    return list(figures(TINY))


def test_every_promise_is_measured_in_one_run(measured: list[Figure]) -> None:
    held = [figure for figure in measured if figure.target]

    assert [figure.target.text for figure in held if figure.target] == PROMISED
