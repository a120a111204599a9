"""What runs inside an instance: it stops in its own time, or never, whatever LXD waits for."""

from __future__ import annotations

import asyncio

from tests.lxd_double.events import Events
from tests.lxd_double.faults import Faults
from tests.lxd_double.instances import STOPPED, DoubledInstance


class Guests:
    """The guests that were asked to stop, and who waits for them."""

    def __init__(self, events: Events, faults: Faults) -> None:
        self._events = events
        self._faults = faults
        self._stopping: dict[DoubledInstance, asyncio.Task[None]] = {}
        self._waiting: dict[DoubledInstance, list[asyncio.Event]] = {}

    async def stopped(self, instance: DoubledInstance, timeout_s: float) -> bool:
        """Ask the guest to stop; return whether it did within the time, 0 or less: no limit."""
        gone = asyncio.Event()
        waiting = self._waiting.setdefault(instance, [])
        waiting.append(gone)
        self._ask(instance)
        try:
            await asyncio.wait_for(gone.wait(), timeout_s if timeout_s > 0 else None)
        except TimeoutError:
            return False
        finally:
            waiting.remove(gone)
        return True

    def power_off(self, instance: DoubledInstance) -> None:
        """Stop from inside; LXD tells it itself unless a request waits for it and will."""
        self.cut_off(instance)
        if not self._waiting.get(instance):
            self._events.lifecycle("shutdown", instance.name)

    def cut_off(self, instance: DoubledInstance) -> None:
        """End the run at once, for those too who wait for the guest."""
        task = self._stopping.pop(instance, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        instance.end_run()
        for gone in self._waiting.get(instance, []):
            gone.set()

    def _ask(self, instance: DoubledInstance) -> None:
        if instance.name not in self._faults.deaf and instance not in self._stopping:
            task = asyncio.get_running_loop().create_task(self._shut_down(instance))
            self._stopping[instance] = task

    async def _shut_down(self, instance: DoubledInstance) -> None:
        await asyncio.sleep(self._faults.duration_s.get("stop", 0))
        if instance.status != STOPPED:
            self.power_off(instance)
