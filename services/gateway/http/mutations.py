"""Asking for a change: who asks, under which key, and the operation that comes of it.

The operation belongs to its host, not to the caller's connection: who hangs up changes nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from fastapi import Depends, Header, Request
from pydantic import Field

from services.gateway.http.dependencies import Dependencies, Gateway, Who
from services.gateway.http.errors import tongue_of
from services.gateway.http.free_text import HeaderWithoutControls
from services.gateway.http.messages import Language
from services.gateway.ports import Caller, Change, Target
from shared.contracts.operations import Arguments, Kind, Operation, Secrets

Key = Annotated[
    Annotated[str, Field(min_length=1, max_length=255), HeaderWithoutControls] | None,
    Header(
        alias="Idempotency-Key",
        description="同一键的重复请求返回第一次的操作",
    ),
]


@dataclass(frozen=True, slots=True)
class Asked:
    """Who asks for a change; `fingerprint` is a keyed digest of the whole request."""

    gateway: Dependencies
    caller: Caller
    key: str | None
    fingerprint: str
    tongue: Language


async def asked_by(request: Request, gateway: Gateway, who: Who, key: Key = None) -> Asked:
    """Return who asks."""
    fingerprint = await _fingerprint(request, gateway.settings.token or "")
    return Asked(gateway, who, key, fingerprint, tongue_of(request))


Asking = Annotated[Asked, Depends(asked_by)]


class Order(NamedTuple):
    """What to change of which instance."""

    kind: Kind
    target: Target
    arguments: Arguments


async def carried_out(asked: Asked, order: Callable[[], Order]) -> Operation:
    """Return the operation when it has ended, or as it stands when the wait is over.

    `order` is asked for under a new key only, because a repeated delete would find no instance.
    Raises what it raises, and as `Operations.submit` does.
    """
    begun = await recalled(asked) or await submitted(asked, order())
    return await ended(asked, begun)


async def recalled(asked: Asked) -> Operation | None:
    """Return the operation that the caller's key stands for; None: there is none yet.

    Raises IdempotencyKeyReused.
    """
    if asked.key is None:
        return None
    return await asked.gateway.operations.recall(asked.caller, asked.key, asked.fingerprint)


async def submitted(asked: Asked, order: Order, secrets: Secrets | None = None) -> Operation:
    """Return the new operation; raise as `Operations.submit` does.

    `secrets` are the arguments that no database may hold.
    """
    change = Change(
        kind=order.kind,
        target=order.target,
        arguments=order.arguments,
        caller=asked.caller,
        idempotency_key=asked.key,
        fingerprint=asked.fingerprint,
        secrets=secrets,
    )
    return await asked.gateway.operations.submit(change)


async def ended(asked: Asked, begun: Operation) -> Operation:
    """Return the operation when it has ended, or as it stands when the wait is over."""
    gateway = asked.gateway
    return await gateway.operations.wait(begun.operation_id, gateway.settings.sync_wait_s)


async def _fingerprint(request: Request, token: str) -> str:
    """Return a digest of the request that nobody without the token can compute.

    It stands in the database, and the request may hold a password: against a plain digest whoever
    reads a backup of that could try out passwords.
    """
    query = sorted(request.query_params.multi_items())
    whole = (request.method, request.url.path, query, await request.body())
    return hmac.digest(token.encode(), repr(whole).encode(), "sha256").hex()
