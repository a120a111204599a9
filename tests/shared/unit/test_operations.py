from __future__ import annotations

import itertools

import msgspec
import pytest

from shared.contracts.operations import Kind, Operation, State, merge


def operation(state: State, sequence: int) -> Operation:
    return Operation(
        operation_id="op-1",
        host="h1",
        kind=Kind.START,
        instance="web",
        uuid="u-1",
        principal="admin",
        state=state,
        sequence=sequence,
    )


@pytest.mark.parametrize(
    ("known", "reported", "stands"),
    [
        ((State.SUBMITTING, 0), (State.ACCEPTED, 1), State.ACCEPTED),
        ((State.RUNNING, 2), (State.ACCEPTED, 1), State.RUNNING),
        ((State.RUNNING, 2), (State.RUNNING, 3), State.RUNNING),
        ((State.DONE, 3), (State.RUNNING, 4), State.DONE),
        ((State.UNKNOWN, 3), (State.DONE, 4), State.UNKNOWN),
        ((State.SUBMITTING, 0), (State.REJECTED, 0), State.REJECTED),
    ],
)
def test_of_two_copies_the_later_stands_and_a_final_one_stays(
    known: tuple[State, int], reported: tuple[State, int], stands: State
) -> None:
    assert merge(operation(*known), operation(*reported)).state is stands


def test_copies_in_any_order_end_in_the_same_state() -> None:
    copies = [
        operation(State.ACCEPTED, 1),
        operation(State.RUNNING, 2),
        operation(State.DONE, 3),
    ]

    for order in itertools.permutations(copies):
        held = order[0]
        for copy in order[1:]:
            held = merge(held, copy)
        assert held.state is State.DONE


def test_only_final_states_are_final() -> None:
    running = operation(State.RUNNING, 1)

    assert not running.final
    assert msgspec.structs.replace(running, state=State.UNKNOWN).final
