"""When a policy is due: cron in a time zone, the days on which clocks are changed, jitter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from shared.contracts.errors import InvalidInput
from shared.contracts.policies import Schedule
from shared.policies import rules
from shared.policies.moments import parse_moment, slot_text
from shared.policies.schedule import check_schedule, delay_s, latest_slot, next_slot, slots

BERLIN = "Europe/Berlin"
# Clocks change on these days, or in their nights, in New York, in Berlin or on Lord Howe.
CHANGES = ("2027-03-14", "2027-03-28", "2027-04-03", "2027-10-02", "2027-10-31", "2027-11-07")
RARE = ("* * * * *", "0 2 29 2 *", "0 0 * 2 MON#5", "0 4 L * *", "0 4 LW * *", "15 6 * JAN SUN")


def texts(cron: str, timezone: str, after: str, until: str) -> list[str]:
    """Return the slots after one moment and not after another."""
    schedule = Schedule(cron=cron, timezone=timezone)
    found = slots(schedule, parse_moment(after), parse_moment(until))
    return [slot_text(each).removesuffix(":00Z") for each in found]


@pytest.mark.parametrize(
    ("cron", "timezone", "day", "expected"),
    [
        # Clocks go forward: 02:00 to 03:00 in Berlin on 2027-03-28, at 01:00 UTC.
        ("30 2 * * *", BERLIN, "2027-03-28", ["2027-03-28T01:00"]),
        ("0 2,3 * * *", BERLIN, "2027-03-28", ["2027-03-28T01:00"]),
        ("30 2,3 * * *", BERLIN, "2027-03-28", ["2027-03-28T01:00", "2027-03-28T01:30"]),
        ("*/30 2 * * *", BERLIN, "2027-03-28", []),
        # Back: 03:00 to 02:00 on 2027-10-31, at 01:00 UTC.
        ("30 2 * * *", BERLIN, "2027-10-31", ["2027-10-31T00:30"]),
        ("*/30 2 * * *", BERLIN, "2027-10-31", [
            "2027-10-31T00:00", "2027-10-31T00:30", "2027-10-31T01:00", "2027-10-31T01:30"]),
        # New York, where clocks change at 02:00: forward at 07:00 UTC, back at 06:00 UTC.
        ("15 2 * * *", "America/New_York", "2027-03-14", ["2027-03-14T07:00"]),
        ("15 1 * * *", "America/New_York", "2027-11-07", ["2027-11-07T05:15"]),
        # Half an hour on Lord Howe: back from 02:00 to 01:30 on 2027-04-04, at 15:00 UTC the day
        # before, forward from 02:00 to 02:30 on 2027-10-03, at 15:30 UTC the day before.
        ("45 1 * * *", "Australia/Lord_Howe", "2027-04-03", ["2027-04-03T14:45"]),
        ("*/15 1 * * *", "Australia/Lord_Howe", "2027-04-03", [
            "2027-04-03T14:00", "2027-04-03T14:15", "2027-04-03T14:30", "2027-04-03T14:45",
            "2027-04-03T15:00", "2027-04-03T15:15"]),
        ("10 2 * * *", "Australia/Lord_Howe", "2027-10-02", ["2027-10-02T15:30"]),
        ("*/10 2 * * *", "Australia/Lord_Howe", "2027-10-02", [
            "2027-10-02T15:30", "2027-10-02T15:40", "2027-10-02T15:50"]),
        # Nothing changes there.
        ("30 2 * * *", "Asia/Kolkata", "2027-03-28", ["2027-03-28T21:00"]),
        ("30 2 * * *", "UTC", "2027-03-28", ["2027-03-28T02:30"]),
    ],
)  # fmt: skip
def test_the_slots_of_a_day_on_which_clocks_change(
    cron: str, timezone: str, day: str, expected: list[str]
) -> None:
    midnight = parse_moment(f"{day}T00:00:00Z")
    before = slot_text(midnight - timedelta(seconds=1))

    found = texts(cron, timezone, before, f"{day}T23:59:59Z")

    assert found == expected


@pytest.mark.parametrize(
    ("field", "rule", "schedule"),
    [
        ("schedule.cron", rules.CRON, Schedule(cron="")),
        ("schedule.cron", rules.CRON, Schedule(cron="@daily")),
        ("schedule.cron", rules.CRON, Schedule(cron="0 0 2 * * *")),
        ("schedule.cron", rules.CRON, Schedule(cron="60 2 * * *")),
        ("schedule.cron", rules.CRON, Schedule(cron="*/0 2 * * *")),
        ("schedule.cron", rules.CRON, Schedule(cron="0 2 32 * *")),
        ("schedule.cron", rules.CRON, Schedule(cron="5-1 2 * * *")),
        ("schedule.cron", rules.CRON_NEVER, Schedule(cron="0 2 30 2 *")),
        ("schedule.cron", rules.CRON_NEVER, Schedule(cron="0 2 31 4,6,9,11 *")),
        ("schedule.cron", rules.CRON_NEVER, Schedule(cron="0 0 */20 * 1L")),
        ("schedule.timezone", rules.TIMEZONE, Schedule(cron="0 2 * * *", timezone="Mars/Olympus")),
        ("schedule.timezone", rules.TIMEZONE, Schedule(cron="0 2 * * *", timezone="Europe")),
        ("schedule.timezone", rules.TIMEZONE, Schedule(cron="0 2 * * *", timezone="")),
        ("schedule.timezone", rules.TIMEZONE, Schedule(cron="0 2 * * *", timezone="../etc/passwd")),
        ("schedule.timezone", rules.TIMEZONE, Schedule(cron="0 2 * * *", timezone="localtime")),
        ("schedule.timezone", rules.TIMEZONE, Schedule(cron="0 2 * * *", timezone="right/UTC")),
        ("schedule.jitter_s", rules.JITTER, Schedule(cron="0 * * * *", jitter_s=3600)),
        ("schedule.jitter_s", rules.JITTER, Schedule(cron="0,10 * * * *", jitter_s=600)),
    ],
)
def test_a_schedule_that_cannot_be_carried_out_is_refused_with_what_is_valid(
    field: str, rule: str, schedule: Schedule
) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_schedule(schedule)

    assert refused.value.args == (field, rule)


@pytest.mark.parametrize("cron", RARE)
def test_a_schedule_that_is_due_now_and_then_is_accepted(cron: str) -> None:
    check_schedule(Schedule(cron=cron, timezone=BERLIN, jitter_s=59))


def test_a_leap_day_is_due_in_leap_years_only() -> None:
    found = texts("0 2 29 2 *", "Asia/Kolkata", "2095-01-01T00:00:00Z", "2105-01-01T00:00:00Z")

    assert found == ["2096-02-28T20:30", "2104-02-28T20:30"]


def test_each_slot_comes_after_the_one_before_in_any_zone_and_schedule() -> None:
    for cron in ("*/23 * * * *", "0 2,3 * * *", "30 */2 * * *", "15 0 * * *", "0 0 * * MON"):
        for timezone in (BERLIN, "America/New_York", "Australia/Lord_Howe", "America/Havana"):
            schedule = Schedule(cron=cron, timezone=timezone)
            found = list(slots(schedule, moment(2027), moment(2028)))

            assert all(before < after for before, after in pairwise(found))
            assert all(slot.tzinfo is UTC for slot in found)


@pytest.mark.parametrize("cron", ["*/20 * * * *", "0 2,3 * * *", "30 1,2 * * *", "*/30 1,2 * * *"])
@pytest.mark.parametrize("timezone", [BERLIN, "Australia/Lord_Howe", "America/New_York"])
def test_the_next_and_the_latest_slot_are_those_of_the_whole_list(cron: str, timezone: str) -> None:
    schedule = Schedule(cron=cron, timezone=timezone)
    for change in (
        "2027-03-14",
        "2027-03-28",
        "2027-04-03",
        "2027-10-02",
        "2027-10-31",
        "2027-11-07",
    ):
        start = parse_moment(f"{change}T00:00:00Z")
        whole = list(slots(schedule, start - timedelta(days=2), start + timedelta(days=3)))
        for minutes in range(0, 1440, 5):
            now = start + timedelta(minutes=minutes)

            assert next_slot(schedule, now) == next(each for each in whole if each > now)
            assert (
                latest_slot(schedule, start - timedelta(days=2), now)
                == ([each for each in whole if each <= now][-1])
            )


def shown(moment: datetime, zone: ZoneInfo) -> tuple[int, int]:
    """Return the hour and the minute that clocks in a zone show."""
    local = moment.astimezone(zone)
    return local.hour, local.minute


def minute_by_minute(hours: set[int], minutes: set[int], timezone: str, day: str) -> list[datetime]:
    """Return the moments of three days at which clocks show one of the times."""
    zone, start = ZoneInfo(timezone), parse_moment(f"{day}T00:00:00Z") - timedelta(days=1)
    moments = (start + timedelta(minutes=minute) for minute in range(3 * 1440))
    times = {(hour, minute) for hour in hours for minute in minutes}
    return [each for each in moments if shown(each, zone) in times]


def each_once(moments: list[datetime], timezone: str) -> list[datetime]:
    """Return the moments without those at which clocks show a time of the day again."""
    local = {
        each.astimezone(ZoneInfo(timezone)).replace(tzinfo=None): each for each in moments[::-1]
    }
    return sorted(local.values())


@pytest.mark.parametrize("day", CHANGES)
@pytest.mark.parametrize("timezone", [BERLIN, "Australia/Lord_Howe", "America/New_York", "UTC"])
@pytest.mark.parametrize(
    ("cron", "hours", "minutes"),
    [
        ("*/20 * * * *", {*range(24)}, {0, 20, 40}),
        ("*/10 1,2 * * *", {1, 2}, {0, 10, 20, 30, 40, 50}),
        ("0,45 */2 * * *", {*range(0, 24, 2)}, {0, 45}),
        ("5 */1 * * *", {*range(24)}, {5}),
    ],
)
def test_a_schedule_with_a_star_is_due_whenever_clocks_show_its_time(
    cron: str, hours: set[int], minutes: set[int], timezone: str, day: str
) -> None:
    expected = minute_by_minute(hours, minutes, timezone, day)
    start = parse_moment(f"{day}T00:00:00Z") - timedelta(days=1, seconds=1)

    found = list(slots(Schedule(cron=cron, timezone=timezone), start, start + timedelta(days=3)))

    assert found == expected


@pytest.mark.parametrize("timezone", [BERLIN, "Australia/Lord_Howe", "America/New_York", "UTC"])
@pytest.mark.parametrize(
    ("cron", "hours", "minutes"),
    [
        ("0,10,30,45 1,2 * * *", {1, 2}, {0, 10, 30, 45}),
        ("15 0,3,23 * * *", {0, 3, 23}, {15}),
    ],
)
def test_a_schedule_of_certain_times_is_due_once_a_day_at_each_and_after_a_gap(
    cron: str, hours: set[int], minutes: set[int], timezone: str
) -> None:
    for day in CHANGES:
        expected = each_once(minute_by_minute(hours, minutes, timezone, day), timezone)
        start = parse_moment(f"{day}T00:00:00Z") - timedelta(days=1, seconds=1)

        found = set(slots(Schedule(cron=cron, timezone=timezone), start, start + timedelta(days=3)))

        more = found - set(expected)
        assert set(expected) <= found
        # At most the end of the gap, which no clock shows a minute before.
        assert len(more) <= 1
        for each in more:
            before = each - timedelta(minutes=1)
            zone = ZoneInfo(timezone)
            assert each.astimezone(zone).utcoffset() != before.astimezone(zone).utcoffset()


def test_a_slot_is_not_the_latest_of_a_time_before_it() -> None:
    schedule = Schedule(cron="0 2 * * *")

    assert latest_slot(schedule, moment(2027), moment(2027, 1, 1, 1)) is None
    assert latest_slot(schedule, moment(2027), moment(2027, 1, 1, 2)) == moment(2027, 1, 1, 2)
    assert latest_slot(schedule, moment(2027, 1, 1, 2), moment(2027, 1, 1, 3)) is None


def test_a_host_is_always_equally_late_and_hosts_differ() -> None:
    schedule = Schedule(cron="0 2 * * *", jitter_s=600)

    delays = [delay_s(schedule, f"h{number}", 60) for number in range(100)]

    assert delays == [delay_s(schedule, f"h{number}", 60) for number in range(100)]
    assert all(60 <= delay < 660 for delay in delays)
    assert len(set(delays)) == 100
    assert min(delays) < 120
    assert max(delays) > 600


def moment(year: int, month: int = 1, day: int = 1, hour: int = 0) -> datetime:
    """Return a moment in UTC."""
    return datetime(year, month, day, hour, tzinfo=UTC)
