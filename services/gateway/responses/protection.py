"""How instances are protected by snapshot policies, as the VM API v1 shows it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from msgspec import Struct

from services.gateway import units
from services.gateway.error_boundary import NOT_RENDERABLE
from services.gateway.fleet.encoded_protection import (
    STATES,
    UNKNOWN,
    InstanceProtection,
    protection_in,
)
from services.gateway.fleet.views import InstanceView, without_details
from services.gateway.responses.fields import NotRenderable, described, one_of
from services.gateway.responses.policy_runs import Explain
from services.gateway.responses.vm_page import VmPagination
from services.gateway.responses.vms import vm_id
from services.gateway.vms.naming import display_name_of

State = Annotated[
    str,
    one_of(*STATES),
    described(
        "protected：受保护；late：应有的快照未按时产生；failing：最近一次未成功；unprotected：没有"
        "策略选中；unknown：主机尚未报告，或其版本过旧",
        "`protected`; `late`: a snapshot is overdue; `failing`: the last slot brought none; "
        "`unprotected`: no policy selects it; `unknown`: its host has not reported, or is of an "
        "earlier release",
    ),
]


class VmProtection(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """How one instance is protected by snapshot policies, as its host reported last.

    一个实例受快照策略保护的情况，以其主机最近的报告为准。
    """

    id: str
    name: str
    host: str
    project: str
    host_online: bool
    state: State
    newest_good: Annotated[
        str | None,
        described(
            "策略所建且仍存在的最新快照的时间",
            "Time of the newest snapshot that a policy took and that is still there",
        ),
    ]
    age_seconds: Annotated[int | None, described("该快照至今的秒数", "Seconds since that snapshot")]
    snapshots: Annotated[
        int, described("策略所建的快照数", "Number of snapshots that policies took")
    ]
    policies: list[str]
    next_due: str | None
    failures: Annotated[
        int,
        described(
            "最近一次成功之后未产生快照的次数",
            "Slots without a snapshot since the last one with",
        ),
    ]
    code: str | None
    message: Annotated[
        str | None, described("最近一次未成功的原因", "Why the last slot brought no snapshot")
    ]
    error: NotRenderable = None

    @classmethod
    def examples(cls) -> list[VmProtection]:
        """Return examples for OpenAPI."""
        return [
            VmProtection(
                id="vm-9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
                name="Web Server",
                host="h1",
                project="default",
                host_online=True,
                state="protected",
                newest_good="2026-11-28T12:45:00Z",
                age_seconds=3600,
                snapshots=7,
                policies=["daily"],
                next_due="2026-11-29T12:45:00Z",
                failures=0,
                code=None,
                message=None,
            )
        ]


class ProtectionSummary(Struct, frozen=True, kw_only=True):
    """How many instances are in each state, whatever the other filters.

    各状态的实例数，不受其他过滤条件影响。
    """

    total: int
    protected: int
    late: int
    failing: int
    unprotected: int
    unknown: int


class ProtectionPage(Struct, frozen=True, kw_only=True):
    """One page of the instances; `summary` counts those of the fleet, or of the host.

    实例的一页；`summary` 为整个集群或所选主机的数量。
    """

    summary: ProtectionSummary
    instances: list[VmProtection]
    pagination: VmPagination

    @classmethod
    def examples(cls) -> list[ProtectionPage]:
        """Return examples for OpenAPI."""
        summary = summary_of({"protected": 20, "late": 1, "unprotected": 4})
        return [
            ProtectionPage(
                summary=summary,
                instances=VmProtection.examples(),
                pagination=VmPagination(1, 10, 25, 3, "WyJ3ZWIiXQ"),
            )
        ]


def summary_of(counts: Mapping[str, int]) -> ProtectionSummary:
    """Return the counts, with those of no instance."""
    return ProtectionSummary(
        total=sum(counts.values()), **{state: counts.get(state, 0) for state in STATES}
    )


def vm_protection(
    known: InstanceView,
    held: InstanceProtection,
    now: datetime,
    explain: Explain,
    *,
    host_online: bool,
) -> VmProtection:
    """Return how an instance is protected; `now` is the time in UTC."""
    reported = protection_in(held)
    if held.body is not None and reported is None:
        raise ValueError("what the host has reported cannot be read")
    good = units.parse_time(reported.newest_good) if reported else None
    due = units.parse_time(reported.due) if reported else None
    code = reported.code if reported and reported.code else None
    return VmProtection(
        id=vm_id(known),
        name=display_name_of(known.instance),
        host=known.host,
        project=known.instance.project,
        host_online=host_online,
        state=held.state,
        newest_good=units.utc_text(good) if good else None,
        age_seconds=_age_s(good, now),
        snapshots=reported.snapshots if reported else 0,
        policies=list(reported.policies) if reported else [],
        next_due=units.utc_text(due) if due else None,
        failures=reported.failures if reported else 0,
        code=code,
        message=explain(code) if code else None,
    )


def bare_protection(known: InstanceView, *, host_online: bool) -> VmProtection:
    """Return the entry of an instance that cannot be rendered."""
    bare = without_details(known)
    return VmProtection(
        id=vm_id(bare),
        name=display_name_of(bare.instance),
        host=bare.host,
        project=bare.instance.project,
        host_online=host_online,
        state=UNKNOWN,
        newest_good=None,
        age_seconds=None,
        snapshots=0,
        policies=[],
        next_due=None,
        failures=0,
        code=None,
        message=None,
        error=NOT_RENDERABLE,
    )


def _age_s(moment: datetime | None, now: datetime) -> int | None:
    return None if moment is None else int(max(0.0, (now - moment).total_seconds()))
