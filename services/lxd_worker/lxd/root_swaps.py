"""The requests that swap an instance's root for another one."""

from __future__ import annotations

from collections.abc import Callable

from services.lxd_worker.instances.description import EditableInstance
from services.lxd_worker.instances.parked_roots import ROOT, parked_root
from services.lxd_worker.journal.entry import AllocationPlan, JournalEntry, RootSwapPlan
from services.lxd_worker.rebuild import requests
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import InstanceReplaced, StepInterrupted
from shared.lxd.client import LxdClient
from shared.lxd.models import LxdTask

_WAIT_S = 30

# Returns the body of a PUT for an instance as it is.
Edit = Callable[[EditableInstance], dict[str, object]]


class RootSwapRequests:
    """The requests to one daemon. Each is sent only for the root that it is meant for.

    `member` returns the cluster member that the host is, None if there is no cluster.
    """

    def __init__(self, client: LxdClient, member: Callable[[], str | None]) -> None:
        self._client = client
        self._member = member
        self._requests: dict[Step, Callable[[_SwapStep], LxdTask]] = {
            Step.BUILD: self._build,
            Step.DETACH: self._detach,
            Step.MOVE_OUT: lambda step: self._rename(step, step.name, step.swap.trash),
            Step.MOVE_IN: lambda step: self._rename(step, step.swap.beside, step.name),
            Step.ATTACH: self._attach,
            Step.RELEASE: self._release,
            Step.MOVE_NEW_BACK: lambda step: self._rename(step, step.name, step.swap.beside),
            Step.MOVE_OLD_BACK: lambda step: self._rename(step, step.swap.trash, step.name),
            Step.REATTACH: self._reattach,
            Step.DISCARD: self._discard,
        }

    def __contains__(self, step: Step) -> bool:
        return step in self._requests

    def request(self, step: Step, entry: JournalEntry) -> str:
        """Hand a step over and return LXD's id of it.

        Raises LxdNotFound if there is no such root, InstanceReplaced if another instance has its
        name, and what a request raises.
        """
        if entry.plan is None or entry.plan.swap is None:
            raise StepInterrupted(step.value)
        return self._requests[step](_SwapStep(entry, entry.plan, entry.plan.swap)).id

    def _build(self, step: _SwapStep) -> LxdTask:
        found = self._read(step, step.name)
        body = requests.new_root_body(found, step.plan, step.swap)
        member = {"target": self._member()} if self._member() else {}
        return self._client.post(LxdTask, "instances", params=step.params | member, body=body)

    def _detach(self, step: _SwapStep) -> LxdTask:
        swap = step.swap
        return self._write(
            step, step.name, lambda found: requests.park(found, swap.trash, swap.until)
        )

    def _attach(self, step: _SwapStep) -> LxdTask:
        old = self._read(step, step.swap.trash)
        self._do(self._write(step, step.name, lambda found: requests.with_devices_of(found, old)))
        return self._write(
            step, step.name, lambda found: requests.put_in_place(found, old, step.swap)
        )

    def _release(self, step: _SwapStep) -> LxdTask:
        swap = step.swap
        return self._write(
            step, step.name, lambda found: requests.park(found, swap.beside, swap.until)
        )

    def _reattach(self, step: _SwapStep) -> LxdTask:
        self._do(self._write(step, step.name, lambda found: requests.with_devices_of(found, found)))
        return self._write(step, step.name, requests.unpark)

    def _rename(self, step: _SwapStep, name: str, new_name: str) -> LxdTask:
        self._read(step, name)
        path, body = ("instances", name), {"name": new_name}
        return self._client.post(LxdTask, *path, params=step.params, body=body)

    def _discard(self, step: _SwapStep) -> LxdTask:
        """Delete the new root of a rebuild, and nothing else."""
        found = self._read(step, step.swap.beside)
        is_parked = parked_root(found.project, found.name, found.config) is not None
        if not is_parked or found.config.get(ROOT, "") != step.swap.incoming:
            raise InstanceReplaced(step.swap.beside)
        return self._client.delete(LxdTask, "instances", step.swap.beside, params=step.params)

    def _do(self, task: LxdTask) -> None:
        """Wait for the first half of a step; after a crash the root is still found parked."""
        while (task := self._client.wait(LxdTask, task.id, _WAIT_S)).running:
            pass
        if task.error:
            raise task.error

    def _write(self, step: _SwapStep, name: str, edit: Edit) -> LxdTask:
        def change(found: EditableInstance) -> dict[str, object]:
            step.require_same(found, name)
            return edit(found)

        path = ("instances", name)
        return self._client.edit(
            EditableInstance, LxdTask, *path, params=step.params, change=change
        )

    def _read(self, step: _SwapStep, name: str) -> EditableInstance:
        path = ("instances", name)
        found, _ = self._client.get_to_replace(EditableInstance, *path, params=step.params)
        step.require_same(found, name)
        return found


class _SwapStep:
    """An entry whose step is taken, with what all steps need of it."""

    def __init__(self, entry: JournalEntry, plan: AllocationPlan, swap: RootSwapPlan) -> None:
        self.entry = entry
        self.plan = plan
        self.swap = swap
        self.name = entry.operation.instance
        self.params: dict[str, object] = {"project": entry.operation.project}

    def require_same(self, found: EditableInstance, name: str) -> None:
        """Raise InstanceReplaced if another instance has the name."""
        if found.uuid != self.entry.operation.uuid:
            raise InstanceReplaced(name)
