"""What LXD shows of the instance that an operation is about, whatever that is called by now."""

from __future__ import annotations

import logging

from services.lxd_worker.instances.observation import Observation, is_same_instance
from services.lxd_worker.operations.record import OperationContext, OperationRecord
from services.lxd_worker.transitions.next_step import changes_config
from services.lxd_worker.transitions.rebuild import root_in_place
from services.lxd_worker.transitions.steps import RootSwap, Situation, Step
from shared.contracts.errors import FleetError, LxdUnavailable
from shared.contracts.instances import Instance

log = logging.getLogger(__name__)


class OperationObserver:
    """Observes the instance of one operation."""

    def __init__(self, context: OperationContext, record: OperationRecord) -> None:
        self._lxd = context.lxd
        self._record = record

    def situation(self, error: FleetError | None) -> Situation:
        """Return the situation of the operation; `error` is why the last step failed."""
        entry, operation = self._record.entry, self._record.operation
        swap = self._roots()
        found = root_in_place(swap) if swap else self._find()
        now = found if found and self._is_same(found) else None
        return Situation(
            name=operation.instance,
            arguments=operation.arguments,
            now=now,
            replaced=found is not now,
            taken=entry.taken,
            error=error,
            before=entry.before,
            first=entry.first,
            cause=entry.cause,
            swap=swap,
        )

    def names(self) -> tuple[str, ...]:
        """Return the names under which LXD may know the instance, or a root of it."""
        swap = self._record.entry.swap
        roots = (swap.beside, swap.trash) if swap else ()
        return (self._record.operation.instance, *roots)

    def instance(self) -> Instance | None:
        """Return the instance as it is reported to the fleet, None if it cannot be read.

        Whatever is wrong with that must neither delay the operation's end nor change it.
        """
        operation = self._record.operation
        try:
            found = self._lxd.instance(operation.project, operation.instance).instance
        except LxdUnavailable:
            return None
        except Exception:
            names = self._record.names()
            log.exception("instance not read at its operation's end", extra=names)
            return None
        is_replaced = found and operation.uuid not in ("", found.uuid)
        return None if is_replaced else found

    def _roots(self) -> RootSwap | None:
        """Observe both roots of a rebuild or a revert, whatever they are called now."""
        plan, operation = self._record.entry.swap, self._record.operation
        if plan is None:
            return None
        each = (self._lxd.observe(operation.project, name) for name in self.names())
        roots = [root for root in each if root and self._is_same(root)]
        return RootSwap(
            name=operation.instance,
            beside=plan.beside,
            trash=plan.trash,
            old=next((root for root in roots if root.root != plan.incoming), None),
            new=next((root for root in roots if root.root == plan.incoming), None),
        )

    def _find(self) -> Observation | None:
        """Observe the instance; once a rename was begun it may have either name."""
        operation = self._record.operation
        is_change = changes_config(operation.kind)
        observe = self._lxd.observe_fully if is_change else self._lxd.observe
        if Step.RENAME in self._record.entry.taken:
            found = observe(operation.project, operation.arguments.new_name)
            if found and self._is_same(found):
                return found
        return observe(operation.project, operation.instance)

    def _is_same(self, observed: Observation) -> bool:
        entry = self._record.entry
        return is_same_instance(observed, entry.operation.uuid, entry.before)
