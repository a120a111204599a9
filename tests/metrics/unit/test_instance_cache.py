"""Asking LXD rarely, and soon when it must be."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from services.metrics.sampler.instance_cache import InstanceCache
from services.metrics.sampler.instance_errors import InstanceErrors
from services.metrics.sampler.kernel_counters import Details
from services.metrics.sampler.lxd_instances import InstanceWithState
from services.metrics.sampler.sanitize import Dropped
from shared.lxd.models import MemoryState
from tests.support.sampler import HOST, FakeLxd, described, event, stopped


@dataclass
class Bench:
    """A cache on a fake LXD; `now_s` is the time."""

    lxd: FakeLxd = field(default_factory=FakeLxd)
    now_s: float = 1000.0
    dropped: Dropped = field(default_factory=Dropped)
    failures: int = 0

    def __post_init__(self) -> None:
        problems = InstanceErrors(self._count_dropped, self._count_failure)
        self.cache = InstanceCache(
            self.lxd, lambda: HOST, lambda: self.now_s, problems, period_s=60.0
        )

    def ask(self, *listed: InstanceWithState, after_s: float = 0.0) -> Sequence[str]:
        """Let the duty do its work; return what LXD was asked, pools left out."""
        self.now_s += after_s
        self.lxd.listed = listed
        self.lxd.questions.clear()
        self.cache.refresh_if_due()
        return [each for each in self.lxd.questions if each != "pools"]

    def _count_dropped(self, reason: str, number: int) -> None:
        self.dropped[reason] += number

    def _count_failure(self) -> None:
        self.failures += 1

    @property
    def names(self) -> set[str]:
        return {each.name for each in self.cache.running}


@pytest.fixture
def bench() -> Bench:
    """A cache that knows `web`."""
    bench = Bench()
    bench.ask(described("web"))
    return bench


def test_everything_is_asked_for_at_first_and_then_once_a_minute(bench: Bench) -> None:
    soon = bench.ask(described("web"), after_s=59.0)
    later = bench.ask(described("web"), described("db"), after_s=1.0)

    assert (soon, later) == ([], ["everything"])
    assert bench.names == {"web", "db"}


def test_an_instance_that_starts_is_asked_about_soon_and_again_for_its_address(
    bench: Bench,
) -> None:
    both = (described("web"), described("db"))
    bench.cache.on_event(event("instance-started", "db"))

    asked = {round(bench.now_s, 1): bench.ask(*both, after_s=0.1) for _ in range(120)}

    assert [at_s for at_s, questions in asked.items() if questions] == [1000.0, 1002.9, 1009.9]
    assert all(questions in ([], ["db"]) for questions in asked.values())
    assert bench.names == {"web", "db"}


def test_an_instance_that_stopped_or_is_gone_is_forgotten(bench: Bench) -> None:
    bench.ask(described("web"), described("db"), after_s=60.0)
    bench.cache.on_event(event("instance-shutdown", "web"))
    bench.cache.on_event(event("instance-deleted", "db"))

    asked = bench.ask(stopped("web"), after_s=0.1)

    assert asked == ["web", "db"]
    assert bench.names == set()


def test_a_burst_of_events_is_one_question(bench: Bench) -> None:
    for name in ["web", "web", "web"]:
        bench.cache.on_event(event("instance-updated", name))

    assert bench.ask(described("web"), after_s=0.1) == ["web"]
    assert bench.ask(described("web"), after_s=0.1) == []


def test_many_that_start_at_once_are_one_question(bench: Bench) -> None:
    many = [described(f"c{number}") for number in range(62)]
    for each in many:
        bench.cache.on_event(event("instance-started", each.name))

    assert bench.ask(*many, after_s=0.1) == ["everything"]
    assert len(bench.names) == 62


def test_when_events_begin_to_be_heard_everything_is_asked_for(bench: Bench) -> None:
    bench.cache.on_listening()

    assert bench.ask(described("web")) == ["everything"]


def test_a_changed_profile_asks_for_everything(bench: Bench) -> None:
    bench.cache.on_event(event("profile-updated"))

    assert bench.ask(described("web"), after_s=0.1) == ["everything"]


def test_an_instance_in_doubt_is_asked_about_soon(bench: Bench) -> None:
    bench.cache.mark_stale(("default", "web"))

    assert bench.ask(stopped("web"), after_s=0.1) == ["web"]
    assert bench.names == set()


def test_metrics_are_asked_for_only_while_they_are_wanted(bench: Bench) -> None:
    bench.lxd.metrics = {("default", "web"): Details(cpu_user_s=1.5)}
    bench.cache.request_details(True)

    wanted = bench.ask(described("web"), after_s=60.0)
    [with_details] = bench.cache.running
    bench.cache.request_details(False)
    unwanted = bench.ask(described("web"), after_s=60.0)

    assert (wanted, unwanted) == (["everything", "details"], ["everything"])
    assert with_details.details == Details(cpu_user_s=1.5)


def test_an_lxd_that_is_away_is_asked_again_soon_and_what_it_told_remains(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bench.cache.on_event(event("instance-updated", "web"))
    bench.lxd.away = True
    for _ in range(10):
        bench.ask(after_s=0.1)
    answered, names = bench.cache.lxd_answers, bench.names

    bench.lxd.away = False
    again = [bench.ask(described("web"), after_s=0.1) for _ in range(25)]

    assert (answered, names) == (False, {"web"})
    assert [questions for questions in again if questions] == [["everything"]]
    assert bench.cache.lxd_answers
    assert [record.getMessage() for record in caplog.records] == ["LXD is away", "LXD is back"]


def test_pools_are_asked_for_twice_a_minute_at_most() -> None:
    bench = Bench()
    used = []

    for _ in range(7):
        bench.cache.refresh()
        used.append(bench.cache.pools.spaces["default"].used)
        bench.now_s += 5.0

    assert used == [1] * 6 + [2]


@pytest.mark.attack
def test_an_instance_that_lxd_does_not_tell_of_stays_as_it_was_and_the_others_are_told(
    bench: Bench,
) -> None:
    bench.lxd.refused.add("web")

    bench.cache.on_event(event("instance-updated", "web"))
    bench.cache.on_event(event("instance-started", "db"))
    asked = bench.ask(described("web"), described("db"), after_s=0.1)

    assert asked == ["web", "db"]
    assert bench.names == {"web", "db"}
    assert bench.cache.lxd_answers
    assert bench.failures == 1


def test_an_instance_of_no_possible_name_is_left_out_and_counted(bench: Bench) -> None:
    odd = replace(described("web"), name="a/b", project="p")

    bench.ask(odd, described("db"), after_s=60.0)

    assert bench.names == {"db"}
    assert bench.dropped == {"unreadable": 1}


def test_values_left_out_are_logged_once_for_an_instance(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    web = described("web")
    assert web.state is not None
    odd = replace(web, state=replace(web.state, memory=MemoryState(10**19)))

    for _ in range(3):
        bench.ask(odd, described("db"), after_s=60.0)

    assert bench.dropped == {"out_of_range": 3}
    [record] = caplog.records
    assert record.getMessage() == "values of an instance dropped"
    assert (record.__dict__["instance"], record.__dict__["reason"]) == ("web", "out_of_range")
