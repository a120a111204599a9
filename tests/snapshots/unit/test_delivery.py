"""When a host is sent its plan."""

from __future__ import annotations

from itertools import pairwise

import pytest

from services.snapshots.plans.delivery import RESEND_S, Carried, Delivery

DIGEST, OTHER = "d" * 64, "e" * 64


def delivery(at: float = 0.0) -> Delivery:
    """Return the delivery of version 5."""
    made = Delivery()
    made.issue(5, DIGEST, at)
    return made


def due_times(made: Delivery, until: float, *, reached: bool) -> list[float]:
    """Send whenever it is due; return when that was."""
    times, now = [], 0.0
    while now < until:
        if made.is_due(now):
            times.append(now)
            made.note_sent(now, reached=reached)
        now += 0.5
    return times


def test_a_new_plan_is_sent_at_once_and_no_more_once_it_is_reported() -> None:
    made = delivery(at=3.0)

    assert made.is_due(3.0)
    made.note_sent(3.0, reached=True)
    made.note_report(Carried(5, DIGEST, clock_trusted=True), 3.1, is_back=False)

    assert made.confirmed
    assert not made.is_due(1e9)


@pytest.mark.parametrize("reached", [True, False])
def test_until_then_it_is_sent_again_less_and_less_often_but_never_within_ten_seconds(
    reached: bool,
) -> None:
    times = due_times(delivery(), until=3600, reached=reached)

    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert len(times) > 10
    assert min(pauses) >= RESEND_S
    assert max(pauses) <= (301 if reached else 41)


def test_a_host_that_does_not_trust_its_clock_is_sent_its_plan_again() -> None:
    made = delivery()
    made.note_sent(0.0, reached=True)
    made.note_report(Carried(5, DIGEST, clock_trusted=False), 1.0, is_back=False)

    assert made.confirmed
    assert not made.is_due(RESEND_S - 0.1)
    assert made.is_due(RESEND_S)


def test_a_host_that_is_back_gets_its_plan_as_soon_as_it_may() -> None:
    made = delivery()
    due_times(made, until=1000, reached=False)
    last = made.last_sent_at
    waiting = made.due_at

    made.note_report(Carried(4, OTHER, clock_trusted=True), last + RESEND_S + 1, is_back=True)

    assert waiting > last + RESEND_S + 1
    assert made.is_due(last + RESEND_S + 1)


def test_reports_without_news_bring_nothing_forward() -> None:
    made = delivery()
    untrusted = Carried(5, DIGEST, clock_trusted=False)
    made.note_report(untrusted, 0.0, is_back=True)
    made.note_sent(0.0, reached=True)
    due_at = made.due_at

    for second in range(10):
        made.note_report(untrusted, float(second), is_back=False)

    assert made.due_at == due_at


@pytest.mark.parametrize(
    ("carried", "needed"),
    [
        (Carried(), False),
        (Carried(4, OTHER), False),
        (Carried(5, DIGEST), False),
        (Carried(5, OTHER), True),
        (Carried(6, DIGEST), True),
    ],
)
def test_a_host_that_would_refuse_the_plan_needs_another_version(
    carried: Carried, needed: bool
) -> None:
    made = delivery()
    made.note_report(carried, 1.0, is_back=False)

    assert made.needs_version(1.0) is needed


@pytest.mark.attack
def test_a_host_that_always_reports_a_later_plan_gets_new_versions_ever_more_rarely() -> None:
    made, issued, now = delivery(), [], 0.0
    while now < 3600:
        made.note_report(Carried(made.plan_version + 1, OTHER), now, is_back=False)
        if made.needs_version(now):
            made.issue(made.carried.plan_version + 1, DIGEST, now)
            issued.append(now)
        now += 1.0

    assert 5 < len(issued) < 40


def test_a_host_without_a_plan_is_sent_none() -> None:
    made = Delivery()
    made.note_report(Carried(9, OTHER, clock_trusted=False), 0.0, is_back=True)

    assert not made.is_due(1e9)
    assert not made.needs_version(1e9)
