"""Requests that change something: from whom, under which key, and how long they wait for the end.

The wait is `FLEET_SYNC_WAIT_S`; then the answer is 202.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header, Request
from pydantic import Field

from services.gateway.bilingual import Language, both
from services.gateway.http.dependencies import Dependencies, Gateway, Who
from services.gateway.http.errors import language_of
from services.gateway.http.free_text import HeaderWithoutControls
from services.gateway.operations.command import Caller
from services.gateway.operations.store import IdempotencyKey
from shared.contracts.operations import Command, Operation, Secrets

KeyHeader = Annotated[
    Annotated[str, Field(min_length=1, max_length=255), HeaderWithoutControls] | None,
    Header(
        alias="Idempotency-Key",
        description=both(
            "同一键的重复请求返回第一次的操作",
            "A repeated request with the same key returns the first one's operation",
        ),
    ),
]


@dataclass(frozen=True, slots=True)
class Mutation:
    """A caller's request to change something, and the language of its answer."""

    gateway: Dependencies
    caller: Caller
    key: IdempotencyKey | None
    language: Language

    @property
    def stop_timeout_s(self) -> float:
        """How long a clean stop may take before the instance is stopped by force."""
        return self.gateway.settings.stop_timeout_s

    async def execute(
        self,
        new_command: Callable[[], Command],
        secrets: Secrets | None = None,
        wait_s: float | None = None,
    ) -> Operation:
        """Return the operation when it has ended, or as it stands when the wait is over.

        See `OperationService.execute`; the wait is that of the settings, or `wait_s`.
        """
        if wait_s is None:
            wait_s = self.gateway.settings.sync_wait_s
        operations = self.gateway.operations
        return await operations.execute(new_command, self.caller, self.key, wait_s, secrets)

    async def recall(self) -> Operation | None:
        """Return the operation that the caller's key stands for; None: there is none yet.

        Raises IdempotencyKeyReused.
        """
        return await self.gateway.operations.find_by_key(self.key) if self.key else None


async def mutation_of(
    request: Request, gateway: Gateway, who: Who, key: KeyHeader = None
) -> Mutation:
    """Return the request as one that changes something."""
    found = None
    if key is not None:
        fingerprint = await _fingerprint(request, gateway.settings.token or "")
        found = IdempotencyKey(who.principal, key, fingerprint)
    return Mutation(gateway, who, found, language_of(request))


Mutating = Annotated[Mutation, Depends(mutation_of)]


async def _fingerprint(request: Request, token: str) -> str:
    """Return a digest of the request that nobody without the token can compute.

    It stands in the database, and the request may hold a password: against a plain digest whoever
    reads a backup of that could try out passwords.
    """
    query = sorted(request.query_params.multi_items())
    whole = (request.method, request.url.path, query, await request.body())
    return hmac.digest(token.encode(), repr(whole).encode(), "sha256").hex()
