"""The hosts that are known, over a store in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace

import pytest

from services.snapshots.hosts.record import HostRecord
from services.snapshots.hosts.registry import SEEN_S, HostRegistry
from services.snapshots.plans.delivery import Carried
from shared.contracts.errors import DatabaseUnavailable
from shared.contracts.policy_api import MOST_HOSTS

CARRIED = Carried(7, "d" * 64, clock_trusted=True)


class Store:
    """Keeps records; `saves` are those of each save that was not empty."""

    def __init__(self) -> None:
        self.stored: dict[str, HostRecord] = {}
        self.saves: list[list[str]] = []
        self.fails = False

    def hosts(self) -> list[HostRecord]:
        return [replace(each) for each in self.stored.values()]

    def save(self, records: Iterable[HostRecord]) -> None:
        if self.fails:
            raise DatabaseUnavailable
        given = list(records)
        self.stored |= {each.host: replace(each) for each in given}
        if given:
            self.saves.append([each.host for each in given])

    def forget(self, names: Collection[str]) -> None:
        for name in names:
            del self.stored[name]


class Bench:
    """A registry; `now` is its clock, which has jumped by `jumped`."""

    def __init__(self) -> None:
        self.store = Store()
        self.now = 1_796_000_000.0
        self.jumped = 0.0
        self.registry = HostRegistry(
            self.store, 1000.0, clock=lambda: self.now + self.jumped, monotonic=lambda: self.now
        )


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_host_is_known_by_its_first_heartbeat_and_by_each_new_exchange(bench: Bench) -> None:
    assert bench.registry.note_heartbeat("h2", "e2")
    assert bench.registry.note_heartbeat("h1", "e1")
    assert not bench.registry.note_heartbeat("h1", "e1")
    assert bench.registry.note_heartbeat("h1", "e1-new")

    assert bench.registry.names == ("h1", "h2")
    assert bench.registry.exchanges == {"h1": "e1-new", "h2": "e2"}
    assert not bench.registry.is_known("h1", "e1")


def test_what_a_host_reports_is_stored_once(bench: Bench) -> None:
    bench.registry.note_heartbeat("h1", "e1")
    bench.registry.save_changed()

    for _ in range(3):
        bench.registry.note_report("h1", CARRIED)
        bench.registry.note_heartbeat("h1", "e1")
        bench.registry.save_changed()

    assert bench.store.saves == [["h1"], ["h1"]]
    [record] = HostRegistry(bench.store, 1000.0).load()
    assert record.carried == CARRIED
    assert record.reported_at == "2026-11-30T00:53:20Z"


def test_signs_of_life_are_stored_now_and_then(bench: Bench) -> None:
    bench.registry.note_heartbeat("h1", "e1")
    bench.registry.save_changed()

    for _ in range(20):
        bench.now += SEEN_S / 10
        bench.registry.note_heartbeat("h1", "e1")
        bench.registry.save_changed()

    assert len(bench.store.saves) == 3


def test_what_could_not_be_stored_is_stored_later(bench: Bench) -> None:
    bench.registry.note_heartbeat("h1", "e1")
    bench.store.fails = True
    with pytest.raises(DatabaseUnavailable):
        bench.registry.save_changed()

    bench.store.fails = False
    bench.registry.save_changed()

    assert list(bench.store.stored) == ["h1"]


def test_a_host_that_is_silent_for_too_long_is_forgotten(bench: Bench) -> None:
    bench.registry.note_heartbeat("h1", "e1")
    bench.registry.note_heartbeat("h2", "e2")
    bench.registry.save_changed()
    bench.now += 999
    bench.registry.note_heartbeat("h2", "e2")
    bench.now += 2

    assert bench.registry.forget_silent() == ["h1"]

    assert bench.registry.names == ("h2",)
    assert list(bench.store.stored) == ["h2"]


def test_a_jump_of_the_clock_forgets_no_host_that_was_heard(bench: Bench) -> None:
    bench.registry.note_heartbeat("h1", "e1")
    bench.registry.save_changed()
    bench.jumped = 31 * 86400.0

    assert bench.registry.forget_silent() == []

    again = HostRegistry(
        bench.store, 1000.0, clock=lambda: bench.now + bench.jumped, monotonic=lambda: bench.now
    )
    again.load()
    again.note_heartbeat("h1", "e1")
    assert again.forget_silent() == []
    bench.now += 1001
    assert again.forget_silent() == ["h1"]


def test_runs_and_reports_of_nobody_are_dropped(bench: Bench) -> None:
    bench.registry.note_report("h9", CARRIED)
    bench.registry.note_runs("h9", 3)
    bench.registry.save_changed()

    assert bench.store.saves == []


@pytest.mark.attack
def test_there_are_no_more_hosts_than_a_number(bench: Bench) -> None:
    for number in range(MOST_HOSTS):
        bench.registry.note_heartbeat(f"h{number}", "e")

    assert not bench.registry.note_heartbeat("one-more", "e")
    assert len(bench.registry.names) == MOST_HOSTS
