"""Snapshot policies: listing, making, replacing and deleting them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated
from uuid import UUID, uuid4, uuid5

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from services.gateway.bilingual import Language, both
from services.gateway.http import messages
from services.gateway.http.conditional_response import etags
from services.gateway.http.dependencies import Dependencies, Gateway, Who
from services.gateway.http.errors import language_of
from services.gateway.http.free_text import WithoutControls
from services.gateway.http.mutations import KeyHeader
from services.gateway.http.openapi import CHANGING, READING, SNAPSHOT_POLICIES, TOKEN
from services.gateway.http.request_models.policies import PolicyBody
from services.gateway.http.v1.actions import Empty, IfMatch
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.openapi import answers, failures
from services.gateway.responses.policies import (
    PolicyDeleted,
    PolicyListView,
    SnapshotPolicy,
    Warned,
    snapshot_policy,
)
from services.gateway.time_slices import in_slices
from shared.contracts.policies import Policy, Selection
from shared.policies.selection import selects_nothing

router = APIRouter(prefix=f"{PREFIX}/policies", tags=[SNAPSHOT_POLICIES], dependencies=TOKEN)

PolicyId = Annotated[
    Annotated[str, Field(max_length=255), WithoutControls],
    Path(alias="id", examples=["9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11"]),
]

CENTRAL = (
    "snapshots_unavailable",
    "snapshots_silent",
    "broker_unavailable",
    "database_unavailable",
)
ONE = answers(SnapshotPolicy) | failures(*READING, *CENTRAL, "policy_not_found")
CREATED = answers(SnapshotPolicy, 201) | failures(
    *CHANGING, *CENTRAL, "policy_exists", "idempotency_key_reused"
)
REPLACED = answers(SnapshotPolicy) | failures(
    *CHANGING, *CENTRAL, "policy_not_found", "policy_exists", "policy_changed_since"
)
DELETED = answers(PolicyDeleted) | failures(
    *CHANGING, *CENTRAL, "policy_not_found", "policy_changed_since"
)
# Scheduled times that are shown of one policy, and in the list.
RUNS_OF_ONE, RUNS_IN_LIST = 5, 1
# Of the ids of policies that were created under a key.
_KEYS = UUID("7be4b0b4-5d3d-5b62-8f5f-3a0f2f6c1d10")


@router.get(
    "",
    responses=answers(PolicyListView) | failures(*READING, *CENTRAL),
    summary=both("获取快照策略列表", "List snapshot policies"),
)
async def listed(request: Request, gateway: Gateway, who: Who) -> Response:
    """Return all policies, by name, each with its next scheduled time.

    返回全部策略，按名称排序，各有下一次预定时间。
    """
    policies, language = await gateway.policies.all(), language_of(request)

    def rendered() -> Iterator[SnapshotPolicy]:
        for policy in policies:
            yield snapshot_policy(
                policy,
                gateway.now(),
                _of_nothing(policy.selection, language),
                secrets=who.may_see_secrets,
                runs=RUNS_IN_LIST,
            )

    return success(PolicyListView([each async for each in in_slices(rendered())]))


@router.post(
    "", status_code=201, responses=CREATED, summary=both("创建快照策略", "Create a snapshot policy")
)
async def create(
    request: Request, gateway: Gateway, who: Who, body: PolicyBody, key: KeyHeader = None
) -> Response:
    """Create a policy; hosts carry it out as soon as they have it, see `/api/v1/policies/plans`.

    A selection of nothing is allowed, and `warnings` say so. A repeated request with the same
    `Idempotency-Key` returns the policy that the first one made.

    创建策略；主机收到后即执行，见 `/api/v1/policies/plans`。

    允许不选中任何实例，`warnings` 会说明。同一 `Idempotency-Key` 的重复请求返回第一次创建的策略。
    """
    policy_id = str(uuid5(_KEYS, f"{who.principal}\0{key}") if key else uuid4())
    policy = await gateway.policies.create(body.to_policy(policy_id), key or "")
    return await _one(request, gateway, who.may_see_secrets, policy, status=201)


@router.get("/{id}", responses=ONE, summary=both("获取快照策略", "Get a snapshot policy"))
async def one(request: Request, gateway: Gateway, who: Who, policy_id: PolicyId) -> Response:
    """Return a policy with its next scheduled times; `If-Match` with its `ETag` guards a change.

    返回一个策略及接下来的预定时间；之后的更改可用 `If-Match` 带上其 `ETag`。
    """
    policy = await gateway.policies.get(policy_id)
    return await _one(request, gateway, who.may_see_secrets, policy)


@router.put("/{id}", responses=REPLACED, summary=both("替换快照策略", "Replace a snapshot policy"))
async def replace(
    request: Request,
    gateway: Gateway,
    who: Who,
    policy_id: PolicyId,
    body: PolicyBody,
    if_match: IfMatch = None,
) -> Response:
    """Replace a policy; what is not given has its default.

    Snapshots that it no longer selects the instance of stay.

    替换策略；未给出的字段取默认值。

    不再选中的实例，其快照保留。
    """
    changed = await gateway.policies.replace(body.to_policy(policy_id), _revisions(if_match))
    return await _one(request, gateway, who.may_see_secrets, changed)


@router.delete("/{id}", responses=DELETED, summary=both("删除快照策略", "Delete a snapshot policy"))
async def delete(
    gateway: Gateway, policy_id: PolicyId, if_match: IfMatch = None, body: Empty = None
) -> Response:
    """Delete a policy; its snapshots stay, and no policy deletes them any more.

    删除策略；它的快照保留，不再被任何策略删除。
    """
    await gateway.policies.delete(policy_id, _revisions(if_match))
    return success(PolicyDeleted(policy_id))


async def warnings_of(
    gateway: Dependencies, selection: Selection, language: Language
) -> Sequence[Warned]:
    """Return what may not be meant with a selection."""
    if warnings := _of_nothing(selection, language):
        return warnings
    if not gateway.fleet.ready or await gateway.policies.matches_any(selection):
        return []
    return [_warned("matches_nothing", language)]


async def _one(
    request: Request, gateway: Dependencies, secrets: bool, policy: Policy, status: int = 200
) -> Response:
    language = language_of(request)
    shown = snapshot_policy(
        policy,
        gateway.now(),
        await warnings_of(gateway, policy.selection, language),
        secrets=secrets,
        runs=RUNS_OF_ONE,
    )
    headers = {"etag": f'"{policy.revision}"', "content-language": language}
    if status == 201:
        headers["location"] = f"{PREFIX}/policies/{policy.id}"
    return success(shown, status=status, headers=headers)


def _revisions(if_match: str | None) -> set[str] | None:
    """Return the revisions of which the policy must have one; None: any."""
    if if_match is None or if_match.strip() == "*":
        return None
    return etags(if_match)


def _of_nothing(selection: Selection, language: Language) -> list[Warned]:
    return [_warned("policy_selects_nothing", language)] if selects_nothing(selection) else []


def _warned(code: str, language: Language) -> Warned:
    return Warned(code, messages.translate(code, language))
