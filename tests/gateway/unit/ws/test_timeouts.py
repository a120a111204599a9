from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from services.gateway.ws.timeouts import LEAST_BYTES_PER_S, SendTimeout, WriteTimeout

LIMIT_S = 20.0
ENOUGH = int(LEAST_BYTES_PER_S * LIMIT_S)


@dataclass
class FakeTransport:
    """Bytes that wait to be sent."""

    waiting: int = 100 * ENOUGH
    closing: bool = False

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.waiting


def given_up_after(transport: FakeTransport, taken_per_s: int, *, paused: bool) -> int | None:
    """Return the second in which the peer is given up; None: within three limits it is not."""
    timeout = WriteTimeout(LIMIT_S)
    for second in range(int(3 * LIMIT_S)):
        if timeout.expired(transport, second, paused=paused):  # type: ignore[arg-type]
            return second
        transport.waiting -= taken_per_s
    return None


@pytest.mark.attack
@pytest.mark.parametrize(("paused", "closing"), [(True, False), (False, True)])
@pytest.mark.parametrize("taken_per_s", [0, 1, LEAST_BYTES_PER_S // 2])
def test_a_peer_that_takes_next_to_nothing_is_given_up(
    taken_per_s: int, paused: bool, closing: bool
) -> None:
    transport = FakeTransport(closing=closing)

    assert given_up_after(transport, taken_per_s, paused=paused) == int(LIMIT_S) + 1


def test_a_slow_peer_may_take_as_long_as_it_takes() -> None:
    assert given_up_after(FakeTransport(), 2 * LEAST_BYTES_PER_S, paused=True) is None


def test_nothing_is_asked_of_a_peer_for_whom_nothing_waits() -> None:
    assert given_up_after(FakeTransport(), 0, paused=False) is None


def test_the_time_begins_anew_with_each_pause() -> None:
    timeout, transport = WriteTimeout(LIMIT_S), FakeTransport()

    asked = [
        timeout.expired(transport, second, paused=second % 15 != 0)  # type: ignore[arg-type]
        for second in range(100)
    ]

    assert not any(asked)


async def test_work_that_does_not_end_is_given_up() -> None:
    timeout = SendTimeout(0.01)

    with pytest.raises(TimeoutError):
        await timeout.bound(asyncio.Event().wait())


async def test_work_that_one_look_found_goes_on() -> None:
    timeout, done = SendTimeout(60), asyncio.Event()
    working = asyncio.create_task(timeout.bound(done.wait()))  # type: ignore[arg-type]
    await asyncio.sleep(0)

    timeout._expire_old()
    await asyncio.sleep(0.01)

    assert not working.done()
    done.set()
    await working


async def test_one_that_takes_too_long_harms_no_other() -> None:
    timeout = SendTimeout(0.01)
    waiting = asyncio.create_task(timeout.bound(asyncio.Event().wait()))
    while not waiting.done():
        await timeout.bound(asyncio.sleep(0))

    assert isinstance(waiting.exception(), TimeoutError)


async def test_work_that_is_cancelled_is_cancelled() -> None:
    working = asyncio.create_task(SendTimeout(10).bound(asyncio.Event().wait()))
    await asyncio.sleep(0)

    working.cancel()

    with pytest.raises(asyncio.CancelledError):
        await working
