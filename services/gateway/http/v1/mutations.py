"""From who wants something of which VM to what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, NamedTuple

from fastapi import Depends
from starlette.responses import Response

from services.gateway.fleet.views import InstanceView
from services.gateway.http.mutations import Asked, Asking, Order, ended, recalled, submitted
from services.gateway.http.v1.name_resolution import (
    Chosen,
    InstanceSelector,
    ResolvedInstance,
    found,
)
from services.gateway.http.v1.operation_response import answer, unchanged, vm_now
from services.gateway.ports import Fleet, target_of
from shared.contracts.operations import Arguments, Kind, Operation, Secrets


class Wish(NamedTuple):
    """Who wants something of which VM."""

    asked: Asked
    choice: InstanceSelector


async def wish_of(asked: Asking, choice: Chosen) -> Wish:
    """Return who wants something of which VM."""
    return Wish(asked, choice)


Wished = Annotated[Wish, Depends(wish_of)]


# Returns what to answer of the VM when its operation has ended: from the fleet, the operation, and
# the VM as it was before, where that is known.
Result = Callable[[Fleet, Operation, InstanceView | None], object]


async def fulfilled(
    wish: Wish,
    kind: Kind,
    arguments: Callable[[ResolvedInstance], Arguments | None],
    result: Result = vm_now,
    secrets: Secrets | None = None,
) -> Response:
    """Return the answer to a wish, when its operation has ended or the wait for that is over.

    `arguments` is asked what to tell the host, with the VM as it is; None: nothing has to be done.
    Under the key of an earlier request it is not asked: the VM may be gone since.
    """
    asked = wish.asked
    begun, seen = await recalled(asked), None
    if begun is None:
        seen = found(asked.gateway.vms, wish.choice)
        told = arguments(seen)
        if told is None:
            return unchanged(seen.known, kind)
        begun = await submitted(asked, Order(kind, target_of(seen.known), told), secrets)
    operation = await ended(asked, begun)
    now = result(asked.gateway.vms, operation, seen.known if seen else None)
    return answer(asked, operation, now)
