"""The gateway's life cycle: what it loads before it serves, and its background loops.

It starts without the broker; reads then return what the database has, and it connects once the
broker is available.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress

from services.gateway.clock import Clock
from services.gateway.settings import Settings
from services.gateway.wiring import Parts
from shared.contracts.errors import FleetError
from shared.platform.run.backoff import bug_backoff

log = logging.getLogger(__name__)

TICK_S = 0.5
SAVE_S = 3.0
RESOLVE_S = 1.0
RESERVE_S = 1.0
CATCH_UP_S = 300.0
PURGE_S = 600.0


@asynccontextmanager
async def running(parts: Parts, settings: Settings, clock: Clock) -> AsyncIterator[None]:
    """Run the gateway's parts; save unsaved hosts at the end.

    Raises DatabaseUnavailable if the database cannot be opened.
    """
    await parts.database.migrate()
    await parts.store.end_leases()
    await parts.store.load_creations()
    await parts.hosts.load()
    await parts.pending.load(parts.operations)
    await parts.reservations.refresh()
    loops = [asyncio.create_task(loop) for loop in _loops(parts, settings, clock)]
    try:
        yield
    finally:
        await _end(loops)
        await parts.events.close()
        with suppress(FleetError):
            await parts.hosts.save()
        await parts.database.close()


def _loops(parts: Parts, settings: Settings, clock: Clock) -> list[Coroutine[None, None, None]]:
    async def tick() -> None:
        parts.fleet.tick()

    async def catch_up() -> None:
        parts.events.sync_all()

    async def purge() -> None:
        now = clock.wall()
        await parts.store.purge(
            keys_before=now - settings.keep_keys_s,
            operations_before=now - settings.keep_operations_s,
        )

    return [
        every(TICK_S, tick),
        every(SAVE_S, parts.hosts.save),
        every(RESOLVE_S, parts.reconciler.resolve),
        every(RESERVE_S, parts.reservations.refresh),
        every(CATCH_UP_S, catch_up),
        every(PURGE_S, purge),
        every(TICK_S, parts.bus.run_calls),
        every(TICK_S, parts.bus.run_consumers),
    ]


async def every(pause_s: float, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work and pause, again and again, whatever happens, until cancelled.

    The pauses grow to 30 s while it fails unexpectedly.
    """
    backoff = bug_backoff(pause_s)
    while True:
        wait_s = pause_s
        try:
            await work()
        except FleetError as exc:
            log.warning("work postponed", extra={"reason": str(exc)})
        except asyncio.CancelledError:
            if _is_being_cancelled():
                raise
            # A library has passed on a cancellation of its own.
            log.exception("unexpected failure")
            wait_s = max(pause_s, backoff.next_s())
        except Exception:
            log.exception("unexpected failure")
            wait_s = max(pause_s, backoff.next_s())
        else:
            backoff.reset()
        await asyncio.sleep(wait_s)


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _end(loops: list[asyncio.Task[None]]) -> None:
    for loop in loops:
        loop.cancel()
    await asyncio.gather(*loops, return_exceptions=True)
