"""Joins the parts of snapshot policies."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock

from services.lxd_worker.operations.record import OperationContext
from services.lxd_worker.operations.service import HostOperations
from services.lxd_worker.policies.clock_guard import BootTime, ClockGuard
from services.lxd_worker.policies.host_instances import HostInstances
from services.lxd_worker.policies.host_plan import HostPlan
from services.lxd_worker.policies.protection import ProtectionReport
from services.lxd_worker.policies.protocol import Calculate, PolicyStore
from services.lxd_worker.policies.pruning import Pruning
from services.lxd_worker.policies.run_steps import RunSteps
from services.lxd_worker.policies.scheduler import PolicyScheduler
from services.lxd_worker.policies.service import HostPolicies
from services.lxd_worker.protocols import CachedInstances, Signal
from services.lxd_worker.reports.publishing import ReportContext
from shared.contracts.policies import PolicyRun


def build_policies(
    *,
    context: OperationContext,
    reports: ReportContext,
    operations: HostOperations,
    store: PolicyStore,
    cached: CachedInstances,
    boot_time: BootTime,
    calculate: Calculate,
    spawn: Callable[[Callable[[str], None], str], object],
    wake: Signal,
    runs_changed: Signal,
    protection_changed: Signal,
    ended: Callable[[PolicyRun], None],
) -> HostPolicies:
    """Return the policies of a host, with the runs that are not over; nothing of it runs yet.

    `spawn` calls a function with a text in a greenthread of its own. `wake` wakes whoever carries
    the plan out, `runs_changed` whoever reports runs, `protection_changed` whoever reports the
    protection. `ended` is called with each run that is over. Raises DatabaseUnavailable.
    """
    plan = HostPlan(context.host, store, context.clock, wake)
    instances = HostInstances(context.lxd, cached, plan)
    guard = ClockGuard(store, context.clock, boot_time)
    deciding = Lock()
    pruning = Pruning(context, operations, store, plan, instances, guard, deciding)
    steps = RunSteps(context, operations, store, plan, instances, pruning, guard)

    def oldest_slots() -> Mapping[tuple[str, str], str]:
        return scheduler.oldest_slots()

    protection = ProtectionReport(
        context=reports,
        store=store,
        plan=plan,
        instances=instances,
        clock_guard=guard,
        lxd=context.lxd,
        signal=protection_changed,
        oldest_slots=oldest_slots,
    )

    def changed(run: PolicyRun) -> None:
        runs_changed()
        protection.on_run(run)

    scheduler = PolicyScheduler(
        clock=context.clock,
        store=store,
        plan=plan,
        instances=instances,
        steps=steps,
        spawn=spawn,
        wake=wake,
        changed=changed,
        over=ended,
    )
    scheduler.resume()
    return HostPolicies(
        context=context,
        store=store,
        plan=plan,
        clock_guard=guard,
        instances=instances,
        scheduler=scheduler,
        protection=protection,
        calculate=calculate,
        deciding=deciding,
    )
