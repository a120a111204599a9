from __future__ import annotations

import asyncio
import time

from services.gateway.ws.debouncer import PAUSE_S, REST_FACTOR, Debouncer


async def test_after_a_rest_the_job_is_done_at_once() -> None:
    runs: list[float] = []
    pump = Debouncer(lambda: runs.append(time.monotonic()))

    asked = time.monotonic()
    pump.trigger()
    await asyncio.sleep(0.001)

    assert len(runs) == 1
    assert runs[0] - asked < PAUSE_S


async def test_what_comes_while_it_rests_is_done_in_one() -> None:
    runs: list[float] = []
    pump = Debouncer(lambda: runs.append(time.monotonic()))
    pump.trigger()
    await asyncio.sleep(0.001)

    for _ in range(100):
        pump.trigger()
    await asyncio.sleep(10 * PAUSE_S)

    assert len(runs) == 2
    assert runs[1] - runs[0] >= 0.9 * PAUSE_S


async def test_a_long_job_leaves_most_of_the_time_to_others() -> None:
    begun: list[float] = []

    def long_job() -> None:
        begun.append(time.monotonic())
        time.sleep(0.02)

    pump = Debouncer(long_job)
    for _ in range(40):
        pump.trigger()
        await asyncio.sleep(0.01)
    pump.stop()

    assert begun[1] - begun[0] >= 0.02 * (1 + REST_FACTOR) * 0.95


async def test_a_job_that_failed_is_done_when_asked_again() -> None:
    runs: list[int] = []

    def fails_once() -> None:
        runs.append(1)
        if len(runs) == 1:
            raise RuntimeError("broken")

    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: failures.append(what))
    pump = Debouncer(fails_once)

    pump.trigger()
    await asyncio.sleep(0.001)
    pump.trigger()
    await asyncio.sleep(10 * PAUSE_S)

    assert (len(runs), len(failures)) == (2, 1)


async def test_a_stopped_pump_does_nothing() -> None:
    runs: list[int] = []
    pump = Debouncer(lambda: runs.append(1))

    pump.trigger()
    pump.stop()
    await asyncio.sleep(2 * PAUSE_S)

    assert runs == []
