"""What the leading copy makes of messages, among parts in memory."""

from __future__ import annotations

import msgspec
import pytest

from services.snapshots.bus.calls import RUNS_SINCE, SET_PLAN, Call
from services.snapshots.bus.inboxes import Inboxes
from services.snapshots.bus.messages import Received
from services.snapshots.clock_watch import START_S, ClockWatch
from services.snapshots.leader import Leader
from services.snapshots.plans.delivery import Carried
from services.snapshots.runs.sync import RunSync
from shared.contracts.codec import encode, to_wire
from shared.contracts.errors import DatabaseUnavailable
from shared.contracts.events import Event, PolicyRunChanged, ProtectionReported
from shared.contracts.policies import PolicyRun, PolicyRunPage
from shared.platform.bus import topology
from tests.support.snapshots import a_run

EXCHANGE = f"fleet.hosts.h1.{'0' * 32}"
REPLY_ID = "snapshots0"


class Parts:
    """Stands for the parts of a leader, and remembers what they are told."""

    reply_id = REPLY_ID
    connected = True

    def __init__(self) -> None:
        self.recorded: list[tuple[str, PolicyRun]] = []
        self.letters: list[str] = []
        self.reports: list[tuple[str, Carried, bool]] = []
        self.sequences: dict[str, int] = {}
        self.pending: dict[str, Call] = {}
        self.refused = 0
        self.failures: list[Exception] = []
        self.deleted: list[str] = []

    def stored(self, host: str, runs: object) -> dict[str, int]:
        return {}

    def record(self, given: list[tuple[str, PolicyRun]]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.recorded.extend(given)

    def add(self, received: Received, reason: str) -> None:
        self.letters.append(reason)

    def on_report(self, host: str, carried: Carried, *, is_back: bool) -> None:
        self.reports.append((host, carried, is_back))

    def note_report(self, host: str, carried: Carried) -> None:
        pass

    def note_runs(self, host: str, sequence: int) -> None:
        self.sequences[host] = sequence

    def answered(self, call_id: str, host: str) -> Call | None:
        return self.pending.pop(call_id, None)

    def delete_surplus(self, rest: object) -> None:
        self.deleted.append("surplus")

    def delete_old(self, rest: object) -> None:
        self.deleted.append("old runs")

    def forget_silent(self) -> list[str]:
        self.deleted.append("silent hosts")
        return []

    def count_refused(self) -> None:
        self.refused += 1


class Bench:
    """A leader that knows h1, whose changes up to 5 are stored.

    `now` and `jumped` are of the clocks by which it deletes what is old.
    """

    def __init__(self) -> None:
        self.parts, self.sync = Parts(), RunSync()
        self.sync.add("h1", 5, 0.0)
        self.inboxes = Inboxes(lambda: None, clock=lambda: 0.0)
        self.inboxes.begin("s1")
        self._tags = 0
        self.now = self.jumped = 0.0
        self.leader = Leader(
            registry=self.parts,
            planner=self.parts,
            history=self.parts,
            sync=self.sync,
            inboxes=self.inboxes,
            listener=self.parts,
            publisher=self.parts,
            calls=self.parts,
            dead_letters=self.parts,
            on_refused=self.parts.count_refused,
            clock_watch=ClockWatch(lambda: self.now + self.jumped, lambda: self.now),
            clock=lambda: 10.0,
        )

    def handle(self, *messages: Event | bytes, key: str = "") -> None:
        """Have messages of h1 handled, all at once."""
        for message in messages:
            self._tags += 1
            body = message if isinstance(message, bytes) else encode(message)
            named = key or topology.event_key("h1", message)
            given = {"content_type": "application/json", "correlation_id": "c1"}
            self.inboxes.add(Received("h1", EXCHANGE, named, given, body, self._tags, "s1"))
        self.leader._handle()

    def answer(self, method: str, result: object = None, error: str = "") -> None:
        self.parts.pending["c1"] = Call("h1", method)
        told = {"exc_type": error} if error else None
        body = msgspec.json.encode({"result": result, "error": told})
        self.handle(body, key=f"h1.reply.{REPLY_ID}")

    @property
    def acknowledged(self) -> list[int]:
        return sorted(self.inboxes.acknowledgeable())


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_what_is_old_stays_at_first_and_after_a_jump_of_the_clock(bench: Bench) -> None:
    bench.leader._delete_old()
    assert bench.parts.deleted == ["surplus"]

    bench.now += START_S
    bench.leader._delete_old()
    assert bench.parts.deleted[1:] == ["surplus", "old runs", "silent hosts"]

    bench.jumped = 31 * 86400.0
    bench.leader._delete_old()
    assert bench.parts.deleted[4:] == ["surplus"]


def report(**changes: object) -> ProtectionReported:
    fields = {"epoch": 1, "at": "2026-11-29T03:00:00Z", "plan_version": 7, "digest": "d" * 64}
    return ProtectionReported(**(fields | changes))


def test_runs_are_stored_before_they_count(bench: Bench) -> None:
    bench.handle(PolicyRunChanged(run=a_run(6)), PolicyRunChanged(run=a_run(7)))

    assert [run.sequence for _, run in bench.parts.recorded] == [6, 7]
    assert bench.parts.sequences == {"h1": 7}
    assert bench.acknowledged == [1, 2]


def test_a_database_that_is_away_for_a_moment_loses_no_run(bench: Bench) -> None:
    bench.parts.failures = [DatabaseUnavailable()]

    bench.handle(PolicyRunChanged(run=a_run(6)))

    assert [run.sequence for _, run in bench.parts.recorded] == [6]


def test_an_error_that_nobody_expected_keeps_no_host_waiting(bench: Bench) -> None:
    bench.parts.failures = [ValueError("a bug")]

    with pytest.raises(ValueError, match="a bug"):
        bench.handle(PolicyRunChanged(run=a_run(6)))

    assert bench.acknowledged == [1]
    # It was not stored, so it is asked for with the next one.
    assert bench.sync.sequence("h1") == 5


def test_what_cannot_be_read_costs_no_other_message(bench: Bench) -> None:
    bench.handle(b"{", key="h1.worker.policy-run")
    bench.handle(PolicyRunChanged(run=a_run(6)))

    assert len(bench.parts.letters) == 1
    assert len(bench.parts.recorded) == 1
    assert bench.acknowledged == [1, 2]


def test_the_first_report_of_each_start_of_a_worker_is_that_of_one_who_is_back(
    bench: Bench,
) -> None:
    for epoch in (1, 1, 2):
        bench.handle(report(epoch=epoch))

    carried = Carried(7, "d" * 64, clock_trusted=False)
    assert bench.parts.reports == [
        ("h1", carried, True),
        ("h1", carried, False),
        ("h1", carried, True),
    ]


def test_a_page_of_runs_is_stored_and_counts(bench: Bench) -> None:
    bench.answer(RUNS_SINCE, to_wire(PolicyRunPage(runs=[a_run(6), a_run(9)])))

    assert [run.sequence for _, run in bench.parts.recorded] == [6, 9]
    assert bench.parts.sequences == {"h1": 9}


def test_a_plan_that_a_host_refuses_is_counted(bench: Bench) -> None:
    bench.answer(SET_PLAN, error="InvalidInput")
    bench.answer(SET_PLAN)
    bench.answer(RUNS_SINCE, error="MethodNotFound")

    assert bench.parts.refused == 1
    assert bench.parts.recorded == []


@pytest.mark.attack
def test_an_answer_to_no_call_is_dropped(bench: Bench) -> None:
    page = msgspec.json.encode({"result": to_wire(PolicyRunPage(runs=[a_run(6)]))})

    bench.handle(page, key=f"h1.reply.{REPLY_ID}")

    assert bench.parts.recorded == []
    assert bench.acknowledged == [1]
