from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from services.gateway import units


def test_sizes_are_whole_binary_units() -> None:
    assert units.mib(10 * 2**30) == 10240
    assert units.mib(None) == 0
    assert units.gib(500 * 2**30) == 500


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [(1, 2, 50.0), (1, 3, 33.3), (5, 4, 100.0), (-1, 4, 0.0), (1, 0, 0.0)],
)
def test_a_share_is_a_percentage_to_one_decimal(part: float, whole: float, expected: float) -> None:
    assert units.share(part, whole) == expected


def test_a_time_is_shown_in_the_gateways_zone_without_naming_it() -> None:
    moment = units.parse_time_or_epoch("2026-01-20T02:00:00.123456789Z")

    assert units.local_text(moment, ZoneInfo("Asia/Shanghai")) == "2026-01-20T10:00:00"
    assert units.utc_text(moment) == "2026-01-20T02:00:00Z"


@pytest.mark.parametrize("text", ["", "yesterday", "0001-01-01T00:00:00Z", "2026-01-20T02:00:00"])
def test_what_names_no_instant_is_shown_as_the_epoch(text: str) -> None:
    assert units.parse_time_or_epoch(text) == datetime(1970, 1, 1, tzinfo=UTC)
