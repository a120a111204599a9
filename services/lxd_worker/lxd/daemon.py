"""Implements `ports.Lxd` on a real LXD or Incus: hands over requests and follows them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from services.lxd_worker.instance_queries import readable_log
from services.lxd_worker.instances.description import EditableInstance, InstanceDescription
from services.lxd_worker.instances.parked_roots import TRASH, ParkedRoot, parked_root
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.lxd.config_requests import ConfigRequests
from services.lxd_worker.lxd.guest_commands import GuestCommands
from services.lxd_worker.lxd.passwords import GuestPasswords
from services.lxd_worker.lxd.progress import progress_of
from services.lxd_worker.lxd.reader import LxdReader, refusal_is_unavailability
from services.lxd_worker.lxd.root_swaps import RootSwapRequests
from services.lxd_worker.omissions import Omit
from services.lxd_worker.protocols import LxdOperation
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import InstanceNotFound, LxdRefused
from shared.contracts.instance_config import GuestCommand
from shared.contracts.worker_api import MOST_LOG
from shared.lxd.client import LxdClient
from shared.lxd.errors import LxdNotFound, PreconditionFailed
from shared.lxd.models import LxdTask, Named
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
# Of a container, and of a virtual machine.
_LOGS = ("lxc.log", "qemu.log")
# More than is reported, to see whether there is more; a character has at most four bytes.
_LOG_BYTES = 4 * MOST_LOG + 4


class LxdDaemon(LxdReader):
    """One daemon, see `ports.Lxd`."""

    def __init__(self, client: LxdClient, host_memory: int, scope: LxdScope, omit: Omit) -> None:
        super().__init__(client, host_memory, scope, omit)
        self._config_requests = ConfigRequests(client, host_memory)
        self._passwords = GuestPasswords(client)
        self._commands = GuestCommands(client)
        self._root_swaps = RootSwapRequests(client, lambda: scope.member)

    def request(self, step: Step, entry: JournalEntry) -> str:
        """See `Lxd.request`."""
        name, params = entry.operation.instance, {"project": entry.operation.project}
        try:
            if step in self._config_requests:
                return self._config_requests.request(step, entry)
            if step in self._root_swaps:
                return self._root_swaps.request(step, entry)
            if step is Step.DELETE:
                return self._client.delete(LxdTask, "instances", name, params=params).id
            body = _STATES[step] | _timeout(step, entry.operation.arguments.stop_timeout_s)
            return self._client.put(
                LxdTask, "instances", name, "state", params=params, body=body
            ).id
        except LxdNotFound:
            raise InstanceNotFound(name) from None

    def create(self, project: str, body: Mapping[str, object]) -> str:
        """See `Lxd.create`."""
        member = {"target": self._scope.member} if self._scope.member else {}
        params = {"project": project} | member
        return self._client.post(LxdTask, "instances", params=params, body=body).id

    def set_password(self, project: str, name: str, password: str) -> None:
        """See `Lxd.set_password`."""
        self._passwords.set(project, name, password)

    def note_password(self, project: str, name: str, password: str) -> None:
        """See `Lxd.note_password`."""
        self._config_requests.note_password(project, name, password)

    def run_command(self, project: str, name: str, command: GuestCommand) -> None:
        """See `Lxd.run_command`."""
        self._commands.run(project, name, command)

    def delete_parked(self, root: ParkedRoot) -> None:
        """See `Lxd.delete_parked`."""
        path, params = ("instances", root.name), {"project": root.project}
        try:
            found = self._client.get(InstanceDescription, *path, params=params)
            if parked_root(found.project, found.name, found.expanded_config) == root:
                self._client.delete(LxdTask, *path, params=params)
        except LxdNotFound:
            return

    def forget_trash(self, project: str, name: str) -> None:
        """See `Lxd.forget_trash`."""
        path, params = ("instances", name), {"project": project}
        try:
            found, version = self._client.get_to_replace(EditableInstance, *path, params=params)
            # LXD 5.0 removes a description that a PATCH does not name.
            body = {"config": {TRASH: ""}, "description": found.description}
            self._client.patch(*path, params=params, body=body, etag=version)
        except (LxdNotFound, PreconditionFailed):
            return

    def start_log(self, project: str, name: str) -> str | None:
        """See `Lxd.start_log`."""
        path, params = ("instances", name, "logs"), {"project": project}
        with refusal_is_unavailability(self._client.host):
            try:
                # LXD answers a request for a log that does not exist with an internal error.
                listed = self._client.get(list[str], *path, params=params)
            except LxdNotFound:
                return None
            files = {each.rpartition("/")[2].partition("?")[0] for each in listed}
            for file in files.intersection(_LOGS):
                raw = self._client.get_end(*path, file, params=params, most_bytes=_LOG_BYTES)
                return readable_log(raw)
        return None

    def wait(self, lxd_operation: str, timeout_s: float) -> LxdOperation | None:
        """See `Lxd.wait`."""
        with refusal_is_unavailability(self._client.host):
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

    def running_operations(self, project: str, name: str) -> list[str]:
        """See `Lxd.running_operations`; later observations are of the LXD that runs now."""
        return [task.id for task in self._running(project) if task.concerns(name)]

    def is_in_use(self, project: str, name: str) -> bool:
        """See `Lxd.is_in_use`; a copy is work of the project into which it goes."""
        with refusal_is_unavailability(self._client.host):
            # LXD 5.0 lists the work of one project only, and escapes projects twice in addresses.
            listed = self._client.get(list[Named], "projects", params={"recursion": 1})
        projects = dict.fromkeys([project, *(one.name for one in listed)])
        return any(task.uses(project, name) for one in projects for task in self._running(one))

    def _running(self, project: str) -> list[LxdTask]:
        self.server()
        with refusal_is_unavailability(self._client.host):
            params = {"project": project, "recursion": 1}
            try:
                tasks = self._client.get(dict[str, list[LxdTask]], "operations", params=params)
            except LxdNotFound:
                return []
        return [task for group in tasks.values() for task in group if task.running]


def _timeout(step: Step, timeout_s: float) -> dict[str, object]:
    # LXD takes 0 for "by force", and accepts whole seconds only.
    return {"timeout": max(1, math.ceil(timeout_s))} if step in _ASKS_GUEST else {}
