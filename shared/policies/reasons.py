"""Words for why a snapshot stays or goes, and why a slot was skipped.

A reason begins with one of these words, by which it is translated; what follows it, after a space,
is its value: `last 3`, `daily 2026-11-29`, `tag release`.
"""

from __future__ import annotations

# A rule of the retention keeps it. The value is its place, or the period that it is the newest of.
LAST = "last"
HOURLY = "hourly"
DAILY = "daily"
WEEKLY = "weekly"
MONTHLY = "monthly"
YEARLY = "yearly"
# After a period: a rule with counts left keeps the oldest one of all, though it has the period.
OLDEST = "oldest"
TAG = "tag"
# The newest one that counts; it stays whatever the retention says.
NEWEST = "newest"
# It is dated after now.
FUTURE = "future"

# Guards: they keep a snapshot whatever the retention says.
PROTECTED = "protected"
# Somebody has set an expiry in LXD, which deletes it then.
EXPIRES = "expires"
# No policy took it, or another one.
FOREIGN = "foreign"
# It is dated before one that the policy took earlier: the clock was wrong.
MISDATED = "misdated"
# LXD or another operation works with it right now.
IN_USE = "in_use"

# It goes: no rule keeps it.
NO_RULE = "no_rule"

WHY_KEPT = (
    LAST,
    HOURLY,
    DAILY,
    WEEKLY,
    MONTHLY,
    YEARLY,
    TAG,
    NEWEST,
    FUTURE,
    PROTECTED,
    EXPIRES,
    FOREIGN,
    MISDATED,
    IN_USE,
)

# Why a slot was skipped.
BUSY = "busy"
INSTANCE_GONE = "instance_gone"
NOT_SELECTED = "not_selected"
POLICY_GONE = "policy_gone"
# Another instance of the host has the same uuid: nobody knows whose the records are.
DUPLICATE_UUID = "duplicate_uuid"

WHY_SKIPPED = (BUSY, INSTANCE_GONE, NOT_SELECTED, POLICY_GONE, DUPLICATE_UUID)


def word_of(reason: str) -> str:
    """Return the word that a reason begins with."""
    return reason.split(" ", 1)[0]


def value_of(reason: str) -> str:
    """Return what follows the word of a reason; empty: nothing."""
    return reason.partition(" ")[2]
