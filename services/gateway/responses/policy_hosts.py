"""What hosts answer about policies: runs begun, plans, histories, and what they would do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from msgspec import Struct

from services.gateway import units
from services.gateway.fleet.view import FleetView
from services.gateway.policies.host_calls import HostAnswer
from services.gateway.policies.service import FleetSimulation
from services.gateway.responses.errors import VmError
from services.gateway.responses.fields import described, one_of
from services.gateway.responses.policies import Warned
from services.gateway.responses.policy_runs import PolicyRunView
from services.gateway.responses.vms import ID_PREFIX
from shared.contracts.errors import FleetError
from shared.contracts.policies import (
    InstanceSimulation,
    JudgedSnapshot,
    RunsStarted,
    SimulatedAction,
    SimulatedEvent,
    Simulation,
)
from shared.contracts.policy_api import PlanStatus

# Returns the error in an answer, and the text for a reason.
TellError = Callable[[FleetError], VmError]
Reason = Callable[[str], str]

ANSWERED, AWAY, FAILED, NOT_ASKED = "answered", "away", "failed", "not_asked"
HostState = Annotated[
    str,
    one_of(ANSWERED, AWAY, FAILED, NOT_ASKED),
    described(
        "answered：已应答；away：离线，未询问；failed：出错；not_asked：时间不足，未询问",
        "`answered`; `away`: not connected; `failed`: see `error`; `not_asked`: no time was left",
    ),
]
# Events and snapshots of one answer.
MOST_ENTRIES = 10_000


class PolicyHostRun(Struct, frozen=True, kw_only=True):
    """What one host began for a request to run a policy.

    一台主机为执行请求所开始的工作。
    """

    host: str
    state: HostState
    started: Annotated[
        int, described("开始创建快照的实例数", "Instances that it takes a snapshot of")
    ]
    error: VmError | None


class PolicyRunStarted(Struct, frozen=True, kw_only=True):
    """What the hosts with selected instances began; see `/runs` for what becomes of it.

    有选中实例的各主机所开始的工作；结果见 `/runs`。
    """

    at: str
    started: int
    hosts: list[PolicyHostRun]

    @classmethod
    def examples(cls) -> list[PolicyRunStarted]:
        """Return examples for OpenAPI."""
        error = VmError(
            "HOST_UNREACHABLE", "LXD is not available: host h2 is not connected", {"host": "h2"}
        )
        return [
            PolicyRunStarted(
                at="2026-11-29T12:45:00Z",
                started=4,
                hosts=[
                    PolicyHostRun(host="h1", state=ANSWERED, started=4, error=None),
                    PolicyHostRun(host="h2", state=AWAY, started=0, error=error),
                ],
            )
        ]


class RunPagination(Struct, frozen=True, kw_only=True, rename="camel"):
    """Where the next runs are.

    下一页的位置。
    """

    limit: int
    next_cursor: Annotated[
        str | None,
        described(
            "下一页的 `cursor`；最后一页为 null", "`cursor` of the next page; null on the last"
        ),
    ]


class PolicyRuns(Struct, frozen=True, kw_only=True):
    """Runs, the newest first.

    执行记录，最新的在前。
    """

    runs: list[PolicyRunView]
    pagination: RunPagination

    @classmethod
    def examples(cls) -> list[PolicyRuns]:
        """Return examples for OpenAPI."""
        pagination = RunPagination(limit=100, next_cursor="WyJ3ZWIiXQ")
        return [PolicyRuns(runs=PolicyRunView.examples(), pagination=pagination)]


class HostPlan(Struct, frozen=True, kw_only=True, rename="camel"):
    """The plan that a host is to have, and the one that it carries out.

    一台主机应有的计划，以及它正在执行的计划。
    """

    host: str
    host_online: bool
    plan_version: int
    carried_version: Annotated[
        int, described("正在执行的版本；0 表示没有", "Version that it carries out; 0: none")
    ]
    current: Annotated[
        bool, described("正在执行应有的计划", "It carries out the plan that it is to have")
    ]
    clock_trusted: Annotated[
        bool,
        described(
            "其时钟可信；否则只创建、不删除快照",
            "Its clock is believed; else it takes snapshots and deletes none",
        ),
    ]
    reported_at: str | None


class HostPlans(Struct, frozen=True):
    """The plans of all hosts.

    所有主机的计划。
    """

    plans: list[HostPlan]

    @classmethod
    def examples(cls) -> list[HostPlans]:
        """Return examples for OpenAPI."""
        plan = HostPlan(
            host="h1",
            host_online=True,
            plan_version=12,
            carried_version=12,
            current=True,
            clock_trusted=True,
            reported_at="2026-11-29T12:44:58Z",
        )
        return [HostPlans([plan])]


class ReasonView(Struct, frozen=True):
    """Why a snapshot is kept or goes: a word, its value, and both as text.

    快照保留或删除的原因：代码、值与文字说明。
    """

    code: str
    value: str
    text: str


class SimulatedEventView(Struct, frozen=True, kw_only=True):
    """Something that would be done.

    将要进行的一项操作。
    """

    at: str
    action: Annotated[str, one_of(*(str(action) for action in SimulatedAction))]
    snapshot: str
    reasons: list[ReasonView]


class SimulatedSnapshot(Struct, frozen=True, kw_only=True, rename="camel"):
    """A snapshot at the end of the time, whether it stays, and why.

    模拟期末的一个快照、其去留及原因。
    """

    snapshot: str
    created_at: str
    exists: Annotated[
        bool, described("现在已存在", "It is there now; else it would be taken until then")
    ]
    owned: Annotated[bool, described("由此策略创建", "This policy took it, or would")]
    kept: bool
    reasons: list[ReasonView]


class SimulatedVm(Struct, frozen=True, kw_only=True):
    """What a policy would do with one VM, in the order of time, and what is there afterwards.

    策略将对一台虚拟机做什么（按时间顺序），以及最后的快照。
    """

    vm: str
    name: str
    project: str
    events: list[SimulatedEventView]
    snapshots: list[SimulatedSnapshot]
    truncated: Annotated[bool, described("未全部列出", "There is more than is listed")]


class SimulatedHost(Struct, frozen=True, kw_only=True):
    """What a policy would do on one host; `selected` counts its instances there.

    策略将在一台主机上做什么；`selected` 为其选中的实例数。
    """

    host: str
    state: HostState
    selected: int
    vms: list[SimulatedVm]
    error: VmError | None


class PolicySimulationView(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a policy would do from now on; nothing is done.

    策略从现在起将做什么；不会实际执行。
    """

    policy: str
    days: int
    hosts: list[SimulatedHost]
    hosts_left_out: Annotated[
        int, described("另有选中实例、但未询问的主机数", "More hosts with selected instances")
    ]
    warnings: list[Warned]

    @classmethod
    def examples(cls) -> list[PolicySimulationView]:
        """Return examples for OpenAPI."""
        kept = [ReasonView("daily", "2026-11-29", "the newest of the day 2026-11-29")]
        goes = [ReasonView("no_rule", "", "no rule keeps it")]
        at, name = "2026-11-29T18:30:00Z", "daily-20261129T183000Z"
        vm = SimulatedVm(
            vm="vm-9a1f4c52-6a4c-4a8e-9a0e-0c7b6f3f0a11",
            name="web-server",
            project="default",
            events=[
                SimulatedEventView(at=at, action="take", snapshot=name, reasons=[]),
                SimulatedEventView(
                    at=at, action="prune", snapshot="daily-20261122T183000Z", reasons=goes
                ),
            ],
            snapshots=[
                SimulatedSnapshot(
                    snapshot=name, created_at=at, exists=False, owned=True, kept=True, reasons=kept
                )
            ],
            truncated=False,
        )
        error = VmError("HOST_UNREACHABLE", "host h2 is not connected", {"host": "h2"})
        return [
            PolicySimulationView(
                policy="daily",
                days=1,
                hosts=[
                    SimulatedHost(host="h1", state=ANSWERED, selected=1, vms=[vm], error=None),
                    SimulatedHost(host="h2", state=AWAY, selected=0, vms=[], error=error),
                ],
                hosts_left_out=0,
                warnings=[],
            )
        ]


