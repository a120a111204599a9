import asyncio

import pytest

from services.gateway.service import every
from shared.contracts.errors import DatabaseUnavailable


@pytest.mark.parametrize(
    "failure", [DatabaseUnavailable(), ZeroDivisionError("bug"), asyncio.CancelledError()]
)
async def test_a_loop_outlives_whatever_its_work_raises(failure: BaseException) -> None:
    runs: list[int] = []

    async def work() -> None:
        runs.append(len(runs))
        raise failure

    loop = asyncio.create_task(every(0.001, work))
    await asyncio.sleep(0.05)
    alive = not loop.done()
    loop.cancel()

    assert alive
    assert len(runs) > 2


async def test_a_loop_ends_when_it_is_cancelled() -> None:
    async def work() -> None:
        await asyncio.sleep(60)

    loop = asyncio.create_task(every(0.001, work))
    await asyncio.sleep(0.01)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)

    assert loop.cancelled()
