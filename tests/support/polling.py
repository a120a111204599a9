"""Waiting for a condition, never for a time: it is asked for again until it holds, or too late."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class NotInTime(AssertionError):
    """What a test waited for did not come."""


def wait_until(
    reached: Callable[[], T | None],
    *,
    within_s: float = 5.0,
    every_s: float = 0.05,
    ignoring: type[Exception] | tuple[type[Exception], ...] = (),
    seen: Callable[[], object] | None = None,
) -> T:
    """Return the answer as soon as it is true; fail with the last one if none is in time.

    An error that is to be ignored is an answer that is not true. `seen` tells more at a failure.
    """
    end = time.monotonic() + within_s
    while True:
        last: object
        try:
            last = answer = reached()
            if answer:
                return answer
        except ignoring as exc:
            last = exc
        if time.monotonic() > end:
            raise NotInTime(_too_late(reached, within_s, last, seen))
        time.sleep(every_s)


async def eventually(
    reached: Callable[[], object],
    *,
    within_s: float = 5.0,
    every_s: float = 0.01,
    seen: Callable[[], object] | None = None,
) -> None:
    """Return as soon as the answer, awaited if need be, is true; else fail with the last one."""
    last: object = "nothing"
    try:
        async with asyncio.timeout(within_s):
            while True:
                answer = reached()
                last = await answer if inspect.isawaitable(answer) else answer
                if last:
                    return
                await asyncio.sleep(every_s)
    except TimeoutError:
        raise NotInTime(_too_late(reached, within_s, last, seen)) from None


def _too_late(
    reached: Callable[[], object],
    within_s: float,
    last: object,
    seen: Callable[[], object] | None,
) -> str:
    more = f"\n{seen()}" if seen else ""
    return f"{reached} was not true within {within_s} s; the last answer was {last!r}{more}"
