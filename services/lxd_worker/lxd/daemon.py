"""The worker's LXD port on a real LXD or Incus."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from services.lxd_worker.instances.description import (
    InstanceDescription,
)
from services.lxd_worker.instances.parked_roots import (
    TRASH,
    ParkedRoot,
    aside_of,
)
from services.lxd_worker.instances.update_request import EditableInstance
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.lxd.config_requests import ConfigRequests
from services.lxd_worker.lxd.instance_reader import InstanceReader
from services.lxd_worker.lxd.passwords import GuestPasswords
from services.lxd_worker.lxd.progress import progress_of
from services.lxd_worker.lxd.root_swaps import RootSwapRequests
from services.lxd_worker.ports import (
    LxdOperation,
    Omit,
)
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import InstanceNotFound, LxdRefused
from shared.lxd.client import LxdClient
from shared.lxd.errors import LxdNotFound, PreconditionFailed
from shared.lxd.models import LxdTask
from shared.lxd.scope import LxdScope

# The state that each step asks for; `delete` is a request of its own.
_STATES: dict[Step, dict[str, object]] = {
    Step.START: {"action": "start"},
    Step.STOP: {"action": "stop"},
    Step.FORCE_STOP: {"action": "stop", "force": True},
    Step.RESTART: {"action": "restart"},
    Step.FORCE_RESTART: {"action": "restart", "force": True},
    Step.FREEZE: {"action": "freeze"},
    Step.UNFREEZE: {"action": "unfreeze"},
}
_ASKS_GUEST = (Step.STOP, Step.RESTART)


class LxdDaemon(InstanceReader):
    """One daemon: see `InstanceReader` for what it tells of its instances."""

    def __init__(self, client: LxdClient, host_memory: int, scope: LxdScope, omit: Omit) -> None:
        super().__init__(client, host_memory, scope, omit)
        self._config_requests = ConfigRequests(client, host_memory)
        self._passwords = GuestPasswords(client)
        self._root_swaps = RootSwapRequests(client, lambda: scope.member)

    def discard(self, aside: ParkedRoot) -> None:
        """See `Lxd.discard`."""
        params = {"project": aside.project}
        try:
            found = self._client.get(InstanceDescription, "instances", aside.name, params=params)
            if aside_of(found.project, found.name, found.expanded_config) == aside:
                self._client.delete(LxdTask, "instances", aside.name, params=params)
        except LxdNotFound:
            return

    def forget_trash(self, project: str, name: str) -> None:
        """See `Lxd.forget_trash`."""
        path, params = ("instances", name), {"project": project}
        try:
            found, version = self._client.get_to_replace(EditableInstance, *path, params=params)
            # LXD 5.0 takes away a description that a PATCH does not name.
            body = {"config": {TRASH: ""}, "description": found.description}
            self._client.patch(*path, params=params, body=body, etag=version)
        except (LxdNotFound, PreconditionFailed):
            return

    def ask(self, step: Step, entry: JournalEntry) -> str:
        """See `Lxd.ask`."""
        name, params = entry.operation.instance, {"project": entry.operation.project}
        try:
            if step in self._config_requests:
                return self._config_requests.ask(step, entry)
            if step in self._root_swaps:
                return self._root_swaps.ask(step, entry)
            if step is Step.DELETE:
                return self._client.delete(LxdTask, "instances", name, params=params).id
            body = _STATES[step] | _patience(step, entry.operation.arguments.stop_timeout_s)
            return self._client.put(
                LxdTask, "instances", name, "state", params=params, body=body
            ).id
        except LxdNotFound:
            raise InstanceNotFound(name) from None

    def create(self, project: str, request: Mapping[str, object]) -> str:
        """See `Lxd.create`."""
        member = {"target": self._scope.member} if self._scope.member else {}
        params = {"project": project} | member
        return self._client.post(LxdTask, "instances", params=params, body=request).id

    def set_password(self, project: str, name: str, password: str) -> None:
        """See `Lxd.set_password`."""
        self._passwords.set(project, name, password)

    def note_password(self, project: str, name: str, password: str) -> None:
        """See `Lxd.note_password`."""
        self._config_requests.note_password(project, name, password)

    def wait(self, lxd_operation: str, timeout_s: float) -> LxdOperation | None:
        """See `Lxd.wait`."""
        with self._only_reading():
            try:
                task = self._client.wait(LxdTask, lxd_operation, math.ceil(timeout_s))
                return progress_of(task)
            except LxdNotFound:
                return None

    def cancel(self, lxd_operation: str) -> bool:
        """See `Lxd.cancel`."""
        try:
            self._client.delete(Any, "operations", lxd_operation)
        except (LxdNotFound, LxdRefused):
            return False
        return True

    def under_way(self, project: str, name: str) -> list[str]:
        """See `Lxd.under_way`; what is seen after it is seen of the LXD that runs now."""
        self.server()
        with self._only_reading():
            params = {"project": project, "recursion": 1}
            tasks = self._client.get(dict[str, list[LxdTask]], "operations", params=params)
        return [
            task.id
            for group in tasks.values()
            for task in group
            if task.concerns(name) and task.running
        ]


def _patience(step: Step, timeout_s: float) -> dict[str, object]:
    # LXD takes 0 for "by force", and whole seconds only.
    return {"timeout": max(1, math.ceil(timeout_s))} if step in _ASKS_GUEST else {}
