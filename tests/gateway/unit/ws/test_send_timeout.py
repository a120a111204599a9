from __future__ import annotations

import asyncio

import pytest

from services.gateway.ws.send_timeout import SendTimeout


async def test_work_that_does_not_end_is_given_up() -> None:
    patience = SendTimeout(0.01)

    with pytest.raises(TimeoutError):
        await patience.bound(asyncio.Event().wait())


async def test_work_that_one_look_found_goes_on() -> None:
    patience, done = SendTimeout(60), asyncio.Event()
    working = asyncio.create_task(patience.bound(done.wait()))  # type: ignore[arg-type]
    await asyncio.sleep(0)

    patience._look()
    await asyncio.sleep(0.01)

    assert not working.done()
    done.set()
    await working


async def test_one_that_takes_too_long_harms_no_other() -> None:
    patience = SendTimeout(0.01)
    waiting = asyncio.create_task(patience.bound(asyncio.Event().wait()))
    while not waiting.done():
        await patience.bound(asyncio.sleep(0))

    assert isinstance(waiting.exception(), TimeoutError)


async def test_work_that_is_cancelled_is_cancelled() -> None:
    working = asyncio.create_task(SendTimeout(10).bound(asyncio.Event().wait()))
    await asyncio.sleep(0)

    working.cancel()

    with pytest.raises(asyncio.CancelledError):
        await working
