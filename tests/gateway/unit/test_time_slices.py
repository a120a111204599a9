from __future__ import annotations

import asyncio
from collections.abc import Iterator

from services.gateway.time_slices import PASSES, SLICE_S, in_slices

OTHERS = ["other"] * PASSES


async def turns_of(step_s: float, steps: int) -> list[object]:
    """Return the steps of a work in their order, and `other` where somebody else had a turn."""
    now = 0.0
    order: list[object] = []

    def work() -> Iterator[int]:
        nonlocal now
        for step in range(steps):
            now += step_s
            yield step

    async def other() -> None:
        while True:
            order.append("other")
            await asyncio.sleep(0)

    others = asyncio.create_task(other())
    async for step in in_slices(work(), lambda: now):
        order += [step]
    others.cancel()
    return order


async def test_others_have_a_turn_after_each_slice_and_not_after_each_step() -> None:
    assert await turns_of(SLICE_S / 2, 5) == [0, 1, *OTHERS, 2, 3, *OTHERS, 4]


async def test_a_long_step_is_a_slice_of_its_own() -> None:
    assert await turns_of(3 * SLICE_S, 2) == [0, *OTHERS, 1, *OTHERS]


async def test_short_work_is_done_in_one_turn() -> None:
    assert await turns_of(SLICE_S / 100, 50) == list(range(50))
