from __future__ import annotations

import logging

import pytest

from services.gateway.error_boundary import (
    MOST_LOGGED,
    MOST_REMEMBERED,
    EntrySubject,
    ErrorBoundary,
)

ODD = EntrySubject("instance", "h1", "default/odd")


def broken(why: str = "odd") -> str:
    raise ValueError(why)


def test_what_can_be_rendered_is_returned() -> None:
    assert ErrorBoundary().render(ODD, lambda: "whole", lambda: "bare") == "whole"


def test_what_cannot_be_rendered_is_returned_bare() -> None:
    assert ErrorBoundary().render(ODD, broken, lambda: "bare") == "bare"


def test_a_failure_is_logged_and_counted_once_until_it_changes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counted: list[EntrySubject] = []
    boundary = ErrorBoundary(counted.append)

    for why in ("odd", "odd", "odder", "odder"):
        boundary.render(ODD, lambda: broken(why), str)  # noqa: B023 - it is called at once

    records = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [(vars(each)["host"], vars(each)["entry"]) for each in records] == [
        ("h1", "default/odd"),
        ("h1", "default/odd"),
    ]
    assert counted == [ODD, ODD]


def test_each_entrys_failure_is_its_own() -> None:
    counted: list[EntrySubject] = []
    boundary = ErrorBoundary(counted.append)

    for host in ("h1", "h2", "h1"):
        boundary.render(EntrySubject("instance", host, "web"), broken, str)

    assert [subject.host for subject in counted] == ["h1", "h2"]


@pytest.mark.attack
def test_failures_without_end_do_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    counted: list[EntrySubject] = []
    boundary = ErrorBoundary(counted.append)

    for number in range(MOST_LOGGED + 10):
        boundary.render(ODD, lambda: broken(str(number)), str)  # noqa: B023 - called at once
    boundary.render(EntrySubject("instance", "h2", "web"), broken, str)

    assert len(counted) == MOST_LOGGED + 11
    assert [vars(each)["host"] for each in caplog.records] == ["h1"] * MOST_LOGGED + ["h2"]


@pytest.mark.attack
def test_failures_without_end_do_not_fill_the_memory() -> None:
    boundary = ErrorBoundary()

    for number in range(MOST_REMEMBERED + 10):
        boundary.render(EntrySubject("instance", "h1", str(number)), broken, str)

    assert len(boundary._failures) == MOST_REMEMBERED
