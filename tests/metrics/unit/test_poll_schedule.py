"""When LXD is to be asked, and about what."""

from __future__ import annotations

import pytest

from services.metrics.sampler.poll_schedule import MOST_SINGLE, RETRY_S, PollSchedule

WEB, DB = ("default", "web"), ("default", "db")


@pytest.fixture
def schedule() -> PollSchedule:
    """At 100 s everything was asked for, as it is every minute."""
    schedule = PollSchedule(period_s=60.0, now_s=100.0)
    schedule.all_done(100.0)
    return schedule


def test_at_first_everything_is_wished_for() -> None:
    assert PollSchedule(period_s=60.0, now_s=100.0).all_due(100.0)


def test_everything_is_due_again_after_the_period(schedule: PollSchedule) -> None:
    assert not schedule.all_due(159.9)
    assert schedule.all_due(160.0)


def test_an_extra_wish_for_everything_is_fulfilled_once(schedule: PollSchedule) -> None:
    schedule.request_all(110.0)

    before, due = schedule.all_due(109.9), schedule.all_due(110.0)
    schedule.all_done(110.5)

    assert (before, due) == (False, True)
    assert not schedule.all_due(170.4)


def test_an_answer_settles_nothing_that_was_requested_after_the_question(
    schedule: PollSchedule,
) -> None:
    schedule.request_all(110.0)
    schedule.request(WEB, 110.0)

    schedule.all_done(109.0)

    assert schedule.all_due(110.0)
    assert schedule.due(110.0) == [WEB]


def test_wishes_for_one_instance_at_one_time_are_one_question(schedule: PollSchedule) -> None:
    schedule.request(WEB, 110.0)
    schedule.request(WEB, 110.05)
    schedule.request(DB, 111.0)

    due = schedule.due(110.1)
    schedule.done(WEB, 110.1)

    assert due == [WEB]
    assert schedule.due(110.2) == []
    assert schedule.due(111.0) == [DB]


def test_a_later_look_at_the_same_instance_remains(schedule: PollSchedule) -> None:
    schedule.request(WEB, 110.0)
    schedule.request(WEB, 113.0)

    schedule.done(WEB, 110.1)

    assert schedule.due(112.9) == []
    assert schedule.due(113.0) == [WEB]


def test_many_instances_are_asked_about_together(schedule: PollSchedule) -> None:
    for number in range(MOST_SINGLE):
        schedule.request(("default", f"c{number}"), 110.0)
    few = schedule.all_due(110.0)

    schedule.request(("default", "one-more"), 110.0)
    many = schedule.all_due(110.0)
    schedule.all_done(110.0)

    assert (few, many) == (False, True)
    assert schedule.due(110.0) == []


def test_after_a_failure_everything_is_due_and_nothing_before(
    schedule: PollSchedule,
) -> None:
    schedule.request(WEB, 110.0)
    schedule.request_all(110.0)

    schedule.failed(110.0)

    assert schedule.due(111.0) == []
    assert not schedule.all_due(110.0 + RETRY_S - 0.1)
    assert schedule.all_due(110.0 + RETRY_S)
