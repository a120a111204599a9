"""Listens to LXD's lifecycle events."""

from __future__ import annotations

from collections.abc import Callable

from pylxd import EventType
from ws4py.exc import WebSocketException

from services.lxd_worker.instances.lifecycle_events import LifecycleEvent
from services.lxd_worker.lxd.api import Api
from services.lxd_worker.omissions import Omission, Omit
from shared.contracts.errors import LxdUnavailable
from shared.platform.lxd_events import all_projects, reader
from shared.platform.lxd_scope import LxdScope


class LxdEvents:
    """LXD's lifecycle events about what belongs to this host."""

    def __init__(self, api: Api, host: str, scope: LxdScope, omit: Omit) -> None:
        self._omit = omit
        self._scope = scope
        self._api = api
        self._host = host

    def listen(
        self,
        opened: Callable[[], None],
        on_event: Callable[[LifecycleEvent], None],
        missed: Callable[[], None],
    ) -> None:
        """Call `opened` once LXD sends events, and `on_event` for each, until LXD goes away.

        `missed` is called for an event that cannot be read: anything may have changed. Raises
        LxdUnavailable if LXD sends none; returns when the connection ends. None of the functions
        may block.
        """

        def on_own_event(event: LifecycleEvent) -> None:
            if self._scope.covers(event.project, event.location):
                on_event(event)

        def unreadable(reason: str) -> None:
            self._omit(Omission.EVENT, "lifecycle", reason)
            missed()

        with self._api.client() as client:
            events = client.events(
                reader(LifecycleEvent, on_own_event, unreadable), {EventType.Lifecycle}
            )
            socket = all_projects(events)
            try:
                socket.connect()
            except WebSocketException as exc:
                raise LxdUnavailable(self._host) from exc
            opened()
            socket.run()
