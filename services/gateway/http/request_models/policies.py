"""Snapshot policies, as callers send them: all that is wrong is told at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any, Literal

from msgspec.structs import replace
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    StrictBool,
    ValidationInfo,
    model_validator,
)
from pydantic_core import PydanticCustomError

from services.gateway.bilingual import both
from services.gateway.free_text import ONE_LINE
from services.gateway.http.free_text import WithoutControls
from services.gateway.http.request_models.schema import Camel, with_example
from services.gateway.http.request_models.values import Description, Labels, Number
from services.gateway.http.request_models.vm_creation import LXD_WORD, HostId
from services.gateway.http.request_models.vm_snapshots import TAG
from services.gateway.responses.policies import MASK
from shared.contracts.bounds import A_DAY_S, LONGEST_TEXT, LONGEST_WORD
from shared.contracts.errors import InvalidInput
from shared.contracts.instance_config import MOST_WORDS, GuestCommand
from shared.contracts.policies import (
    MOST_AT_ONCE,
    MOST_CHOICES,
    MOST_KEPT,
    Policy,
    Retention,
    RetentionRule,
    Schedule,
    Selection,
)
from shared.policies import rules
from shared.policies.validation import check_policy, check_size

READ_ONLY = {"id", "revision", "nextRuns", "warnings"}
SCHEDULE = {"cron": "30 2 * * *", "timezone": "Asia/Shanghai", "jitterSeconds": 600}
RETENTION = {"keepLast": 3, "keepDaily": 7, "keepWeekly": 4, "keepTags": ["release"]}
POLICY: dict[str, Any] = {
    "name": "daily",
    "schedule": SCHEDULE,
    "selection": {"labels": {"env": "prod"}},
    "retention": RETENTION,
}
# A policy in which nothing is wrong, so that a check finds only what is wrong with one part of it.
_GOOD = Policy(
    id="p",
    name="p",
    schedule=Schedule(cron="0 0 * * *"),
    selection=Selection(),
    retention=Retention(keep_last=1),
)
_NAME, _TAG, _GLOB = r"^[A-Za-z0-9-]{1,63}$", TAG, r"^[A-Za-z0-9*?!\[\]-]{1,255}$"


def _check(**parts: Any) -> None:
    """Raise what is wrong with these parts of a policy."""
    try:
        check_policy(replace(_GOOD, **parts))
    except InvalidInput as refused:
        raise PydanticCustomError(refused.rule, "not valid") from None


def _checked(part: Callable[[Any], dict[str, Any]]) -> AfterValidator:
    """Return what checks the part of a policy that a value is of."""

    def check(value: Any) -> Any:
        _check(**part(value))
        return value

    return AfterValidator(check)


def _matching(pattern: str, rule: str) -> BeforeValidator:
    """Return what refuses a text that does not match, in the words of a rule."""
    compiled = re.compile(pattern)

    def check(value: object) -> object:
        if isinstance(value, str) and not compiled.fullmatch(value):
            raise PydanticCustomError(rule, "not valid")
        return value

    return BeforeValidator(check)


Line = Annotated[str, Field(min_length=1, max_length=LONGEST_WORD, pattern=ONE_LINE)]
PolicyName = Annotated[
    str, Field(pattern=_NAME), _matching(_NAME[:-1] + r"\Z", rules.NAME), WithoutControls
]
Tag = Annotated[str, Field(pattern=_TAG), _matching(_TAG[:-1] + r"\Z", rules.TAG), WithoutControls]
Glob = Annotated[
    str, Field(pattern=_GLOB), _matching(_GLOB[:-1] + r"\Z", rules.NAMES), WithoutControls
]
HostChoice = Annotated[HostId, Field(min_length=1)]
ProjectChoice = Annotated[str, Field(max_length=63, pattern=LXD_WORD), WithoutControls]
Cron = Annotated[
    Line,
    WithoutControls,
    _checked(lambda cron: {"schedule": replace(_GOOD.schedule, cron=cron)}),
]
Timezone = Annotated[
    Line,
    WithoutControls,
    _checked(lambda zone: {"schedule": replace(_GOOD.schedule, timezone=zone)}),
]


def _check_jitter(jitter_s: float, info: ValidationInfo) -> float:
    """Refuse more than lies between two snapshots, where the rest of the schedule is good."""
    if {"cron", "timezone"} <= info.data.keys():
        cron, timezone = info.data["cron"], info.data["timezone"]
        _check(schedule=Schedule(cron=cron, timezone=timezone, jitter_s=jitter_s))
    return jitter_s


def _check_pattern(pattern: str, info: ValidationInfo) -> str:
    """Refuse a pattern whose names LXD would not take, where the policy's own name is good."""
    _check(name=info.data.get("name", _GOOD.name), pattern=pattern)
    return pattern


