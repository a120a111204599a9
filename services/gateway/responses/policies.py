"""Snapshot policies as the VM API v1 shows them: what was given, and when they are due next."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import Annotated

from msgspec import Struct

from services.gateway.responses.fields import described, one_of
from shared.contracts.instance_config import GuestCommand
from shared.contracts.policies import Policy, RetentionRule
from shared.policies.moments import slot_text
from shared.policies.schedule import slots

# What callers without the right to see secrets read of a command.
MASK = "******"


class Warned(Struct, frozen=True):
    """Something that may not be meant; `code` is stable.

    可能并非本意之处；`code` 不会改变。
    """

    code: str
    message: str


class PolicyScheduleView(Struct, frozen=True, kw_only=True, rename="camel"):
    """When snapshots are taken.

    何时创建快照。
    """

    cron: str
    timezone: str
    jitter_seconds: float


class PolicySelectionView(Struct, frozen=True, kw_only=True):
    """Which instances are selected.

    选中的实例。
    """

    hosts: list[str]
    projects: list[str]
    names: list[str]
    labels: dict[str, str]


class PolicyRetentionView(Struct, frozen=True, kw_only=True, rename="camel"):
    """How many snapshots are kept.

    保留多少快照。
    """

    keep_last: int
    keep_hourly: int
    keep_daily: int
    keep_weekly: int
    keep_monthly: int
    keep_yearly: int
    keep_tags: list[str]
    rule: Annotated[str, one_of(*(str(rule) for rule in RetentionRule))]


class PolicyCommandView(Struct, frozen=True, kw_only=True, rename="camel"):
    """A command that runs inside the instance; masked for callers without a token.

    在实例内运行的命令；对未携带令牌的调用者隐藏。
    """

    command: list[str]
    timeout_seconds: float

    @classmethod
    def examples(cls) -> list[PolicyCommandView]:
        """Return examples for OpenAPI."""
        return [PolicyCommandView(command=["/usr/local/bin/freeze-db"], timeout_seconds=30)]


class SnapshotPolicy(Struct, frozen=True, kw_only=True, rename="camel"):
    """A snapshot policy.

    一个快照策略。
    """

    id: str
    name: str
    revision: Annotated[
        int, described("每次更改加一；`ETag` 即此值", "Grows with each change; the `ETag` is it")
    ]
    enabled: bool
    description: str
    schedule: PolicyScheduleView
    selection: PolicySelectionView
    retention: PolicyRetentionView
    pattern: str
    pre: PolicyCommandView | None
    post: PolicyCommandView | None
    stateful: bool
    at_once: int
    next_runs: Annotated[
        list[str],
        described(
            "接下来的预定时间；停用时为空", "The next scheduled times; none while it is disabled"
        ),
    ]
    warnings: list[Warned]

    @classmethod
    def examples(cls) -> list[SnapshotPolicy]:
        """Return examples for OpenAPI."""
        schedule = PolicyScheduleView(
            cron="30 2 * * *", timezone="Asia/Shanghai", jitter_seconds=600
        )
        return [
            SnapshotPolicy(
                id="9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
                name="daily",
                revision=3,
                enabled=True,
                description="",
                schedule=schedule,
                selection=PolicySelectionView(
                    hosts=[], projects=[], names=[], labels={"env": "prod"}
                ),
                retention=PolicyRetentionView(
                    keep_last=3,
                    keep_hourly=0,
                    keep_daily=7,
                    keep_weekly=4,
                    keep_monthly=0,
                    keep_yearly=0,
                    keep_tags=["release"],
                    rule="restic",
                ),
                pattern="{policy}-{time}",
                pre=PolicyCommandView.examples()[0],
                post=None,
                stateful=False,
                at_once=2,
                next_runs=["2026-11-29T18:30:00Z"],
                warnings=[Warned("matches_nothing", "No instance fits the selection at present")],
            )
        ]


class PolicyListView(Struct, frozen=True):
    """All policies, by name; each with its next scheduled time only.

    全部策略，按名称排序；每个只有下一次预定时间。
    """

    policies: list[SnapshotPolicy]

    @classmethod
    def examples(cls) -> list[PolicyListView]:
        """Return examples for OpenAPI."""
        return [PolicyListView(SnapshotPolicy.examples())]


class PolicyDeleted(Struct, frozen=True):
    """The policy that was deleted; its snapshots stay.

    已删除的策略；它的快照仍然保留。
    """

    id: str

    @classmethod
    def examples(cls) -> list[PolicyDeleted]:
        """Return examples for OpenAPI."""
        return [PolicyDeleted("9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11")]


def snapshot_policy(
    policy: Policy, now: datetime, warnings: Sequence[Warned], *, secrets: bool, runs: int
) -> SnapshotPolicy:
    """Return a policy with its next `runs` scheduled times; commands only with `secrets`."""
    schedule, selection, retention = policy.schedule, policy.selection, policy.retention
    due = islice(slots(schedule, now), runs) if policy.enabled else ()
    return SnapshotPolicy(
        id=policy.id,
        name=policy.name,
        revision=policy.revision,
        enabled=policy.enabled,
        description=policy.description,
        schedule=PolicyScheduleView(
            cron=schedule.cron, timezone=schedule.timezone, jitter_seconds=schedule.jitter_s
        ),
        selection=PolicySelectionView(
            hosts=list(selection.hosts),
            projects=list(selection.projects),
            names=list(selection.names),
            labels=selection.labels,
        ),
        retention=PolicyRetentionView(
            keep_last=retention.keep_last,
            keep_hourly=retention.keep_hourly,
            keep_daily=retention.keep_daily,
            keep_weekly=retention.keep_weekly,
            keep_monthly=retention.keep_monthly,
            keep_yearly=retention.keep_yearly,
            keep_tags=list(retention.keep_tags),
            rule=retention.rule,
        ),
        pattern=policy.pattern,
        pre=_command(policy.pre, secrets=secrets),
        post=_command(policy.post, secrets=secrets),
        stateful=policy.stateful,
        at_once=policy.at_once,
        next_runs=[slot_text(slot) for slot in due],
        warnings=list(warnings),
    )


def _command(command: GuestCommand | None, *, secrets: bool) -> PolicyCommandView | None:
    if command is None:
        return None
    words = list(command.command) if secrets else [MASK]
    return PolicyCommandView(command=words, timeout_seconds=command.timeout_s)