def run_started(
    at: str, answers: Sequence[HostAnswer[RunsStarted]], tell: TellError
) -> PolicyRunStarted:
    """Return what hosts began."""
    hosts = [
        PolicyHostRun(
            host=each.host,
            state=_state(each),
            started=each.answer.instances if each.answer else 0,
            error=tell(each.error) if each.error else None,
        )
        for each in answers
    ]
    return PolicyRunStarted(at=at, started=sum(each.started for each in hosts), hosts=hosts)


def host_plan(plan: PlanStatus, fleet: FleetView) -> HostPlan:
    """Return the plan of a host."""
    reported = units.parse_time(plan.reported_at)
    return HostPlan(
        host=plan.host,
        host_online=fleet.has_host(plan.host) and fleet.host_part(plan.host).online,
        plan_version=plan.plan_version,
        carried_version=plan.carried_version,
        current=(plan.carried_version, plan.carried_digest) == (plan.plan_version, plan.digest),
        clock_trusted=plan.clock_trusted,
        reported_at=units.utc_text(reported) if reported else None,
    )


def simulated_hosts(found: FleetSimulation, reason: Reason, tell: TellError) -> list[SimulatedHost]:
    """Return what hosts would do; each instance has an equal share of what fits an answer."""
    total = sum(len(each.answer.instances) for each in found.answers if each.answer)
    share = MOST_ENTRIES // max(1, total)
    return [
        SimulatedHost(
            host=each.host,
            state=_state(each),
            selected=each.answer.selected if each.answer else 0,
            vms=[
                _simulated(instance, reason, share, truncated=each.answer.truncated)
                for instance in each.answer.instances
            ]
            if each.answer
            else [],
            error=tell(each.error) if each.error else None,
        )
        for each in found.answers
    ]


