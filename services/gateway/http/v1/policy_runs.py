"""Running snapshot policies now, what was done for them, and which host has which plan."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Body, Depends, Query, Request, Response

from services.gateway import units
from services.gateway.bilingual import both
from services.gateway.error_boundary import EntrySubject
from services.gateway.fleet.views import Target
from services.gateway.http import messages
from services.gateway.http.dependencies import Cursor, Dependencies, Gateway
from services.gateway.http.errors import HttpError, language_of, told
from services.gateway.http.free_text import FreeText
from services.gateway.http.mutations import Mutating
from services.gateway.http.openapi import CHANGING, FLEET, READING, SNAPSHOT_POLICIES, TOKEN
from services.gateway.http.request_models.policy_runs import PolicyRunNow
from services.gateway.http.v1 import envelope
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.name_resolution import UUID, InstanceSelector, found
from services.gateway.http.v1.openapi import answers, failures
from services.gateway.http.v1.policies import CENTRAL, PolicyId
from services.gateway.responses.errors import VmError
from services.gateway.responses.fields import encoded_as
from services.gateway.responses.policy_hosts import (
    HostPlans,
    PolicyRuns,
    PolicyRunStarted,
    RunPagination,
    host_plan,
    run_started,
)
from services.gateway.responses.policy_runs import PolicyRunView, bare_run, policy_run
from services.gateway.responses.vms import ID_PREFIX
from services.gateway.time_slices import in_slices
from shared.contracts.errors import FleetError, InstanceNotFound, InvalidInput
from shared.contracts.policies import MOST_RUNS, RunState
from shared.contracts.policy_api import HostRun, RunQuery
from shared.policies.moments import slot_text

router = APIRouter(prefix=f"{PREFIX}/policies", tags=[SNAPSHOT_POLICIES], dependencies=TOKEN)

# How far from now the time of a request may be.
EARLIEST, LATEST = timedelta(days=1), timedelta(minutes=5)

State = Literal["running", "taken", "vetoed", "failed", "skipped", "unknown"]
HISTORY = answers(PolicyRuns) | failures(
    *READING, *FLEET, *CENTRAL, "instance_not_found", "ambiguous_vm"
)
STARTED = answers(PolicyRunStarted) | failures(
    *CHANGING,
    *FLEET,
    *CENTRAL,
    "policy_not_found",
    "policy_disabled",
    "idempotency_key_reused",
    "instance_not_found",
    "ambiguous_vm",
)


async def wanted_by(
    gateway: Gateway,
    host: Annotated[
        FreeText | None, Query(max_length=63, description=both("仅此主机", "Only this host's"))
    ] = None,
    vm: Annotated[
        FreeText | None,
        Query(max_length=255, description=both("仅此虚拟机", "Only those of this VM")),
    ] = None,
    state: Annotated[
        State | None, Query(description=both("按结果过滤", "Filter by what became of them"))
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_RUNS)] = 100,
    cursor: Cursor = None,
) -> RunQuery:
    """Return which runs the request asks for; those of a VM are those that its own host reports."""
    of_host, uuid = _owner_of(gateway, vm) if vm else ("", "")
    wanted = RunState(state) if state else None
    return RunQuery(host=host or of_host, uuid=uuid, state=wanted, before=cursor or "", limit=limit)


Wanted = Annotated[RunQuery, Depends(wanted_by)]


@router.get(
    "/runs", responses=HISTORY, summary=both("获取执行记录", "List what was done for policies")
)
async def all_runs(request: Request, gateway: Gateway, wanted: Wanted) -> Response:
    """Return what was done for slots of all policies, the newest first.

    返回所有策略的执行记录，最新的在前。
    """
    return await _history(request, gateway, wanted)


@router.get(
    "/plans",
    responses=answers(HostPlans) | failures(*READING, *CENTRAL),
    summary=both("获取各主机的计划", "List the plans of hosts"),
)
async def plans(gateway: Gateway) -> Response:
    """Return which host has which plan, and whether its clock is believed.

    返回各主机的计划版本，以及其时钟是否可信。
    """
    listed = await gateway.policies.plans()
    shown = (host_plan(each, gateway.fleet) for each in listed.plans)
    return success(HostPlans([each async for each in in_slices(shown)]))


@router.get(
    "/{id}/runs",
    responses=HISTORY,
    summary=both("获取策略的执行记录", "List what was done for a policy"),
)
async def runs(request: Request, gateway: Gateway, policy_id: PolicyId, wanted: Wanted) -> Response:
    """Return what was done for slots of one policy, the newest first, also of a deleted one.

    返回一个策略的执行记录，最新的在前；已删除的策略也可查询。
    """
    query = msgspec.structs.replace(wanted, policy_id=policy_id)
    return await _history(request, gateway, query)


@router.post(
    "/{id}/run", responses=STARTED, summary=both("立即执行策略", "Run a snapshot policy now")
)
async def run(
    request: Request,
    mutation: Mutating,
    policy_id: PolicyId,
    body: Annotated[PolicyRunNow | None, Body()] = None,
) -> Response:
    """Run a policy now on the hosts that have selected instances and are online.

    The answer says of each host how many snapshots it has begun, or why not; they go on by
    themselves. The same `at` again starts nothing twice, nor does a repeated request with the same
    `Idempotency-Key`, which has the `at` of the first one.

    在有选中实例的在线主机上立即执行策略。

    响应说明各主机开始了多少快照或未执行的原因，之后自行继续；同一 `at` 不会重复执行；同一
    `Idempotency-Key` 的重复请求沿用第一次的 `at`，也不会重复执行。
    """
    gateway = mutation.gateway
    at, vm = _moment(gateway, body.at if body else None), body.vm if body else None
    policy = await gateway.policies.get(policy_id)
    if not policy.enabled:
        raise HttpError("policy_disabled", policy=policy.name)
    instance = instance_of(gateway, vm) if vm else None
    gateway.fleet.require_ready()
    within_s = gateway.settings.sync_wait_s
    at = await gateway.policies.moment_of(mutation.key, at)
    begun = await gateway.policies.run(policy, at, instance, within_s)
    return success(run_started(at, begun, partial(error_of, request)))


def instance_of(gateway: Dependencies, vm: str) -> Target:
    """Return the instance that a request names; raises as `found` does."""
    return found(gateway.vms, InstanceSelector(vm)).known.target


def _owner_of(gateway: Dependencies, vm: str) -> tuple[str, str]:
    """Return the host and the uuid of an instance; of one that is gone the uuid, if that names it.

    Any host can say that it was its own, so each run tells which one does.
    """
    try:
        target = instance_of(gateway, vm)
    except InstanceNotFound:
        named = vm.removeprefix(ID_PREFIX)
        if vm.startswith(ID_PREFIX) and UUID.fullmatch(named):
            return "", named
        raise
    return target.host, target.uuid


def error_of(request: Request, error: FleetError) -> VmError:
    """Return an error as it stands in an answer."""
    return envelope.error(told(envelope.in_its_words(error), language_of(request)))


def _moment(gateway: Dependencies, text: str | None) -> str:
    """Return the time of a request to run a policy; raise InvalidInput for one that is not now."""
    now = gateway.now()
    if text is None:
        return slot_text(now)
    at = units.parse_time(text)
    if at is None:
        raise InvalidInput("at", "iso_8601")
    if not now - EARLIEST <= at <= now + LATEST:
        raise InvalidInput("at", "near_now")
    return slot_text(at)


async def _history(request: Request, gateway: Dependencies, query: RunQuery) -> Response:
    page, language = await gateway.policies.runs(query), language_of(request)

    def entry(each: HostRun) -> PolicyRunView:
        explain = partial(messages.run_reason, language=language)
        text = gateway.boundary.render(
            EntrySubject("run", each.host, each.run.operation_id),
            lambda: msgspec.json.encode(policy_run(each.host, each.run, explain)),
            lambda: msgspec.json.encode(bare_run(each.host, each.run)),
        )
        return encoded_as(PolicyRunView, text)

    pagination = RunPagination(limit=query.limit, next_cursor=page.cursor or None)
    shown = PolicyRuns(runs=list(map(entry, page.runs)), pagination=pagination)
    return success(shown, headers={"content-language": language})
