"""What snapshot policies would do, and why each snapshot stays or goes."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from services.gateway.bilingual import both
from services.gateway.http import messages
from services.gateway.http.dependencies import Dependencies, Gateway
from services.gateway.http.errors import language_of
from services.gateway.http.free_text import FreeText
from services.gateway.http.openapi import CHANGING, FLEET, READING, SNAPSHOT_POLICIES, TOKEN
from services.gateway.http.request_models.policy_runs import (
    DAYS,
    VMS,
    Days,
    PolicySimulationRequest,
    VmLimit,
)
from services.gateway.http.v1.envelope import PREFIX, success
from services.gateway.http.v1.openapi import answers, failures
from services.gateway.http.v1.policies import CENTRAL, PolicyId, warnings_of
from services.gateway.http.v1.policy_runs import error_of, instance_of
from services.gateway.responses.policy_hosts import PolicySimulationView, simulated_hosts
from shared.contracts.policies import Policy

router = APIRouter(prefix=f"{PREFIX}/policies", tags=[SNAPSHOT_POLICIES], dependencies=TOKEN)

OF_FLEET = (*FLEET, "instance_not_found", "ambiguous_vm")
# The id of a policy that need not exist: its snapshots are those of no policy.
UNSAVED = "unsaved"


@router.post(
    "/simulate",
    responses=answers(PolicySimulationView) | failures(*CHANGING, *OF_FLEET),
    summary=both("模拟任意策略", "Simulate any snapshot policy"),
)
async def simulate_any(
    request: Request, gateway: Gateway, body: PolicySimulationRequest
) -> Response:
    """Return what a policy that need not exist would do; nothing is done.

    Snapshots that are there are `foreign` to it, and stay.

    返回一个（不必已存在的）策略将做什么；不会实际执行。

    已有的快照不属于它，都会保留。
    """
    policy = body.policy.to_policy(UNSAVED)
    return await _simulated(request, gateway, policy, body.days, body.vm, body.limit)


@router.get(
    "/{id}/simulate",
    responses=answers(PolicySimulationView)
    | failures(*READING, *OF_FLEET, *CENTRAL, "policy_not_found"),
    summary=both("模拟策略", "Simulate a snapshot policy"),
)
async def simulate(
    request: Request,
    gateway: Gateway,
    policy_id: PolicyId,
    days: Annotated[Days, Query(description=both("天数", "Number of days"))] = DAYS,
    vm: Annotated[
        FreeText | None, Query(max_length=255, description=both("仅此虚拟机", "Only this VM"))
    ] = None,
    limit: Annotated[VmLimit, Query(description=both("虚拟机的数量上限", "VMs at most"))] = VMS,
) -> Response:
    """Return what a policy will do, and why each snapshot stays or goes, as its hosts see it.

    返回策略将做什么，以及每个快照去留的原因，由各主机给出。
    """
    policy = await gateway.policies.get(policy_id)
    return await _simulated(request, gateway, policy, days, vm, limit)


async def _simulated(
    request: Request, gateway: Dependencies, policy: Policy, days: int, vm: str | None, limit: int
) -> Response:
    language = language_of(request)
    gateway.fleet.require_ready()
    instance = instance_of(gateway, vm) if vm else None
    within_s = gateway.settings.sync_wait_s
    simulation = await gateway.policies.simulate(policy, days, instance, limit, within_s)
    reason = partial(messages.retention_reason, language=language)
    shown = PolicySimulationView(
        policy=policy.name,
        days=days,
        # Ten thousand entries with their texts would hold up everybody else.
        hosts=await asyncio.to_thread(
            simulated_hosts, simulation, reason, partial(error_of, request)
        ),
        hosts_left_out=simulation.left_out,
        warnings=list(await warnings_of(gateway, policy.selection, language)),
    )
    return success(shown, headers={"content-language": language})