def _state(answer: HostAnswer[RunsStarted] | HostAnswer[Simulation]) -> str:
    if answer.answer is not None:
        return ANSWERED
    if answer.away:
        return AWAY
    return FAILED if answer.error else NOT_ASKED


def _simulated(
    instance: InstanceSimulation, reason: Reason, share: int, *, truncated: bool
) -> SimulatedVm:
    events, snapshots = instance.events[: share // 2], instance.snapshots[: share // 2]
    cut = len(events) < len(instance.events) or len(snapshots) < len(instance.snapshots)
    return SimulatedVm(
        vm=f"{ID_PREFIX}{instance.uuid}",
        name=instance.name,
        project=instance.project,
        events=[_event(each, reason) for each in events],
        snapshots=[_snapshot(each, reason) for each in snapshots],
        truncated=truncated or cut,
    )


def _event(event: SimulatedEvent, reason: Reason) -> SimulatedEventView:
    return SimulatedEventView(
        at=event.at,
        action=event.action,
        snapshot=event.snapshot,
        reasons=_reasons(event.reasons, reason),
    )


def _snapshot(judged: JudgedSnapshot, reason: Reason) -> SimulatedSnapshot:
    return SimulatedSnapshot(
        snapshot=judged.snapshot,
        created_at=judged.created_at,
        exists=judged.taken,
        owned=judged.owned,
        kept=judged.kept,
        reasons=_reasons(judged.reasons, reason),
    )


def _reasons(reasons: Sequence[str], reason: Reason) -> list[ReasonView]:
    return [
        ReasonView(each.partition(" ")[0], each.partition(" ")[2], reason(each)) for each in reasons
    ]
