"""Which instance an `{id}` means: `vm-` and its uuid, or where only one fits, a name.

A name is LXD's or the one that people gave it, alone or as `host:name`. What another host calls its
instances cannot come between `vm-UUID` or `HOST:NAME` and the instance of this uuid, or of that
host; an instance that copies another one's uuid is reached as `host:name`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, NamedTuple

from fastapi import Depends, Path
from pydantic import Field

from services.gateway.bilingual import both
from services.gateway.fleet.name_resolution import originals
from services.gateway.fleet.views import HostView, InstanceView
from services.gateway.http.dependencies import Dependencies, Gateway, ProjectChoice
from services.gateway.http.errors import HttpError
from services.gateway.http.free_text import WithoutControls
from services.gateway.http.name_resolution import require_instances
from services.gateway.responses.vms import ID_PREFIX, vm_id
from services.gateway.vms.fleet_with_pending import Fleet
from services.gateway.vms.new_vm import PendingCreation, pending_instance
from shared.contracts.errors import HostNotFound, InstanceNotFound, OperationNotFound
from shared.contracts.operations import State
from shared.contracts.truncation import first_few

UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")

Id = Annotated[
    Annotated[str, Field(max_length=255), WithoutControls],
    Path(
        alias="id",
        description=both(
            "`vm-` 加 uuid；`主机:名称`；或唯一的名称",
            "`vm-` and the uuid, `host:name`, or a name that only one VM has",
        ),
        examples=["vm-001"],
    ),
]


class ResolvedInstance(NamedTuple):
    """An instance and its host."""

    known: InstanceView
    host: HostView


class InstanceSelector(NamedTuple):
    """How a request names an instance; `project` None: whichever has it."""

    vm_id: str
    project: str | None = None


async def choice_of(vm_id: Id, project: ProjectChoice = None) -> InstanceSelector:
    """Return how the request names an instance."""
    return InstanceSelector(vm_id, project)


Chosen = Annotated[InstanceSelector, Depends(choice_of)]


async def found_by(gateway: Gateway, choice: Chosen) -> ResolvedInstance:
    """Return the instance that the request names."""
    return found(gateway.vms, choice)


async def found_or_failed(gateway: Gateway, choice: Chosen) -> ResolvedInstance:
    """Return the instance that the request names, or the one that could not be created."""
    try:
        return found(gateway.vms, choice)
    except InstanceNotFound:
        failed = await _failed(gateway, choice.vm_id)
        if failed is None:
            raise
        return failed


async def _failed(gateway: Dependencies, vm_id: str) -> ResolvedInstance | None:
    """Return what a creation should have made, which is known by the id that was given out."""
    if not vm_id.startswith(ID_PREFIX):
        return None
    try:
        operation = await gateway.operations.get_creation(vm_id.removeprefix(ID_PREFIX))
        host = gateway.fleet.host(operation.host)
    except (OperationNotFound, HostNotFound):
        return None
    ordered = operation.arguments.create
    if ordered is None or operation.state is State.DONE:
        return None
    return ResolvedInstance(pending_instance(PendingCreation(operation, ordered)), host)


Wanted = Annotated[ResolvedInstance, Depends(found_by)]
WantedOrFailed = Annotated[ResolvedInstance, Depends(found_or_failed)]


def found(fleet: Fleet, choice: InstanceSelector) -> ResolvedInstance:
    """Return the one instance that is meant.

    Raises InstanceNotFound, HttpError `ambiguous_vm` which lists those that fit, and as
    `require_instances` does.
    """
    require_instances(fleet)
    fitting = [
        known
        for known in _named(fleet, choice.vm_id)
        if choice.project in {None, known.instance.project}
    ]
    if not fitting:
        raise InstanceNotFound(choice.vm_id)
    if len(fitting) > 1:
        ids = sorted(map(vm_id, fitting))
        raise HttpError("ambiguous_vm", name=choice.vm_id, ids=first_few(ids))
    return ResolvedInstance(fitting[0], fleet.host(fitting[0].host))


def _named(fleet: Fleet, text: str) -> Sequence[InstanceView]:
    """Return what fits, by the first reading of the text that anything fits.

    A uuid means the instance that held it first, and nothing else that is called like it.
    """
    if text.startswith(ID_PREFIX):
        same = fleet.with_uuid(text.removeprefix(ID_PREFIX))
        held = [known for known in same if not known.duplicate]
        if held or UUID.fullmatch(text, len(ID_PREFIX)):
            return held
    if same := fleet.with_name(text):
        return originals(list(same))
    host, colon, name = text.partition(":")
    if colon and (same := [known for known in fleet.with_name(name) if known.host == host]):
        return same
    if colon and (same := [k for k in fleet.with_display_name(name) if k.host == host]):
        return same
    return originals(list(fleet.with_display_name(text)))
