"""Whether a policy can be carried out.

A selection of nothing is valid: such a policy waits for its instances.
"""

from __future__ import annotations

import re

from shared.contracts.errors import InvalidInput
from shared.contracts.instance_config import GuestCommand
from shared.contracts.policies import Policy, Retention, Selection
from shared.policies import rules
from shared.policies.naming import check_pattern
from shared.policies.schedule import check_schedule

_NAME = re.compile(r"[A-Za-z0-9-]{1,63}")
_TAG = re.compile(r"[A-Za-z0-9._-]{1,63}")
_GLOB = re.compile(r"[A-Za-z0-9*?!\[\]-]{1,255}")


def check_policy(policy: Policy) -> None:
    """Raise InvalidInput, with the field and what is valid, for the first thing that is wrong."""
    _require("id", rules.ID, bool(policy.id))
    _require("name", rules.NAME, bool(_NAME.fullmatch(policy.name)))
    check_schedule(policy.schedule)
    check_contents(policy)


def check_contents(policy: Policy) -> None:
    """Raise InvalidInput for what is wrong beside the schedule, whose check takes longer."""
    _check_selection(policy.selection)
    _check_retention(policy.retention)
    check_pattern(policy.pattern, policy.name)
    _check_command("pre", policy.pre)
    _check_command("post", policy.post)


def check_tags(field: str, tags: tuple[str, ...]) -> None:
    """Raise InvalidInput for tags that no snapshot can have."""
    _require(field, rules.TAG, all(_TAG.fullmatch(tag) for tag in tags))


def keeps_something(retention: Retention) -> bool:
    """Whether any rule of a retention keeps snapshots for their age; tags alone do not."""
    return any(
        (
            retention.keep_last,
            retention.keep_hourly,
            retention.keep_daily,
            retention.keep_weekly,
            retention.keep_monthly,
            retention.keep_yearly,
        )
    )


def _check_selection(selection: Selection) -> None:
    _require("selection.hosts", rules.HOSTS, all(selection.hosts))
    _require("selection.projects", rules.PROJECTS, all(selection.projects))
    _require("selection.names", rules.NAMES, all(map(_GLOB.fullmatch, selection.names)))
    _require("selection.labels", rules.LABELS, all(selection.labels))


def _check_retention(retention: Retention) -> None:
    _require("retention", rules.KEEPS_NOTHING, keeps_something(retention))
    check_tags("retention.keep_tags", retention.keep_tags)


def _check_command(field: str, command: GuestCommand | None) -> None:
    if command is None:
        return
    words = command.command
    valid = bool(words) and bool(words[0]) and not any("\0" in word for word in words)
    _require(f"{field}.command", rules.COMMAND, valid)
    _require(f"{field}.timeout_s", rules.COMMAND_TIMEOUT, command.timeout_s > 0)


def _require(field: str, rule: str, valid: bool) -> None:
    if not valid:
        raise InvalidInput(field, rule)
