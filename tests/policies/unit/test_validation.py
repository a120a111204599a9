"""What is refused of a policy, with the field and what is valid; names and selections."""

from __future__ import annotations

from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.contracts.errors import InvalidInput
from shared.contracts.instance_config import GuestCommand
from shared.contracts.policies import Policy, Retention, Schedule, Selection
from shared.policies import rules
from shared.policies.naming import LONGEST_NAME, snapshot_name
from shared.policies.selection import may_select_host, selects, selects_nothing
from shared.policies.validation import check_policy

SLOT = datetime(2026, 11, 29, 20, 45, tzinfo=UTC)
TAGGED = Retention(keep_last=1, keep_tags=("a b",))
NO_TIME = GuestCommand(command=("a",), timeout_s=0)
NIGHTLY = Policy(
    id="p1",
    name="nightly",
    schedule=Schedule(cron="0 2 * * *", timezone="Europe/Berlin", jitter_s=600),
    selection=Selection(hosts=("h1",), names=("web-*", "db[0-9]"), labels={"tier": "prod"}),
    retention=Retention(keep_last=2, keep_daily=7, keep_tags=("release-1.0",)),
    pre=GuestCommand(command=("/usr/bin/sync",)),
)


@pytest.mark.parametrize(
    ("field", "rule", "changed"),
    [
        ("id", rules.ID, {"id": ""}),
        ("name", rules.NAME, {"name": "every night"}),
        ("schedule.cron", rules.CRON_NEVER, {"schedule": Schedule(cron="0 0 30 2 *")}),
        ("selection.hosts", rules.HOSTS, {"selection": Selection(hosts=("",))}),
        ("selection.projects", rules.PROJECTS, {"selection": Selection(projects=("",))}),
        ("selection.names", rules.NAMES, {"selection": Selection(names=("",))}),
        ("selection.names", rules.NAMES, {"selection": Selection(names=("../x",))}),
        ("selection.labels", rules.LABELS, {"selection": Selection(labels={"": "x"})}),
        ("retention", rules.KEEPS_NOTHING, {"retention": Retention()}),
        ("retention", rules.KEEPS_NOTHING, {"retention": Retention(keep_tags=("x",))}),
        ("retention.keep_tags", rules.TAG, {"retention": Retention(keep_last=1, keep_tags=("",))}),
        (
            "retention.keep_tags",
            rules.TAG,
            {"retention": Retention(keep_last=1, keep_tags=("a b",))},
        ),
        ("pattern", rules.PATTERN_TIME, {"pattern": "{policy}"}),
        ("pattern", rules.PATTERN_TIME, {"pattern": ""}),
        ("pattern", rules.PATTERN_PLACEHOLDERS, {"pattern": "{time}-{host}"}),
        ("pattern", rules.PATTERN_PLACEHOLDERS, {"pattern": "{time}-{"}),
        ("pattern", rules.PATTERN_CHARACTERS, {"pattern": "../{time}"}),
        ("pattern", rules.PATTERN_CHARACTERS, {"pattern": "a/{time}"}),
        ("pattern", rules.PATTERN_CHARACTERS, {"pattern": ".{time}"}),
        ("pattern", rules.PATTERN_CHARACTERS, {"pattern": "{time} {policy}"}),
        ("pattern", rules.PATTERN_CHARACTERS, {"pattern": "{time}\n"}),
        ("pattern", rules.PATTERN_CHARACTERS, {"pattern": "{time}%2f"}),
        ("pattern", rules.PATTERN_LENGTH, {"pattern": "x" * 48 + "{time}"}),
        ("pattern", rules.PATTERN_LENGTH, {"pattern": "x" * 40 + "{instance}{time}"}),
        ("pattern", rules.PATTERN_LENGTH, {"name": "n" * 47}),
        ("pre.command", rules.COMMAND, {"pre": GuestCommand(command=("",))}),
        ("post.command", rules.COMMAND, {"post": GuestCommand(command=("a", "b\0c"))}),
        ("policy", rules.SIZE, {"pre": GuestCommand(command=("x" * 8000, "y" * 8000))}),
        ("policy", rules.SIZE, {"description": "\0" * 3000}),
        (
            "pre.timeout_s",
            rules.COMMAND_TIMEOUT,
            {"pre": NO_TIME},
        ),
    ],
)
def test_what_is_wrong_in_a_policy_is_refused_with_what_is_valid(
    field: str, rule: str, changed: dict[str, Any]
) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_policy(replace(NIGHTLY, **changed))

    assert refused.value.args == (field, rule)


