"""The requests that change an instance, its name and its snapshots."""

from __future__ import annotations

from urllib.parse import quote

from services.lxd_worker.instances.connection_note import password_patch
from services.lxd_worker.instances.description import EditableInstance, abridge, to_instance, to_utc
from services.lxd_worker.instances.update_request import DesiredConfig, update_body
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.transitions.step_verdict import new_snapshot
from services.lxd_worker.transitions.steps import Step
from shared.contracts.errors import (
    InstanceChangedSince,
    InstanceNotFound,
    LxdRefused,
    SnapshotNotFound,
)
from shared.contracts.instance_config import Changes
from shared.contracts.instance_etag import etag
from shared.contracts.operations import Kind
from shared.lxd.client import LxdClient
from shared.lxd.errors import LxdNotFound, PreconditionFailed
from shared.lxd.models import LxdTask, SnapshotDescription

# LXD itself changes an instance's `volatile` settings, for example when a guest restarts.
_TRIES = 5
# Characters that make another name of one when it is unescaped again.
ESCAPES = frozenset("%+")


class ConfigRequests:
    """The requests to one daemon; `host_memory` as in `LxdDaemon`."""

    def __init__(self, client: LxdClient, host_memory: int) -> None:
        self._client = client
        self._host_memory = host_memory
        self._requests = {
            Step.UPDATE: self._update,
            Step.DESCRIBE: self._describe,
            Step.RENAME: self._rename,
            Step.SNAPSHOT: self._snapshot,
            Step.RESTORE: self._restore,
            Step.DELETE_SNAPSHOT: self._delete_snapshot,
        }

    def __contains__(self, step: Step) -> bool:
        return step in self._requests

    def request(self, step: Step, entry: JournalEntry) -> str:
        """Hand a step over and return LXD's id of it.

        Raises LxdNotFound if there is no such instance, InstanceChangedSince, SnapshotNotFound and
        what a request raises.
        """
        return self._requests[step](entry).id

    def note_password(self, project: str, name: str, password: str) -> None:
        """Write root's password wherever an older one is noted; see `Lxd.note_password`."""
        path, params = ("instances", name), {"project": project}
        for _ in range(_TRIES):
            try:
                found, version = self._client.get_to_replace(EditableInstance, *path, params=params)
                noted = password_patch(found, password)
                if noted is not None:
                    self._client.patch(*path, params=params, body=noted, etag=version)
            except PreconditionFailed:
                continue
            except LxdNotFound:
                raise InstanceNotFound(name) from None
            return
        raise LxdRefused("the instance keeps changing")

    def _update(self, entry: JournalEntry) -> LxdTask:
        changes = entry.operation.arguments.changes or Changes()
        proxies = entry.plan.devices if entry.plan else {}
        return self._write(entry, DesiredConfig(changes=changes, proxies=proxies))

    def _describe(self, entry: JournalEntry) -> LxdTask:
        if entry.operation.kind is Kind.RENAME or entry.first is None:
            called = entry.operation.arguments.display_name
            old = entry.first.name if entry.first else ""
            return self._write(entry, DesiredConfig(display_name=called, old_name=old))
        was = entry.first.config
        kept = Changes(description=was.description)
        return self._write(entry, DesiredConfig(changes=kept, display_name=was.display_name))

    def _write(self, entry: JournalEntry, desired: DesiredConfig) -> LxdTask:
        def change(found: EditableInstance) -> dict[str, object]:
            self._check(entry, found)
            return update_body(found, desired)

        path, params = _path(entry), _of(entry)
        return self._client.edit(EditableInstance, LxdTask, *path, params=params, change=change)

    def _check(self, entry: JournalEntry, found: EditableInstance) -> None:
        wanted = entry.operation
        if wanted.kind is not Kind.UPDATE or not wanted.arguments.etag:
            return
        whole, _ = to_instance(found, revision=0, host_memory=self._host_memory)
        # The caller has seen what was reported to the fleet.
        now, _ = abridge(whole)
        if wanted.arguments.etag != etag(now):
            raise InstanceChangedSince(wanted.instance)

    def _rename(self, entry: JournalEntry) -> LxdTask:
        body = {"name": entry.operation.arguments.new_name}
        return self._client.post(LxdTask, *_path(entry), params=_of(entry), body=body)

    def _snapshot(self, entry: JournalEntry) -> LxdTask:
        arguments = entry.operation.arguments
        # What is taken before a restore holds no memory, whatever the other one does.
        stateful = arguments.stateful and not arguments.safety_snapshot
        body = {"name": new_snapshot(arguments), "stateful": stateful}
        return self._client.post(LxdTask, *_path(entry), "snapshots", params=_of(entry), body=body)

    def _restore(self, entry: JournalEntry) -> LxdTask:
        arguments = entry.operation.arguments
        body = {"restore": arguments.snapshot, "stateful": arguments.stateful}
        return self._client.put(LxdTask, *_path(entry), params=_of(entry), body=body)

    def _delete_snapshot(self, entry: JournalEntry) -> LxdTask:
        operation, path, params = entry.operation, self._path_of_snapshot(entry), _of(entry)
        created_at = operation.arguments.snapshot_created_at
        try:
            if created_at and self._created_at(*path, params=params) != created_at:
                raise SnapshotNotFound(operation.instance, operation.arguments.snapshot)
            return self._client.delete(LxdTask, *path, params=params)
        except LxdNotFound:
            raise SnapshotNotFound(operation.instance, operation.arguments.snapshot) from None

    def _created_at(self, *path: str, params: dict[str, object]) -> str:
        return to_utc(self._client.get(SnapshotDescription, *path, params=params).created_at)

    def _path_of_snapshot(self, entry: JournalEntry) -> tuple[str, ...]:
        """Return the path of this snapshot, and of no other one; raises LxdRefused.

        LXD 5.0 unescapes a snapshot's name in a path twice: `x%31` becomes `x1`. The name that LXD
        answers with shows whether this one does.
        """
        name, folder = entry.operation.arguments.snapshot, (*_path(entry), "snapshots")
        if not ESCAPES & set(name):
            return (*folder, name)
        for part in (quote(name, safe=""), name):
            if self._name_at(*folder, part, params=_of(entry)) == name:
                return (*folder, part)
        raise LxdRefused(f"no path leads to the snapshot {name!r}")

    def _name_at(self, *path: str, params: dict[str, object]) -> str:
        """Return the name of the snapshot at a path; empty if there is none."""
        try:
            found = self._client.get(SnapshotDescription, *path, params=params)
        except (LxdNotFound, LxdRefused):
            return ""
        return found.name.rpartition("/")[2]


def _path(entry: JournalEntry) -> tuple[str, str]:
    return "instances", entry.operation.instance


def _of(entry: JournalEntry) -> dict[str, object]:
    return {"project": entry.operation.project}
