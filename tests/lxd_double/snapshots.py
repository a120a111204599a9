"""Snapshots of the double's instances: taken, listed, restored, deleted."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_plus

from aiohttp import web

from tests.lxd_double.answers import asynchronous, body_of, sync
from tests.lxd_double.daemon import Daemon
from tests.lxd_double.errors import Refused
from tests.lxd_double.instances import STOPPED, DoubledInstance, Snapshot
from tests.lxd_double.operations import Operation
from tests.lxd_double.projects import Projects

_NOT_IN_NAMES = re.compile("[/?+&]")
_NO_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2}).{0,2}", re.DOTALL)
_RECORD = 'Failed creating instance snapshot record "{}": '


class Snapshots:
    """The routes below an instance's `snapshots`, and its restoring."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        path = "/1.0/instances/{name}/snapshots"
        return [
            web.get(path, self._list),
            web.post(path, self._take),
            web.get(path + "/{snapshot}", self._get),
            web.delete(path + "/{snapshot}", self._delete),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        listed = self._projects.asked(request).instance(name).snapshots
        if request.query.get("recursion") == "1":
            return sync([snapshot.rendered() for snapshot in listed.values()])
        return sync([f"/1.0/instances/{name}/snapshots/{snapshot}" for snapshot in listed])

    async def _take(self, request: web.Request) -> web.Response:
        name, wanted = request.match_info["name"], await body_of(request)
        if wrong := _NOT_IN_NAMES.search(wanted["name"]):
            raise Refused(f'Invalid snapshot name: Cannot contain "{wrong[0]}"')
        return asynchronous(taken(self._projects.asked(request), name, wanted))

    async def _get(self, request: web.Request) -> web.Response:
        instance = self._projects.asked(request).instance(request.match_info["name"])
        return sync(found(instance, _named(request)).rendered())

    async def _delete(self, request: web.Request) -> web.Response:
        name, snapshot = request.match_info["name"], _named(request)
        return asynchronous(deleted(self._projects.asked(request), name, snapshot))


def _named(request: web.Request) -> str:
    """Return the name in a path; LXD 5.0 takes what is unescaped already for escaped once more."""
    once = request.match_info["snapshot"]
    if wrong := _NO_ESCAPE.search(once):
        raise Refused(f'invalid URL escape "{wrong[0]}"', 500)
    return unquote_plus(once)


def found(instance: DoubledInstance, snapshot: str) -> Snapshot:
    """Return a snapshot; refuse one that is not there."""
    if snapshot not in instance.snapshots:
        raise Refused(
            f'Failed to fetch snapshot "{snapshot}" of instance "{instance.name}" in project '
            f'"{instance.project}": InstanceSnapshot not found',
            404,
        )
    return instance.snapshots[snapshot]


def taken(daemon: Daemon, name: str, wanted: dict[str, Any]) -> Operation:
    """Begin to take a snapshot; it may fail inside the operation."""
    instance = daemon.instance(name)
    snapshot, stateful = wanted["name"], wanted.get("stateful", False)

    async def work(_: Operation) -> None:
        await daemon.take_time("snapshot")
        _check(instance, snapshot, stateful=stateful)
        instance.take_snapshot(snapshot)
        daemon.events.lifecycle("snapshot-created", f"{name}/snapshots/{snapshot}")

    return daemon.operations.start("snapshot", name, work)


def restored(daemon: Daemon, name: str, snapshot: str) -> Operation:
    """Begin to restore; a running instance is stopped and started again."""
    instance = daemon.instance(name)

    async def work(_: Operation) -> None:
        await daemon.take_time("restore")
        if snapshot not in instance.snapshots:
            raise Refused(f"Snapshot {name}/{snapshot} does not exist")
        was_running = instance.status != STOPPED
        if was_running:
            daemon.guests.cut_off(instance)
        _put_back(instance, instance.snapshots[snapshot])
        if was_running:
            instance.begin_run()
            daemon.events.lifecycle("started", name)
        daemon.events.lifecycle("restored", name, context={"snapshot": f"{name}/{snapshot}"})

    return daemon.operations.start("restore", name, work)


def deleted(daemon: Daemon, name: str, snapshot: str) -> Operation:
    """Begin to delete a snapshot; one that is not there is refused at once."""
    instance = daemon.instance(name)
    found(instance, snapshot)

    async def work(_: Operation) -> None:
        await daemon.take_time("delete-snapshot")
        del instance.snapshots[snapshot]
        daemon.events.lifecycle("snapshot-deleted", f"{name}/snapshots/{snapshot}")

    return daemon.operations.start("delete-snapshot", f"{name}/{snapshot}", work)


def _check(instance: DoubledInstance, snapshot: str, *, stateful: bool) -> None:
    if stateful:
        why = "The instance isn't running" if instance.status == STOPPED else "CRIU isn't installed"
        raise Refused(f"Unable to create a stateful snapshot. {why}")
    if " " in snapshot:
        invalid = "Invalid instance snapshot name: Cannot contain space or / characters"
        raise Refused(_RECORD.format(snapshot) + invalid)
    if snapshot in instance.snapshots:
        exists = (
            'Add snapshot info to the database: This "instances_snapshots" entry already exists'
        )
        raise Refused(_RECORD.format(snapshot) + exists)


def _put_back(instance: DoubledInstance, snapshot: Snapshot) -> None:
    """LXD 5.0 keeps no description with a snapshot."""
    instance.config = dict(snapshot.config)
    instance.devices = dict(snapshot.devices)
    instance.description = ""
