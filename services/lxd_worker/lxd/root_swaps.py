"""What LXD is asked for to swap an instance's root for another one."""

from __future__ import annotations

from collections.abc import Callable

from services.lxd_worker.instances.parked_roots import ROOT, aside_of
from services.lxd_worker.instances.update_request import EditableInstance
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.journal.plan import AllocationPlan, RootSwapPlan
from services.lxd_worker.rebuild import requests
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import InstanceReplaced, StepInterrupted
from shared.lxd.client import LxdClient
from shared.lxd.models import LxdTask

_WAIT_S = 30

# Makes the whole description of an instance of the one that there is.
Edit = Callable[[EditableInstance], dict[str, object]]


class RootSwapRequests:
    """The requests of one daemon. Each is made only of the root that it is meant for.

    `member` returns the cluster member that the host is, nothing where there is no cluster.
    """

    def __init__(self, client: LxdClient, member: Callable[[], str | None]) -> None:
        self._client = client
        self._member = member
        self._requests: dict[Step, Callable[[_Order], LxdTask]] = {
            Step.BUILD: self._build,
            Step.DETACH: self._detach,
            Step.MOVE_OUT: lambda order: self._rename(order, order.name, order.swap.trash),
            Step.MOVE_IN: lambda order: self._rename(order, order.swap.beside, order.name),
            Step.ATTACH: self._attach,
            Step.RELEASE: self._release,
            Step.MOVE_NEW_BACK: lambda order: self._rename(order, order.name, order.swap.beside),
            Step.MOVE_OLD_BACK: lambda order: self._rename(order, order.swap.trash, order.name),
            Step.REATTACH: self._reattach,
            Step.DISCARD: self._discard,
        }

    def __contains__(self, step: Step) -> bool:
        return step in self._requests

    def ask(self, step: Step, entry: JournalEntry) -> str:
        """Hand a step over and return LXD's id of it.

        Raises LxdNotFound where there is no such root, InstanceReplaced where another one has its
        name, and what a request raises.
        """
        if entry.plan is None or entry.plan.swap is None:
            raise StepInterrupted(step.value)
        return self._requests[step](_Order(entry, entry.plan, entry.plan.swap)).id

    def _build(self, order: _Order) -> LxdTask:
        found = self._read(order, order.name)
        body = requests.new_root(found, order.plan, order.swap)
        member = {"target": self._member()} if self._member() else {}
        return self._client.post(LxdTask, "instances", params=order.params | member, body=body)

    def _detach(self, order: _Order) -> LxdTask:
        swap = order.swap
        return self._write(
            order, order.name, lambda found: requests.set_aside(found, swap.trash, swap.until)
        )

    def _attach(self, order: _Order) -> LxdTask:
        old = self._read(order, order.swap.trash)
        self._do(self._write(order, order.name, lambda found: requests.with_devices(found, old)))
        return self._write(
            order, order.name, lambda found: requests.put_in_place(found, old, order.swap)
        )

    def _release(self, order: _Order) -> LxdTask:
        swap = order.swap
        return self._write(
            order, order.name, lambda found: requests.set_aside(found, swap.beside, swap.until)
        )

    def _reattach(self, order: _Order) -> LxdTask:
        self._do(self._write(order, order.name, lambda found: requests.with_devices(found, found)))
        return self._write(order, order.name, requests.put_back)

    def _rename(self, order: _Order, name: str, new_name: str) -> LxdTask:
        self._read(order, name)
        path, body = ("instances", name), {"name": new_name}
        return self._client.post(LxdTask, *path, params=order.params, body=body)

    def _discard(self, order: _Order) -> LxdTask:
        """Delete what a rebuild has made, and nothing else."""
        found = self._read(order, order.swap.beside)
        is_aside = aside_of(found.project, found.name, found.config) is not None
        if not is_aside or found.config.get(ROOT, "") != order.swap.incoming:
            raise InstanceReplaced(order.swap.beside)
        return self._client.delete(LxdTask, "instances", order.swap.beside, params=order.params)

    def _do(self, task: LxdTask) -> None:
        """Wait for the first half of a step; who dies here finds the root still set aside."""
        while (task := self._client.wait(LxdTask, task.id, _WAIT_S)).running:
            pass
        if task.error:
            raise task.error

    def _write(self, order: _Order, name: str, edit: Edit) -> LxdTask:
        path, params = ("instances", name), order.params

        def write(found: EditableInstance, etag: str) -> LxdTask:
            order.check(found)
            return self._client.put(LxdTask, *path, params=params, body=edit(found), etag=etag)

        return self._client.update(EditableInstance, *path, params=params, write=write)

    def _read(self, order: _Order, name: str) -> EditableInstance:
        path, params = ("instances", name), order.params
        found, _ = self._client.get_to_replace(EditableInstance, *path, params=params)
        order.check(found)
        return found


class _Order:
    """A step's order, with what all of them need."""

    def __init__(self, entry: JournalEntry, plan: AllocationPlan, swap: RootSwapPlan) -> None:
        self.entry = entry
        self.plan = plan
        self.swap = swap
        self.name = entry.operation.instance
        self.params: dict[str, object] = {"project": entry.operation.project}

    def check(self, found: EditableInstance) -> None:
        """Raise InstanceReplaced for another instance than the one that the order is about."""
        if found.uuid != self.entry.operation.uuid:
            raise InstanceReplaced(found.name)
