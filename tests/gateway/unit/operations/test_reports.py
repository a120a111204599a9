"""What a host reports of an operation says what became of it, never what it was."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from services.gateway.operations.store import OperationFilter
from shared.contracts.codec import from_wire, to_wire
from shared.contracts.operations import Arguments, Kind, Operation, State, Submission
from tests.support.core import Core, submit

FACTS: dict[str, Any] = {
    "kind": Kind.DELETE,
    "instance": "victim",
    "project": "other",
    "uuid": "u-victim",
    "principal": "admin2",
    "arguments": Arguments(force=True, placement="trust me"),
    "created_at": "2001-01-01T00:00:00Z",
    "parent_id": "p-1",
    "correlation_id": "c-2",
}


def facts(operation: Operation) -> dict[str, object]:
    return {name: getattr(operation, name) for name in FACTS}


@pytest.mark.attack
@pytest.mark.parametrize("state", [State.RUNNING, State.DONE])
async def test_a_report_leaves_the_facts_of_a_request_as_they_were(
    gateway: Core, state: State
) -> None:
    operation = await gateway.submit(Kind.STOP)
    lie = gateway.workers.report(replace(operation, state=state, step="stop", **FACTS))

    await gateway.events.on_outcome(lie)

    stored = gateway.store.operations[operation.operation_id]
    [listed] = await gateway.operations.list(OperationFilter())
    for known in (stored, listed, await gateway.operations.get(operation.operation_id)):
        assert facts(known) == facts(operation)
        assert (known.state, known.step) == (state, "stop")


async def test_so_does_one_that_came_before_the_database_was_asked(gateway: Core) -> None:
    operation = await gateway.submit(Kind.STOP)
    other = gateway.restarted()

    other.cache.record(gateway.workers.report(replace(operation, state=State.RUNNING, **FACTS)))

    known = await other.operations.get(operation.operation_id)
    assert facts(known) == facts(operation)
    assert known.state is State.RUNNING


@pytest.mark.attack
async def test_a_page_of_history_leaves_the_facts_of_a_request_as_they_were(gateway: Core) -> None:
    operation = await gateway.submit(Kind.STOP)
    gateway.workers.report(replace(operation, state=State.DONE, **FACTS))

    await gateway.sync.sync_host("h1")

    stored = gateway.store.operations[operation.operation_id]
    assert facts(stored) == facts(operation)
    assert stored.state is State.DONE


async def test_a_rename_ends_under_the_new_name_and_no_other(gateway: Core) -> None:
    renaming = Arguments(new_name="shop")
    wanted = [await submit(gateway, Kind.RENAME, arguments=renaming) for _ in range(2)]
    ended = [
        gateway.workers.report(replace(operation, instance=name, state=State.DONE))
        for operation, name in zip(wanted, ("shop", "victim"), strict=True)
    ]

    for operation in ended:
        await gateway.events.on_outcome(operation)

    known = [await gateway.operations.get(operation.operation_id) for operation in wanted]
    assert [operation.instance for operation in known] == ["shop", "web"]


@pytest.mark.attack
@pytest.mark.parametrize(
    "lie",
    [
        {"kind": Kind.DELETE},
        {"instance": "victim"},
        {"project": "other"},
        {"uuid": "u-victim"},
        {"host": "h2"},
        {"operation_id": "op-of-another"},
    ],
    ids=str,
)
async def test_an_acceptance_of_something_else_is_none(gateway: Core, lie: dict[str, Any]) -> None:
    def answer(host: str, wired: object) -> object:
        submitted = from_wire(Submission, wired)
        gateway.workers.journal[submitted.operation_id] = accepted = Operation(
            operation_id=submitted.operation_id,
            host=host,
            kind=submitted.kind,
            instance=submitted.instance,
            uuid=submitted.uuid,
            principal=submitted.principal,
            state=State.ACCEPTED,
            sequence=1,
        )
        return to_wire(replace(accepted, **lie))

    gateway.workers.answers["submit"] = answer

    operation = await gateway.submit(Kind.STOP)

    assert operation.state is State.SUBMITTING
    assert "op-of-another" not in gateway.store.operations


@pytest.mark.attack
async def test_what_a_host_makes_up_is_shown_as_its_own_and_touches_nothing_else(
    gateway: Core,
) -> None:
    operation = await gateway.submit(Kind.STOP)
    invented = replace(operation, operation_id="made-up", host="h2", state=State.DONE)

    await gateway.events.on_outcome(invented)

    assert (await gateway.operations.get("made-up")).host == "h2"
    assert (await gateway.operations.get(operation.operation_id)).state is State.ACCEPTED
