from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from services.gateway.responses.time_range import period
from shared.contracts.errors import InvalidInput

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_by_default_it_is_the_last_hour() -> None:
    assert period(None, None, NOW) == (NOW - HOUR, NOW)


def test_an_end_alone_is_that_of_an_hour() -> None:
    assert period(None, "2026-11-20T10:00:00Z", NOW) == (NOW - 3 * HOUR, NOW - 2 * HOUR)


@pytest.mark.parametrize(
    "text", ["2026-11-20T11:00:00Z", "2026-11-20T11:00:00", "2026-11-20T19:00:00+08:00"]
)
def test_a_time_without_a_zone_is_utc(text: str) -> None:
    assert period(text, None, NOW).begins == NOW - HOUR


@pytest.mark.parametrize(
    ("begins", "ends", "field"),
    [
        ("yesterday", None, "from"),
        (None, "12:00", "to"),
        ("0001-01-01T00:00:00+10:00", None, "from"),
        ("2026-11-20T12:00:01Z", None, "from"),
        ("2026-11-20T12:00:00Z", "2026-11-20T11:00:00Z", "from"),
    ],
)
def test_what_is_no_period_is_refused_with_its_field(
    begins: str | None, ends: str | None, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        period(begins, ends, NOW)

    assert refused.value.field == field


def test_a_period_can_end_with_the_beginning_of_time() -> None:
    first = period(None, "0001-01-01T00:00:00Z", NOW)

    assert first.begins == first.ends


def test_both_ends_belong_to_it() -> None:
    asked = period(None, None, NOW)

    assert [asked.holds(NOW - each * HOUR) for each in (0, 1, 1.01)] == [True, True, False]
