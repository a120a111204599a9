"""What was done for slots of snapshot policies, as the VM API v1 and the stream show it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, Struct

from services.gateway import units
from services.gateway.error_boundary import NOT_RENDERABLE
from services.gateway.responses.fields import NotRenderable, described, one_of
from services.gateway.responses.vms import ID_PREFIX
from shared.contracts.bounds import clip
from shared.contracts.policies import PolicyRun, RunState

# Returns the text for the code of a run, or of a slot without a snapshot.
Explain = Callable[[str], str]
STATES = tuple(str(state) for state in RunState)


class PolicyRunView(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """What was done for one slot of a policy and one instance, or for a request to run it now.

    为一个策略的一次定时（或一次手动执行）在一个实例上所做的事。
    """

    id: Annotated[
        str,
        described(
            "快照操作的 id，见 `/api/operations/{id}`",
            "Id of the snapshot's operation, see `/api/operations/{id}`",
        ),
    ]
    host: str
    policy_id: str
    policy: str
    revision: Annotated[
        int, described("执行时策略的版本", "The policy's revision when it was carried out")
    ]
    vm: str
    instance: str
    project: str
    slot: Annotated[str, described("预定时间", "The scheduled time")]
    manual: Annotated[bool, described("由请求触发", "Somebody asked for it")]
    state: Annotated[
        str,
        one_of(*STATES),
        described(
            "running：进行中；taken：已创建快照；vetoed：前置命令失败，未创建；failed：失败；"
            "skipped：未执行；unknown：结果未知",
            "`running`; `taken`; `vetoed`: its `pre` command failed; `failed`; `skipped`: it was "
            "not tried; `unknown`: nothing shows whether the snapshot was taken",
        ),
    ]
    snapshot: str | None
    code: str | None
    message: str | None
    detail: Annotated[
        str | None, described("主机的原文", "What the host itself says of it, in English")
    ]
    started_at: str | None
    finished_at: str | None
    duration_seconds: Annotated[float, Meta(ge=0)] | None
    pruned: Annotated[
        list[str],
        described("之后删除的快照，至多 64 个", "Snapshots that it deleted then, 64 at most"),
    ]
    pruned_count: int
    error: NotRenderable = None

    @classmethod
    def examples(cls) -> list[PolicyRunView]:
        """Return examples for OpenAPI."""
        return [
            PolicyRunView(
                id="5d1c0f6a-4a8e-5a0e-9a0e-0c7b6f3f0a11",
                host="h1",
                policy_id="9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
                policy="daily",
                revision=3,
                vm="vm-9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
                instance="web-server",
                project="default",
                slot="2026-11-28T12:45:00Z",
                manual=False,
                state="taken",
                snapshot="daily-20261128T124500Z",
                code=None,
                message=None,
                detail=None,
                started_at="2026-11-28T12:45:01Z",
                finished_at="2026-11-28T12:45:03Z",
                duration_seconds=2.0,
                pruned=["daily-20261121T124500Z"],
                pruned_count=1,
            )
        ]


def policy_run(host: str, run: PolicyRun, explain: Explain) -> PolicyRunView:
    """Return a run of a host."""
    return PolicyRunView(
        id=run.operation_id,
        host=host,
        policy_id=run.policy_id,
        policy=run.policy,
        revision=run.revision,
        vm=f"{ID_PREFIX}{run.uuid}",
        instance=run.instance,
        project=run.project,
        slot=_time(run.slot) or "",
        manual=run.manual,
        state=run.state,
        snapshot=run.snapshot or None,
        code=run.code or None,
        message=explain(run.code) if run.code else None,
        detail=run.message or None,
        started_at=_time(run.started_at),
        finished_at=_time(run.finished_at),
        duration_seconds=_duration_s(run),
        pruned=list(run.pruned),
        pruned_count=run.pruned_count,
    )


def bare_run(host: str, run: PolicyRun) -> PolicyRunView:
    """Return a run that cannot be rendered."""
    return PolicyRunView(
        id=clip(run.operation_id),
        host=host,
        policy_id=clip(run.policy_id),
        policy=clip(run.policy),
        revision=0,
        vm=clip(f"{ID_PREFIX}{run.uuid}"),
        instance=clip(run.instance),
        project=clip(run.project),
        slot="",
        manual=run.manual,
        state=run.state,
        snapshot=None,
        code=None,
        message=None,
        detail=None,
        started_at=None,
        finished_at=None,
        duration_seconds=None,
        pruned=[],
        pruned_count=0,
        error=NOT_RENDERABLE,
    )


def _time(text: str) -> str | None:
    moment = units.parse_time(text)
    return units.utc_text(moment) if moment else None


def _duration_s(run: PolicyRun) -> float | None:
    started, finished = units.parse_time(run.started_at), units.parse_time(run.finished_at)
    if started is None or finished is None:
        return None
    return round(max(0.0, (finished - started).total_seconds()), 3)
