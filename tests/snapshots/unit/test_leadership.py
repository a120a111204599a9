"""Which copy leads, with a lease of the test's."""

from __future__ import annotations

import pytest

from services.snapshots.leadership import Leadership
from shared.contracts.errors import DatabaseUnavailable


class LeadershipLease:
    """A lease; `answer` is what the database says, None: it is away."""

    ttl_s = 10.0

    def __init__(self) -> None:
        self.answer: bool | None = True
        self.released = False

    def hold(self) -> bool:
        if self.answer is None:
            raise DatabaseUnavailable
        return self.answer

    def release(self) -> None:
        if self.answer is None:
            raise DatabaseUnavailable
        self.released = True


class Leading:
    """Counts what it is told."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.told: list[str] = []

    def start(self) -> None:
        if self.fails:
            raise DatabaseUnavailable
        self.told.append("start")

    def stop(self) -> None:
        self.told.append("stop")

    def poke(self) -> None:
        self.told.append("poke")


class Bench:
    """A copy; `now` is its clock, `built` is what it has led with."""

    def __init__(self) -> None:
        self.lease = LeadershipLease()
        self.now = 0.0
        self.built: list[Leading] = []
        self.fails = False
        self.copy = Leadership(self.lease, self._build, lambda: self.now)

    def _build(self) -> Leading:
        self.built.append(Leading(fails=self.fails))
        return self.built[-1]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_the_copy_with_the_lease_leads_until_another_has_it(bench: Bench) -> None:
    bench.copy.renew()
    bench.copy.renew()
    bench.copy.poke()
    assert bench.copy.held

    bench.lease.answer = False
    bench.copy.renew()
    bench.copy.poke()

    assert not bench.copy.held
    assert [each.told for each in bench.built] == [["start", "poke", "stop"]]


def test_a_copy_without_the_lease_does_nothing(bench: Bench) -> None:
    bench.lease.answer = False

    bench.copy.renew()

    assert (bench.copy.held, bench.built) == (False, [])


def test_without_its_database_it_leads_on_only_as_long_as_no_other_copy_can(bench: Bench) -> None:
    bench.copy.renew()
    bench.lease.answer = None

    bench.now = 9.0
    bench.copy.renew()
    assert bench.built[0].told == ["start"]

    bench.now = 10.0
    assert not bench.copy.held
    bench.copy.renew()
    assert bench.built[0].told == ["start", "stop"]


def test_a_lease_counts_from_when_it_was_asked_for(bench: Bench) -> None:
    def hold() -> bool:
        bench.now += 6.0  # the database was slow
        return True

    bench.lease.hold = hold
    bench.copy.renew()

    bench.now += 3.9
    assert bench.copy.held
    bench.now += 0.2
    assert not bench.copy.held


def test_a_copy_that_could_not_begin_tries_again(bench: Bench) -> None:
    bench.fails = True
    with pytest.raises(DatabaseUnavailable):
        bench.copy.renew()
    assert bench.copy.leading is None

    bench.fails = False
    bench.copy.renew()

    assert [each.told for each in bench.built] == [[], ["start"]]


@pytest.mark.parametrize("answer", [True, None])
def test_a_copy_that_stops_lets_another_lead(bench: Bench, answer: bool | None) -> None:
    bench.copy.renew()
    bench.lease.answer = answer

    bench.copy.stop()

    assert bench.built[0].told == ["start", "stop"]
    assert bench.lease.released is (answer is True)
