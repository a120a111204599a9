"""What docs/operations/snapshots.md shows is what the rules do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import dropwhile, takewhile
from zoneinfo import ZoneInfo

import pytest

from services.gateway.http.request_models.policies import PolicyBody
from shared.contracts.errors import InvalidInput
from shared.contracts.policies import Retention, RetentionRule, Schedule
from shared.policies import reasons
from shared.policies.naming import LEAST_OF_INSTANCE, LONGEST_NAME
from shared.policies.plan import DEFAULT_AT_ONCE, DEFAULT_FLEET_AT_ONCE, GROUP_DELAY_S
from shared.policies.reasons import word_of
from shared.policies.retention import Held, judge
from shared.policies.schedule import check_schedule, slots
from shared.policies.validation import check_policy
from tests.support.daemons import ROOT
from tests.support.documents import code_blocks

PAGE = ROOT / "docs" / "operations" / "snapshots.md"
TEXT = PAGE.read_text(encoding="utf-8")
TODAY = datetime(2026, 11, 29, 2, tzinfo=UTC)
MONTHS = 4
LETTERS = {"last": "L", "daily": "d", "weekly": "w", "monthly": "m"}


def picture() -> Iterator[str]:
    """Yield the lines of the picture: months by days, one snapshot a night."""
    held = [Held(str(age), TODAY - timedelta(days=age)) for age in range(300)]
    yield " " * 14 + "".join(str(day // 10 or " ") for day in range(1, 32)).rstrip()
    yield " " * 14 + "".join(str(day % 10) for day in range(1, 32))
    for rule in RetentionRule:
        retention = Retention(keep_last=2, keep_daily=5, keep_weekly=4, keep_monthly=3, rule=rule)
        letters = {
            each.held.created_at.date(): LETTERS[word_of(each.reasons[0])]
            for each in judge(held, retention, "UTC", TODAY)
            if each.kept
        }
        for back in range(MONTHS):
            year, month = divmod(TODAY.year * 12 + TODAY.month - 1 - back, 12)
            first = datetime(year, month + 1, 1, tzinfo=UTC)
            days = [first + timedelta(days=day) for day in range(31)]
            shown = "".join(
                letters.get(day.date(), ".")
                for day in days
                if day.month == first.month and day <= TODAY
            )
            yield f"{rule if not back else '':<8}{first:%b}   {shown}"


def test_the_picture_is_what_the_rules_keep() -> None:
    [shown] = [block for block in code_blocks(PAGE) if block.language == "picture"]

    assert shown.text.splitlines() == list(picture())


def test_the_example_is_a_policy_that_is_taken() -> None:
    [example] = code_blocks(PAGE, language="json")

    policy = PolicyBody.model_validate(example.json()).to_policy("p")

    check_policy(policy)
    assert policy.retention.keep_tags == ("release",)


CLOCK_CHANGES = re.findall(
    r"^\| `([^`]+)` \| ([\w/]+) \| (\d{4}-\d\d-\d\d), [^|]+ \|([^|]*)\|$", TEXT, re.MULTILINE
)


@pytest.mark.parametrize(("cron", "timezone", "day", "expected"), CLOCK_CHANGES)
def test_the_table_of_clock_changes_is_what_a_schedule_does(
    cron: str, timezone: str, day: str, expected: str
) -> None:
    midnight = datetime.fromisoformat(day).replace(tzinfo=ZoneInfo(timezone))
    schedule = Schedule(cron=cron, timezone=timezone)
    check_schedule(schedule)

    found = slots(schedule, midnight - timedelta(seconds=1), midnight + timedelta(days=1, hours=2))

    local = [each.astimezone(ZoneInfo(timezone)) for each in found]
    assert [f"{each:%H:%M}" for each in local if f"{each:%Y-%m-%d}" == day] == expected.split()


def test_there_are_enough_examples_of_clock_changes() -> None:
    assert len(CLOCK_CHANGES) == 8


def test_every_reason_is_explained() -> None:
    told = {word_of(each) for row in table_of("Why one stays") for each in code_in(row[0])}

    assert told == {*reasons.WHY_KEPT, reasons.NO_RULE}


def test_the_limits_are_those_that_are_told() -> None:
    assert f"`FLEET_SNAPSHOTS_AT_ONCE`\n({DEFAULT_AT_ONCE})" in TEXT
    assert f"`FLEET_SNAPSHOTS_FLEET_AT_ONCE` ({DEFAULT_FLEET_AT_ONCE})" in TEXT
    assert f"groups of {DEFAULT_FLEET_AT_ONCE}" in TEXT
    assert f"{GROUP_DELAY_S:g} seconds after the one\nbefore" in TEXT
    assert f"of {LONGEST_NAME} characters" in TEXT
    assert f"at least {LEAST_OF_INSTANCE} characters" in TEXT


@pytest.mark.parametrize("cron", ["@daily", "60 2 * * *", "0 2 30 2 *"])
def test_what_the_page_says_is_refused_is_refused(cron: str) -> None:
    assert f"`{cron}`" in TEXT
    with pytest.raises(InvalidInput):
        check_schedule(Schedule(cron=cron))


@pytest.mark.parametrize("cron", ["0 2 L 2 *", "0 2 LW * *", "0 2 * * 5L", "0 2 * * 1#2"])
def test_what_the_page_says_can_be_written_can_be(cron: str) -> None:
    check_schedule(Schedule(cron=cron))


def table_of(heading: str) -> list[list[str]]:
    """Return the cells of the first table under a heading, without its head."""
    lines = TEXT.split(f"# {heading}\n", 1)[1].splitlines()
    table = list(takewhile(lambda line: line, dropwhile(lambda line: line[:1] != "|", lines)))
    return [line.strip("|").split(" | ") for line in table[2:]]


def code_in(cell: str) -> list[str]:
    """Return what stands between backquotes."""
    return re.findall("`([^`]+)`", cell)