def _not_masked(words: list[str]) -> list[str]:
    """Refuse what a caller without the token reads instead of a command, sent back."""
    if words == [MASK]:
        raise PydanticCustomError("masked", "not a command")
    return words


Kept = Annotated[int, Field(ge=0, le=MOST_KEPT), Number]
Jitter = Annotated[
    float, Field(ge=0, le=A_DAY_S, allow_inf_nan=False), Number, AfterValidator(_check_jitter)
]
Pattern = Annotated[Line, WithoutControls, AfterValidator(_check_pattern)]
Word = Annotated[str, Field(max_length=LONGEST_TEXT), WithoutControls]


class PolicyScheduleRequest(Camel):
    """When snapshots are taken.

    何时创建快照。
    """

    model_config = with_example(SCHEDULE)
    cron: Cron = Field(
        description=both(
            "cron 的五个字段：分、时、日、月、星期",
            "Five fields of cron: minute, hour, day of the month, month, day of the week",
        )
    )
    timezone: Timezone = Field("UTC", description=both("IANA 时区", "IANA time zone"))
    jitter_seconds: Jitter = Field(
        0,
        description=both(
            "每台主机推迟至多这么多秒，各主机每次相同",
            "Each host begins up to so many seconds later, always equally late",
        ),
    )

    def to_schedule(self) -> Schedule:
        """Return the schedule."""
        return Schedule(cron=self.cron, timezone=self.timezone, jitter_s=self.jitter_seconds)


class PolicySelectionRequest(Camel):
    """Which instances are selected: those that fit every field that is not empty; none if all are.

    选中的实例：须符合每个非空的字段；全部为空时不选中任何实例。
    """

    model_config = with_example({"labels": {"env": "prod"}, "names": ["web-*"]})
    hosts: list[HostChoice] = Field([], max_length=MOST_CHOICES)
    projects: list[ProjectChoice] = Field([], max_length=MOST_CHOICES)
    names: list[Glob] = Field(
        [],
        max_length=MOST_CHOICES,
        description=both(
            "LXD 中名称的通配符；`*` 选中所有实例",
            "Globs of names in LXD; `*` selects every instance",
        ),
    )
    labels: Labels = Field({}, description=both("须具有的标签", "Labels that it must have"))

    def to_selection(self) -> Selection:
        """Return the selection."""
        return Selection(
            hosts=tuple(self.hosts),
            projects=tuple(self.projects),
            names=tuple(self.names),
            labels=dict(self.labels),
        )


class PolicyRetentionRequest(Camel):
    """How many snapshots are kept; at least one number must be above 0.

    保留多少快照；至少一项大于 0。
    """

    model_config = with_example(RETENTION)
    keep_last: Kept = 0
    keep_hourly: Kept = 0
    keep_daily: Kept = 0
    keep_weekly: Kept = 0
    keep_monthly: Kept = 0
    keep_yearly: Kept = 0
    keep_tags: list[Tag] = Field(
        [],
        max_length=MOST_CHOICES,
        description=both(
            "带有其中任一标签的快照始终保留", "Snapshots with one of these tags always stay"
        ),
    )
    rule: Literal["restic", "pbs"] = Field(
        "restic",
        description=both(
            "按 restic 或 Proxmox Backup Server 的规则计算",
            "Count as restic does, or as Proxmox Backup Server does",
        ),
    )

    def to_retention(self) -> Retention:
        """Return the retention."""
        numbers = self.model_dump(exclude={"keep_tags", "rule"})
        return Retention(**numbers, keep_tags=tuple(self.keep_tags), rule=RetentionRule(self.rule))


