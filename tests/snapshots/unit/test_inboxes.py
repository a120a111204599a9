"""The order in which messages of hosts are handled, and when they are acknowledged."""

from __future__ import annotations

import pytest

from services.snapshots.bus.inboxes import InboxBudget, Inboxes
from services.snapshots.bus.messages import Received

BUDGET = InboxBudget(messages_per_s=10, messages_at_once=5, bytes_per_s=1000, bytes_at_once=10_000)


class Bench:
    """Inboxes of one session; `now` is their clock."""

    def __init__(self) -> None:
        self.now = 0.0
        self.throttled = 0
        self.inboxes = Inboxes(self._count, BUDGET, lambda: self.now)
        self.inboxes.begin("s1")
        self._tags = 0

    def _count(self) -> None:
        self.throttled += 1

    def add(self, host: str, body: bytes = b"{}", session: str = "s1") -> None:
        self._tags += 1
        key = f"{host}.worker.policy-run"
        self.inboxes.add(Received(host, "x", key, {}, body, self._tags, session))

    def handle(self, limit: int = 100) -> list[str]:
        """Handle what waits; return the hosts in their order."""
        taken = self.inboxes.take(limit)
        for received in taken:
            self.inboxes.note_handled(received)
        return [received.host for received in taken]

    def acknowledged(self) -> list[int]:
        return list(self.inboxes.acknowledgeable())


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.attack
def test_a_host_with_many_messages_gets_its_turn_as_often_as_one_with_few(bench: Bench) -> None:
    for _ in range(100):
        bench.add("flood")
    bench.add("h1")
    bench.add("h2")
    bench.add("h1")

    assert bench.handle(limit=7) == ["flood", "h1", "h2", "flood", "h1", "flood", "flood"]


def test_within_its_budget_a_message_is_acknowledged_at_once_and_once(bench: Bench) -> None:
    bench.add("h1")
    bench.handle()

    assert bench.acknowledged() == [1]
    assert bench.acknowledged() == []


@pytest.mark.attack
def test_beyond_its_budget_a_host_waits_and_no_other(bench: Bench) -> None:
    for _ in range(25):
        bench.add("flood")
    bench.handle()
    bench.add("h1")
    bench.handle()

    assert len(bench.acknowledged()) == BUDGET.messages_at_once + 1
    assert bench.throttled == 20
    bench.now = 1.0
    assert len(bench.acknowledged()) == 10
    bench.now = 2.1
    assert len(bench.acknowledged()) == 10


@pytest.mark.attack
def test_bytes_count_as_well(bench: Bench) -> None:
    bench.add("flood", b"x" * 12_000)
    bench.handle()

    assert bench.acknowledged() == []
    bench.now = 2.1
    assert bench.acknowledged() == [1]


def test_a_new_connection_begins_with_nothing(bench: Bench) -> None:
    bench.add("h1")
    taken = bench.inboxes.take(1)
    bench.add("h2")

    bench.inboxes.begin("s2")
    bench.inboxes.note_handled(taken[0])

    assert bench.handle() == []
    assert bench.acknowledged() == []
