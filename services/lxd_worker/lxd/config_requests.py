"""What LXD is asked for to change an instance, its name and its snapshots."""

from __future__ import annotations

from urllib.parse import quote

from services.lxd_worker.instances.description import abridged, instance_of
from services.lxd_worker.instances.update_request import (
    DesiredConfig,
    EditableInstance,
    with_password,
    written,
)
from services.lxd_worker.journal.entry import JournalEntry
from services.lxd_worker.transitions.steps import Step
from shared.contracts.changes import Changes
from shared.contracts.errors import (
    InstanceChangedSince,
    InstanceNotFound,
    LxdRefused,
    SnapshotNotFound,
)
from shared.contracts.instances import etag as instance_etag
from shared.contracts.operations import Kind
from shared.lxd.client import LxdClient
from shared.lxd.errors import LxdNotFound
from shared.lxd.models import LxdTask, SnapshotDescription

# What is another name once it is unescaped again.
ESCAPES = frozenset("%+")


class ConfigRequests:
    """The requests of one daemon; `host_memory` as in `LxdDaemon`."""

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

    def ask(self, step: Step, entry: JournalEntry) -> str:
        """Hand a step over and return LXD's id of it.

        Raises LxdNotFound where there is no such instance, InstanceChangedSince, SnapshotNotFound
        and what a request raises.
        """
        return self._requests[step](entry).id

    def note_password(self, project: str, name: str, password: str) -> None:
        """Write root's password down where an older one stands; see `Lxd.note_password`."""
        path, params = ("instances", name), {"project": project}

        def write(found: EditableInstance, etag: str) -> None:
            noted = with_password(found, password)
            if noted is not None:
                self._client.patch(*path, params=params, body=noted, etag=etag)

        try:
            self._client.update(EditableInstance, *path, params=params, write=write)
        except LxdNotFound:
            raise InstanceNotFound(name) from None

    def _update(self, entry: JournalEntry) -> LxdTask:
        changes = entry.operation.arguments.changes or Changes()
        proxies = entry.plan.devices if entry.plan else {}
        return self._write(entry, DesiredConfig(changes=changes, proxies=proxies))

    def _describe(self, entry: JournalEntry) -> LxdTask:
        if entry.operation.kind is Kind.RENAME or entry.first is None:
            called = entry.operation.arguments.display_name
            old = entry.first.name if entry.first else ""
            return self._write(entry, DesiredConfig(display_name=called, old_name=old))
        was = entry.first.shape
        kept = Changes(description=was.description)
        return self._write(entry, DesiredConfig(changes=kept, display_name=was.display_name))

    def _write(self, entry: JournalEntry, wanted: DesiredConfig) -> LxdTask:
        def write(found: EditableInstance, etag: str) -> LxdTask:
            self._check(entry, found)
            return self._put(entry, written(found, wanted), etag)

        return self._client.update(EditableInstance, *_path(entry), params=_of(entry), write=write)

    def _check(self, entry: JournalEntry, found: EditableInstance) -> None:
        wanted = entry.operation
        if wanted.kind is not Kind.UPDATE or not wanted.arguments.etag:
            return
        whole, _ = instance_of(found, revision=0, host_memory=self._host_memory)
        # The caller has seen what the fleet is told.
        now, _ = abridged(whole)
        if wanted.arguments.etag != instance_etag(now):
            raise InstanceChangedSince(wanted.instance)

    def _rename(self, entry: JournalEntry) -> LxdTask:
        body = {"name": entry.operation.arguments.new_name}
        return self._client.post(LxdTask, *_path(entry), params=_of(entry), body=body)

    def _snapshot(self, entry: JournalEntry) -> LxdTask:
        arguments = entry.operation.arguments
        body = {"name": arguments.snapshot, "stateful": arguments.stateful}
        return self._client.post(LxdTask, *_path(entry), "snapshots", params=_of(entry), body=body)

    def _restore(self, entry: JournalEntry) -> LxdTask:
        arguments = entry.operation.arguments
        return self._put(entry, {"restore": arguments.snapshot, "stateful": arguments.stateful})

    def _delete_snapshot(self, entry: JournalEntry) -> LxdTask:
        operation = entry.operation
        try:
            return self._client.delete(LxdTask, *self._path_of_snapshot(entry), params=_of(entry))
        except LxdNotFound:
            raise SnapshotNotFound(operation.instance, operation.arguments.snapshot) from None

    def _path_of_snapshot(self, entry: JournalEntry) -> tuple[str, ...]:
        """Return the path at which LXD has the snapshot, and no other one.

        LXD 5.0 unescapes a snapshot's name in a path twice: of `x%31` that makes `x1`. Whether this
        LXD does, is known by which name it answers with. Raises LxdRefused.
        """
        name, folder = entry.operation.arguments.snapshot, (*_path(entry), "snapshots")
        if not ESCAPES & set(name):
            return (*folder, name)
        for part in (quote(name, safe=""), name):
            if self._name_at(*folder, part, params=_of(entry)) == name:
                return (*folder, part)
        raise LxdRefused(f"no address leads to the snapshot {name!r}")

    def _name_at(self, *path: str, params: dict[str, object]) -> str:
        """Return the name of the snapshot at a path; empty where there is none."""
        try:
            found = self._client.get(SnapshotDescription, *path, params=params)
        except (LxdNotFound, LxdRefused):
            return ""
        return found.name.rpartition("/")[2]

    def _put(self, entry: JournalEntry, body: dict[str, object], etag: str = "") -> LxdTask:
        return self._client.put(LxdTask, *_path(entry), params=_of(entry), body=body, etag=etag)


def _path(entry: JournalEntry) -> tuple[str, str]:
    return "instances", entry.operation.instance


def _of(entry: JournalEntry) -> dict[str, object]:
    return {"project": entry.operation.project}
