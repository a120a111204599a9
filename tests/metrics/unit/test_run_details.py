"""Which run the details in LXD's metrics are of."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from services.metrics.sampler.instance_errors import InstanceErrors
from services.metrics.sampler.kernel_counters import NO_DETAILS, Details
from services.metrics.sampler.run_details import RunDetails
from tests.support.sampler import WEB, FakeLxd

FIRST, SECOND = Details(cpu_user_s=100.0), Details(cpu_user_s=1.0)
RESTARTED = replace(WEB, pid=WEB.pid + 1)


@dataclass
class Bench:
    """Details of an LXD whose metrics tell of `web`; `now_s` is the time."""

    lxd: FakeLxd = field(default_factory=lambda: FakeLxd(metrics={WEB.identity: FIRST}))
    now_s: float = 1000.0

    def __post_init__(self) -> None:
        self.details = RunDetails(self.lxd, lambda: self.now_s, InstanceErrors())
        self.details.needed = True

    def of_web(self, *, after_s: float, restarted: bool = False) -> Details:
        self.now_s += after_s
        return self.details.add_to(RESTARTED if restarted else WEB).details


@pytest.fixture
def bench() -> Bench:
    """A bench that has known `web` for a minute."""
    bench = Bench()
    bench.of_web(after_s=0.0)
    bench.of_web(after_s=60.0)
    return bench


def test_a_run_that_is_older_than_the_metrics_has_their_details(bench: Bench) -> None:
    assert bench.of_web(after_s=5.0) == FIRST


def test_an_instance_that_metrics_do_not_tell_of_has_none(bench: Bench) -> None:
    bench.lxd.metrics = {("other", "web"): FIRST}

    assert bench.of_web(after_s=10.0) == NO_DETAILS


def test_metrics_are_asked_for_six_times_a_minute_at_most(bench: Bench) -> None:
    bench.lxd.questions.clear()

    for _ in range(60):
        bench.of_web(after_s=1.0)

    assert bench.lxd.questions == ["details"] * 6


def test_a_new_run_has_no_details_until_they_cannot_be_its_predecessors(bench: Bench) -> None:
    restarted = [bench.of_web(after_s=after_s, restarted=True) for after_s in (1.0, 7.0)]
    bench.lxd.metrics = {WEB.identity: SECOND}
    later = bench.of_web(after_s=10.0, restarted=True)

    assert restarted == [NO_DETAILS, NO_DETAILS]
    assert later == SECOND


def test_a_run_is_as_old_as_it_is_known_whether_details_were_wanted_or_not() -> None:
    bench = Bench()
    bench.details.needed = False
    unwanted = bench.of_web(after_s=0.0)

    bench.details.needed = True
    wanted = bench.of_web(after_s=60.0)

    assert (unwanted, wanted) == (NO_DETAILS, FIRST)
    assert bench.lxd.questions == ["details"]


def test_a_run_that_was_forgotten_is_new_again(bench: Bench) -> None:
    bench.details.forget_others([])

    assert bench.of_web(after_s=10.0) == NO_DETAILS
