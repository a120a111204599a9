"""The snapshots service as a gateway sees it: policies in memory, and what a test says of runs."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Self

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from msgspec.structs import replace

from services.gateway.operations.store import IdempotencyKey
from shared.contracts.codec import from_wire, to_wire
from shared.contracts.errors import (
    FleetError,
    IdempotencyKeyReused,
    PolicyChangedSince,
    PolicyExists,
    PolicyNotFound,
    SnapshotsSilent,
)
from shared.contracts.policies import Policy
from shared.contracts.policy_api import (
    HostRun,
    PlanList,
    PlanStatus,
    PolicyList,
    RunPage,
    RunQuery,
)


class FakeRunKeys:
    """Implements `RunKeys`; `moments` are those of the first requests, by key."""

    def __init__(self) -> None:
        self.moments: dict[tuple[str, str], tuple[str, str]] = {}

    async def moment_of(self, key: IdempotencyKey, at: str) -> str:
        first = self.moments.setdefault((key.principal, key.key), (key.fingerprint, at))
        if first[0] != key.fingerprint:
            raise IdempotencyKeyReused(key.key)
        return first[1]


class FakeCentre:
    """Implements `policy_api.CallSnapshots`.

    `refusal` is raised instead of an answer; `loses_answers`: calls are carried out, and their
    answers lost. `called` lists the methods, `queries` what was asked of `runs`, which are given
    whole; their `cursor` is `cursor`.
    """

    def __init__(self) -> None:
        self.policies: dict[str, Policy] = {}
        self.runs: list[HostRun] = []
        self.cursor = ""
        self.plans: list[PlanStatus] = []
        self.queries: list[RunQuery] = []
        self.called: list[str] = []
        self.refusal: FleetError | None = None
        self.loses_answers = False

    async def __call__(self, method: str, args: list[object]) -> object:
        self.called.append(method)
        if self.refusal is not None:
            raise self.refusal
        answer = self._methods()[method](*args)
        if self.loses_answers:
            raise SnapshotsSilent
        return answer

    def _methods(self) -> dict[str, Callable[..., object]]:
        return {
            "create": self._create,
            "update": self._update,
            "delete": self._delete,
            "policies": self._policies,
            "runs": self._runs,
            "plans": lambda: to_wire(PlanList(plans=self.plans)),
        }

    def _create(self, wired: object) -> object:
        policy = from_wire(Policy, wired)
        known = self.policies.get(policy.id)
        if known == policy:
            return to_wire(known)
        if known is not None:
            raise PolicyExists(policy.name)
        self._require_new_name(policy)
        self.policies[policy.id] = policy
        return to_wire(policy)

    def _update(self, wired: object) -> object:
        policy = from_wire(Policy, wired)
        self._require(policy.id, policy.revision)
        self._require_new_name(policy)
        self.policies[policy.id] = replace(policy, revision=policy.revision + 1)
        return to_wire(self.policies[policy.id])

    def _delete(self, policy_id: str, revision: int) -> None:
        self._require(policy_id, revision)
        del self.policies[policy_id]

    def _policies(self) -> object:
        by_name = sorted(self.policies.values(), key=lambda policy: policy.name)
        return to_wire(PolicyList(policies=by_name))

    def _runs(self, wired: object) -> object:
        self.queries.append(from_wire(RunQuery, wired))
        return to_wire(RunPage(runs=self.runs, cursor=self.cursor))

    def _require(self, policy_id: str, revision: int) -> None:
        known = self.policies.get(policy_id)
        if known is None:
            raise PolicyNotFound(policy_id)
        if revision not in {0, known.revision}:
            raise PolicyChangedSince(known.name)

    def _require_new_name(self, policy: Policy) -> None:
        others = (each for each in self.policies.values() if each.id != policy.id)
        if any(each.name == policy.name for each in others):
            raise PolicyExists(policy.name)


class WireCentre:
    """The same on a real broker, in nameko's protocol, with a queue that goes with it.

    `silent`: it takes calls and answers none. `answer_with`: what it answers instead.
    """

    def __init__(self, uri: str) -> None:
        self.centre = FakeCentre()
        self.calls: list[AbstractIncomingMessage] = []
        self.silent = False
        self.answer_with: object = None
        self._uri = uri

    async def __aenter__(self) -> Self:
        self._connection = await aio_pika.connect(self._uri)
        channel = await self._connection.channel()
        self._exchange = await channel.declare_exchange("nameko-rpc", "topic", durable=True)
        queue = await channel.declare_queue("rpc-snapshots", exclusive=True, auto_delete=True)
        await queue.bind(self._exchange, "snapshots.*")
        await queue.consume(self._take, no_ack=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def _take(self, call: AbstractIncomingMessage) -> None:
        self.calls.append(call)
        method = str(call.routing_key).rpartition(".")[2]
        answer = self.answer_with or await _answered(self.centre, method, call.body)
        if self.silent:
            return
        message = aio_pika.Message(
            json.dumps(answer).encode(),
            content_type="application/json",
            content_encoding="utf-8",
            correlation_id=call.correlation_id,
        )
        await self._exchange.publish(message, str(call.reply_to), mandatory=False)


async def _answered(
    call: Callable[[str, list[object]], Awaitable[object]], method: str, body: bytes
) -> dict[str, object]:
    try:
        return {"result": await call(method, json.loads(body)["args"]), "error": None}
    except FleetError as exc:
        error = {"exc_type": type(exc).__name__, "exc_args": exc.values, "value": str(exc)}
        return {"result": None, "error": error}
