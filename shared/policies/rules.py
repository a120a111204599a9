"""What is valid in a policy, as sentences for who sends another; the gateway translates them."""

from __future__ import annotations

CRON = (
    "five fields of cron: minute, hour, day of the month, month, day of the week;"
    " for example '30 2 * * *' for every day at 02:30"
)
CRON_NEVER = "a time that comes: this schedule has none in the next 50 years"
TIMEZONE = "the name of an IANA time zone, for example 'Europe/Berlin' or 'UTC'"
JITTER = "less than the shortest time between two snapshots of the schedule"
NAME = "1-63 ASCII letters, digits or hyphens"
ID = "an id that is not empty"
KEEPS_NOTHING = (
    "at least one of keep_last, keep_hourly, keep_daily, keep_weekly, keep_monthly and keep_yearly"
    " above 0"
)
TAG = "tags of 1-63 ASCII letters, digits, '.', '_' or '-'"
PATTERN_TIME = "a pattern with {time}, so that every snapshot has a name of its own"
PATTERN_PLACEHOLDERS = "no braces but those of {policy}, {instance} and {time}"
PATTERN_CHARACTERS = (
    "no spaces, no control characters and none of '/%?+&', and no '.' at the beginning"
)
PATTERN_LENGTH = (
    "a pattern whose names have at most 63 characters; {time} takes 16 of them, and {instance}"
    " needs at least 8"
)
HOSTS = "ids of hosts that are not empty"
PROJECTS = "names of projects that are not empty"
NAMES = "globs of letters, digits, '-', '*', '?' and '[...]', because no other name can be there"
LABELS = "names of labels that are not empty"
COMMAND = "a program and its arguments, without NUL; the program is not empty"
COMMAND_TIMEOUT = "a time-out above 0 seconds"
SIZE = (
    "at most 16 KiB as JSON in all: put long scripts into files inside the instances, or shorten"
    " commands, lists and the description"
)
PLAN_SIZE = (
    "at most 960 KiB as JSON in all enabled policies together: disable or delete some, join some"
    " into one, or shorten commands and lists"
)
ALL_SIZE = (
    "at most 4 MiB as JSON in all policies together: delete some, or shorten commands, lists and"
    " descriptions"
)
COUNT = "at most 1000 policies: delete some, or join some into one"
MOMENT = "a time in RFC 3339 and UTC, for example 2026-11-29T20:45:00Z"

RULES = (
    CRON,
    CRON_NEVER,
    TIMEZONE,
    JITTER,
    NAME,
    ID,
    KEEPS_NOTHING,
    TAG,
    PATTERN_TIME,
    PATTERN_PLACEHOLDERS,
    PATTERN_CHARACTERS,
    PATTERN_LENGTH,
    HOSTS,
    PROJECTS,
    NAMES,
    LABELS,
    COMMAND,
    COMMAND_TIMEOUT,
    SIZE,
    PLAN_SIZE,
    ALL_SIZE,
    COUNT,
    MOMENT,
)