@pytest.mark.parametrize(
    "changed",
    [
        {},
        {"selection": Selection()},
        {"selection": Selection(names=("*",))},
        {"pattern": "{time}"},
        {"pattern": "{instance}_{policy}.{time}"},
        {"name": "n" * 46},
    ],
)
def test_a_policy_that_can_be_carried_out_is_accepted(changed: dict[str, Any]) -> None:
    check_policy(replace(NIGHTLY, **changed))


def test_every_rule_is_told_once_and_has_no_values() -> None:
    told = [value for name, value in vars(rules).items() if name.isupper() and name != "RULES"]

    assert sorted(told) == sorted(rules.RULES)
    assert len(set(told)) == len(told)


def test_a_snapshot_is_named_by_the_pattern_with_its_slot_in_utc() -> None:
    policy = replace(NIGHTLY, pattern="{policy}_{instance}.{time}")

    assert snapshot_name(policy, "web-1", SLOT) == "nightly_web-1.20261129T204500Z"
    assert snapshot_name(NIGHTLY, "web-1", SLOT) == "nightly-20261129T204500Z"


def test_a_name_is_no_longer_than_lxd_takes_for_any_instance() -> None:
    policy = replace(NIGHTLY, pattern="{instance}{instance}-{policy}-{time}")
    check_policy(policy)

    name = snapshot_name(policy, "i" * 63, SLOT)

    assert len(name) <= LONGEST_NAME
    assert name.endswith("-nightly-20261129T204500Z")


def test_a_name_in_a_pattern_is_no_placeholder_itself() -> None:
    policy = replace(NIGHTLY, pattern="{instance}-{time}")

    assert snapshot_name(policy, "{time}", SLOT) == "{time}-20261129T204500Z"


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), False),
        (Selection(names=("*",)), True),
        (Selection(names=("db*", "web-?")), True),
        (Selection(names=("WEB*",)), False),
        (Selection(names=("web-[0-9]",)), True),
        (Selection(names=("web",)), False),
        (Selection(hosts=("h1",)), True),
        (Selection(hosts=("h2",)), False),
        (Selection(projects=("default", "shop")), True),
        (Selection(projects=("other",)), False),
        (Selection(labels={"tier": "prod"}), True),
        (Selection(labels={"tier": "prod", "owner": "me"}), False),
        (Selection(labels={"tier": ""}), False),
        (Selection(hosts=("h1",), names=("web*",), labels={"tier": "prod"}), True),
        (Selection(hosts=("h2",), names=("web*",), labels={"tier": "prod"}), False),
    ],
)
def test_an_instance_is_selected_if_it_fits_every_field_that_is_given(
    selection: Selection, expected: bool
) -> None:
    assert selects(selection, "h1", "shop", "web-1", {"tier": "prod"}) is expected
    if expected:
        assert may_select_host(selection, "h1")
    assert selects_nothing(selection) is (selection == Selection())


@given(
    st.lists(st.text("ab-*?[!]", min_size=1, max_size=6), min_size=1, max_size=8),
    st.text("ab-", min_size=1, max_size=6),
)
def test_many_globs_fit_what_any_of_them_fits(globs: list[str], name: str) -> None:
    selection = Selection(names=tuple(globs))

    fits = selects(selection, "h1", "default", name, {})

    assert fits == any(fnmatchcase(name, each) for each in globs)
