"""LXD's event stream: what happens is sent to whoever listens then, and to nobody later."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

Event = dict[str, object]

LOCAL_ROOT = {"username": "root", "protocol": "unix", "address": "@"}


def now_text() -> str:
    """Return the time as LXD writes it, to the nanosecond."""
    nanoseconds = time.time_ns()
    at = datetime.fromtimestamp(nanoseconds // 10**9, UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{nanoseconds % 10**9:09d}Z"


@dataclass(frozen=True, slots=True)
class Wish:
    """Types of events, of one project; None: of all."""

    types: frozenset[str]
    project: str | None


Listeners = dict[asyncio.Queue[Event], Wish]


class Events:
    """What happens in one project, and the listeners of all, with what they asked for.

    `located` tells on which member of a cluster an instance is.
    """

    def __init__(self, project: str, located: Callable[[str], str], listeners: Listeners) -> None:
        self._project = project
        self._located = located
        self._listeners = listeners

    def listen(self, types: frozenset[str], *, everywhere: bool = False) -> asyncio.Queue[Event]:
        """Return a queue that gets all events of these types from now on, of all projects too."""
        queue: asyncio.Queue[Event] = asyncio.Queue()
        self._listeners[queue] = Wish(types, None if everywhere else self._project)
        return queue

    def leave(self, queue: asyncio.Queue[Event]) -> None:
        """Send no more events to this queue."""
        self._listeners.pop(queue, None)

    def lifecycle(
        self,
        action: str,
        name: str,
        *,
        by_request: bool = False,
        context: dict[str, object] | None = None,
    ) -> None:
        """Tell that something happened to an instance, and whether a state request caused it."""
        suffix = "" if self._project == "default" else f"?project={self._project}"
        source = f"/1.0/instances/{name}{suffix}"
        happened: Event = {"action": f"instance-{action}", "source": source}
        if context:
            happened["context"] = context
        if by_request:
            happened["requestor"] = LOCAL_ROOT
        self.emit("lifecycle", happened, self._located(name.partition("/")[0]))

    def emit(self, kind: str, metadata: Event, location: str = "none") -> None:
        """Send an event to whoever listens for its kind."""
        event: Event = {
            "type": kind,
            "timestamp": now_text(),
            "metadata": metadata,
            "location": location,
            "project": self._project,
        }
        for queue, wish in self._listeners.items():
            if kind in wish.types and wish.project in (None, self._project):
                queue.put_nowait(event)