class PolicyCommandRequest(Camel):
    """A command that runs as root inside the instance, without a shell.

    在实例内以 root 运行的命令，不经过 shell。
    """

    model_config = with_example({"command": ["/usr/local/bin/freeze-db"], "timeoutSeconds": 30})
    command: Annotated[
        list[Word],
        Field(min_length=1, max_length=MOST_WORDS),
        AfterValidator(_not_masked),
        _checked(lambda words: {"pre": GuestCommand(command=tuple(words))}),
    ]
    timeout_seconds: Annotated[float, Field(gt=0, le=A_DAY_S, allow_inf_nan=False), Number] = 60

    def to_command(self) -> GuestCommand:
        """Return the command."""
        return GuestCommand(command=tuple(self.command), timeout_s=self.timeout_seconds)


class PolicyBody(Camel):
    """A snapshot policy. The answer of GET may be sent back; its read-only fields are ignored.

    快照策略；查询结果可原样提交，其只读字段被忽略。
    """

    model_config = with_example(POLICY)
    name: PolicyName = Field(description=both("不能重复", "No other policy may have it"))
    schedule: PolicyScheduleRequest
    selection: PolicySelectionRequest | None = Field(
        None, description=both("默认不选中任何实例", "By default nothing is selected")
    )
    retention: Annotated[
        PolicyRetentionRequest, _checked(lambda given: {"retention": given.to_retention()})
    ]
    enabled: StrictBool = Field(
        True,
        description=both(
            "停用时不创建也不删除快照", "While it is disabled it neither takes nor deletes any"
        ),
    )
    description: Description = ""
    pattern: Pattern = Field(
        "{policy}-{time}",
        description=both(
            "快照的名称，可用 `{policy}`、`{instance}`，须含 `{time}`",
            "Names of the snapshots, of `{policy}`, `{instance}` and `{time}`, which must be there",
        ),
    )
    pre: PolicyCommandRequest | None = Field(
        None,
        description=both(
            "之前在实例内运行；失败则不创建快照", "Runs before; if it fails, no snapshot is taken"
        ),
    )
    post: PolicyCommandRequest | None = Field(
        None,
        description=both("之后总是运行", "Runs afterwards, whatever became of the snapshot"),
    )
    stateful: StrictBool = Field(
        False, description=both("包含内存状态", "Include the state of the memory")
    )
    at_once: Annotated[int, Field(ge=1, le=MOST_AT_ONCE), Number] = Field(
        2,
        description=both(
            "一台主机同时创建的快照数", "Snapshots that a host takes at the same time"
        ),
    )

    @model_validator(mode="before")
    @classmethod
    def _without_what_is_only_read(cls, body: Any) -> Any:
        if not isinstance(body, dict):
            return body
        return {field: value for field, value in body.items() if field not in READ_ONLY}

    @model_validator(mode="after")
    def _of_a_bounded_size(self) -> PolicyBody:
        try:
            check_size(self.to_policy(""))
        except InvalidInput as refused:
            raise PydanticCustomError(refused.rule, "not valid") from None
        return self

    def to_policy(self, policy_id: str) -> Policy:
        """Return the policy, under this id."""
        return Policy(
            id=policy_id,
            name=self.name,
            schedule=self.schedule.to_schedule(),
            selection=self.selection.to_selection() if self.selection else Selection(),
            retention=self.retention.to_retention(),
            enabled=self.enabled,
            description=self.description,
            pattern=self.pattern,
            pre=self.pre.to_command() if self.pre else None,
            post=self.post.to_command() if self.post else None,
            stateful=self.stateful,
            at_once=self.at_once,
        )
