"""The benchmark of a simulated fleet, so small that it shows nothing but that it still runs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.fleet import benchmark, goals
from benchmarks.fleet.phases import Results
from tests.support.broker import Broker
from tests.support.scales import TINY_FLEET

HOSTS = 3
TINY = replace(TINY_FLEET, hosts=(HOSTS,))


@pytest.fixture(scope="module")
def measured(broker: Broker) -> Results:
    return benchmark.measure(TINY)[HOSTS]


def test_every_figure_is_measured(measured: Results) -> None:
    assert measured.keys() == goals.GOALS.keys()


def test_every_request_is_answered_and_every_change_arrives(measured: Results) -> None:
    answers = [
        each for what, each in measured.items() if what not in {goals.STREAM, goals.STREAM_LOST}
    ]

    assert [each.more for each in answers if each.more] == []
    assert measured[goals.STREAM].more == "2 of 2 clients"
    assert measured[goals.STREAM_LOST].values == (0,)


def test_hosts_that_fall_silent_are_known_to_be_offline(measured: Results) -> None:
    assert measured[goals.OFFLINE].values == (0,)
