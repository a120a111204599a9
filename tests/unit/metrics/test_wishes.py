"""When LXD is to be asked, and about what."""

from __future__ import annotations

import pytest

from services.metrics.domain.wishes import MOST_SINGLE, RETRY_S, Wishes

WEB, DB = ("default", "web"), ("default", "db")


@pytest.fixture
def wishes() -> Wishes:
    """At 100 s everything was asked for, as it is every minute."""
    wishes = Wishes(period_s=60.0, now_s=100.0)
    wishes.saw_everything(100.0)
    return wishes


def test_at_first_everything_is_wished_for() -> None:
    assert Wishes(period_s=60.0, now_s=100.0).everything_due(100.0)


def test_everything_is_due_again_after_the_period(wishes: Wishes) -> None:
    assert not wishes.everything_due(159.9)
    assert wishes.everything_due(160.0)


def test_an_extra_wish_for_everything_is_fulfilled_once(wishes: Wishes) -> None:
    wishes.everything(110.0)

    before, due = wishes.everything_due(109.9), wishes.everything_due(110.0)
    wishes.saw_everything(110.5)

    assert (before, due) == (False, True)
    assert not wishes.everything_due(170.4)


def test_an_answer_does_not_fulfil_what_was_wished_for_after_the_question(wishes: Wishes) -> None:
    wishes.everything(110.0)
    wishes.look(WEB, 110.0)

    wishes.saw_everything(109.0)

    assert wishes.everything_due(110.0)
    assert wishes.looks_due(110.0) == [WEB]


def test_wishes_for_one_instance_at_one_time_are_one_question(wishes: Wishes) -> None:
    wishes.look(WEB, 110.0)
    wishes.look(WEB, 110.05)
    wishes.look(DB, 111.0)

    due = wishes.looks_due(110.1)
    wishes.looked(WEB, 110.1)

    assert due == [WEB]
    assert wishes.looks_due(110.2) == []
    assert wishes.looks_due(111.0) == [DB]


def test_a_later_look_at_the_same_instance_remains(wishes: Wishes) -> None:
    wishes.look(WEB, 110.0)
    wishes.look(WEB, 113.0)

    wishes.looked(WEB, 110.1)

    assert wishes.looks_due(112.9) == []
    assert wishes.looks_due(113.0) == [WEB]


def test_many_instances_are_asked_about_together(wishes: Wishes) -> None:
    for number in range(MOST_SINGLE):
        wishes.look(("default", f"c{number}"), 110.0)
    few = wishes.everything_due(110.0)

    wishes.look(("default", "one-more"), 110.0)
    many = wishes.everything_due(110.0)
    wishes.saw_everything(110.0)

    assert (few, many) == (False, True)
    assert wishes.looks_due(110.0) == []


def test_after_a_failure_everything_is_wished_for_and_nothing_before(wishes: Wishes) -> None:
    wishes.look(WEB, 110.0)
    wishes.everything(110.0)

    wishes.failed(110.0)

    assert wishes.looks_due(111.0) == []
    assert not wishes.everything_due(110.0 + RETRY_S - 0.1)
    assert wishes.everything_due(110.0 + RETRY_S)
