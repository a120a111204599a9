"""Changing a VM: from the request to the answer that tells what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

from fastapi import Depends
from starlette.responses import Response

from services.gateway.fleet.views import InstanceView
from services.gateway.http.mutations import Mutating, Mutation
from services.gateway.http.v1.name_resolution import (
    Chosen,
    InstanceSelector,
    ResolvedInstance,
    found,
)
from services.gateway.http.v1.operation_response import answer, unchanged, vm_now
from services.gateway.operations.command import command_for
from services.gateway.vms.fleet_with_pending import Fleet
from shared.contracts.operations import Arguments, Command, Kind, Operation, Secrets

# Returns what to answer of the VM when its operation has ended: from the fleet, the operation, and
# the VM as it was before, where that is known.
Result = Callable[[Fleet, Operation, InstanceView | None], object]


class _NothingToChangeError(Exception):
    """The VM is already as requested."""

    def __init__(self, vm: InstanceView) -> None:
        super().__init__()
        self.vm = vm


class VmMutation(NamedTuple):
    """A request to change a VM."""

    request: Mutation
    selector: InstanceSelector

    async def execute(
        self,
        kind: Kind,
        arguments: Callable[[ResolvedInstance], Arguments | None],
        result: Result = vm_now,
        secrets: Secrets | None = None,
    ) -> Response:
        """Carry the change out; return the answer when it has ended, or the wait is over.

        `arguments` is asked what to tell the host, with the VM as it is; None: nothing has to be
        done. Under the key of an earlier request it is not asked: the VM may be gone since.
        """
        fleet = self.request.gateway.vms
        before: InstanceView | None = None

        def new_command() -> Command:
            nonlocal before
            resolved = found(fleet, self.selector)
            before = resolved.known
            changes = arguments(resolved)
            if changes is None:
                raise _NothingToChangeError(before)
            return command_for(before, kind, changes, self.request.caller)

        try:
            operation = await self.request.execute(new_command, secrets)
        except _NothingToChangeError as nothing:
            return unchanged(nothing.vm, kind)
        return answer(self.request, operation, result(fleet, operation, before))


async def vm_mutation_of(request: Mutating, selector: Chosen) -> VmMutation:
    """Return the request as one to change a VM."""
    return VmMutation(request, selector)


Mutated = Annotated[VmMutation, Depends(vm_mutation_of)]
