"""The behaviour of LXD without its HTTP. Everything here runs on the double's own event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from shared.contracts.sizes import size_in_bytes
from tests.lxd_double import errors
from tests.lxd_double.errors import Refused, check_name, not_found
from tests.lxd_double.events import Events, Listeners
from tests.lxd_double.faults import Faults
from tests.lxd_double.guest import Guests
from tests.lxd_double.images import IMAGES, DoubledImage, check_image, unpacked
from tests.lxd_double.instances import (
    CONTAINER,
    FROZEN,
    RUNNING,
    STOPPED,
    UNUSED,
    DoubledInstance,
)
from tests.lxd_double.operations import Operation, Operations

HALF = 50


@dataclass(frozen=True, slots=True)
class Shared:
    """What the projects of one LXD have together."""

    listeners: Listeners = field(default_factory=dict)
    operations: dict[str, Operation] = field(default_factory=dict)
    images: dict[str, DoubledImage] = field(default_factory=lambda: dict(IMAGES))


class Daemon:
    """The instances of one project and what may be done to them; it refuses by `Refused`."""

    def __init__(self, faults: Faults, project: str, shared: Shared) -> None:
        self.instances: dict[str, DoubledInstance] = {}
        self.project = project
        self.images = shared.images
        self.events = Events(project, self._located, shared.listeners)
        self.operations = Operations(self.events, faults, project, shared.operations)
        self.guests = Guests(self.events, faults)
        self._faults = faults
        self._state_changes: dict[
            str, Callable[[DoubledInstance, bool, float], Awaitable[None]]
        ] = {
            "start": self._start,
            "stop": self._stop,
            "restart": self._restart,
            "freeze": self._freeze,
            "unfreeze": self._unfreeze,
        }

    def instance(self, name: str) -> DoubledInstance:
        """Return an instance; refuse a name that is not there."""
        found = self.instances.get(name)
        if found is None:
            raise not_found("Instance")
        return found

    def change_state(self, name: str, action: str, force: bool, timeout_s: float) -> Operation:
        """Begin to start, stop, restart, freeze or unfreeze; it may fail inside the operation."""
        instance = self.instance(name)
        change = self._state_changes.get(action)
        if change is None:
            raise Refused(f"Unknown action: '{action}'")
        return self.operations.start(action, name, lambda _: change(instance, force, timeout_s))

    def create(self, wanted: dict[str, Any], member: str = "none") -> Operation:
        """Begin to create an instance on a member of the cluster, if there is one.

        An alias or a name that is wrong is refused at once.
        """
        check_name(wanted["name"])
        source = wanted.get("source", {})
        if source.get("type") not in ("image", "none", "copy"):
            raise Refused(f"Unknown source type {source.get('type', '')}")
        for profile in wanted.get("profiles") or ():
            if profile != "default":
                raise Refused(f'Requested profile "{profile}" doesn\'t exist', 500)
        if "alias" in source and source["alias"] not in self.images:
            raise not_found("Image alias")
        if source["type"] == "copy":
            wanted = self._with_copied(wanted, source["source"])

        async def work(operation: Operation) -> None:
            await self._create(wanted, operation, member)

        return self.operations.start("create", wanted["name"], work)

    def delete(self, name: str) -> Operation:
        """Begin to delete a stopped instance; a running one is refused at once."""
        instance = self.instance(name)
        if instance.status != STOPPED:
            raise Refused("Instance is running")

        async def work(_: Operation) -> None:
            await self.take_time("delete")
            if self.instances.pop(instance.name, None) is None:
                raise not_found("Instance")
            self.events.lifecycle("deleted", name)

        return self.operations.start("delete", name, work)

    def rename(self, name: str, new_name: str) -> Operation:
        """Begin to rename a stopped instance; a name in use is refused at once."""
        instance = self.instance(name)
        check_name(new_name)
        if new_name in self.instances:
            raise Refused(f'Name "{new_name}" already in use', 409)

        async def work(_: Operation) -> None:
            await self.take_time("rename")
            if instance.status != STOPPED:
                raise Refused("Renaming of running container not allowed")
            del self.instances[name]
            instance.name = new_name
            self.instances[new_name] = instance
            self.events.lifecycle("renamed", new_name, context={"old_name": name})

        return self.operations.start("rename", name, work)

    def replace_config(self, name: str, wanted: dict[str, Any], etag: str) -> Operation:
        """Begin to replace all that may be written; LXD's own `volatile.*` keys stay."""
        instance = self.instance(name)
        _check_etag(instance, etag)

        async def work(_: Operation) -> None:
            await self.take_time("update")
            _check_memory(instance, wanted)
            volatile = {k: v for k, v in instance.config.items() if k.startswith("volatile.")}
            instance.config = volatile | wanted.get("config", {})
            instance.devices = wanted.get("devices", {})
            instance.profiles = wanted.get("profiles", [])
            instance.description = wanted.get("description", "")
            instance.ephemeral = wanted.get("ephemeral", False)
            self.events.lifecycle("updated", name)

        return self.operations.start("update", name, work)

    def merge_config(self, name: str, wanted: dict[str, Any], etag: str) -> None:
        """Change what is named, at once; an empty value takes a key away.

        A description that is not named is lost, as LXD 5.0 does it.
        """
        instance = self.instance(name)
        _check_etag(instance, etag)
        merged = instance.config | wanted.get("config", {})
        instance.config = {key: value for key, value in merged.items() if value != ""}
        instance.devices.update(wanted.get("devices", {}))
        instance.description = wanted.get("description", "")
        self.events.lifecycle("updated", name)

    def _with_copied(self, wanted: dict[str, Any], source: str) -> dict[str, Any]:
        """Return what is wanted with what it does not name from a snapshot, `NAME/SNAPSHOT`."""
        name, _, snapshot = source.partition("/")
        copied = self.instance(name).snapshots.get(snapshot)
        if copied is None:
            raise not_found("Instance snapshot")
        own = {k: v for k, v in copied.config.items() if not k.startswith("volatile.")}
        config = own | (wanted.get("config") or {})
        return {
            **wanted,
            "config": {key: text for key, text in config.items() if text},
            "devices": copied.devices | (wanted.get("devices") or {}),
        }

    async def _create(self, wanted: dict[str, Any], operation: Operation, member: str) -> None:
        name, source = wanted["name"], wanted["source"]
        kind = wanted.get("type") or CONTAINER
        if source["type"] == "image":
            check_image(self.images, source, kind)
        if name in self.instances:
            raise Refused(errors.ALREADY_EXISTS)
        instance = DoubledInstance(
            name,
            type=kind,
            config=dict(wanted.get("config") or {}),
            devices=dict(wanted.get("devices") or {}),
            description=wanted.get("description", ""),
            project=self.project,
            location=member,
        )
        # LXD leaves this mark when all is there; until then it may be killed at it.
        made = instance.config.pop(UNUSED)
        self.instances[name] = instance
        context: dict[str, object] = {"storage-pool": "default", "type": instance.type}
        self.events.lifecycle("created", name, context=context)
        await self._unpack(operation, source)
        instance.config[UNUSED] = made

    async def _unpack(self, operation: Operation, source: dict[str, Any]) -> None:
        """Take the time that a creation takes, and tell of each quarter."""
        for percent in (25, HALF, 75, 100):
            await asyncio.sleep(self._faults.duration_s.get("create", 0) / 4)
            if source["type"] == "image":
                self.operations.progress(operation, unpacked(percent))
            if (words := self._faults.breaks.get("create")) and percent == HALF:
                del self.instances[operation.instance]
                raise Refused(words)

    async def _start(self, instance: DoubledInstance, _force: bool, _timeout_s: float) -> None:
        if instance.status != STOPPED:
            raise Refused(errors.ALREADY_RUNNING)
        await self.take_time("start")
        if instance.status == STOPPED:  # else it joined a start that was under way
            instance.begin_run()
            self.events.lifecycle("started", instance.name, by_request=True)

    async def _stop(self, instance: DoubledInstance, force: bool, timeout_s: float) -> None:
        if instance.status == STOPPED:
            raise Refused(errors.ALREADY_STOPPED)
        if force:
            await self.take_time("stop")
            self.guests.cut_off(instance)
            self.events.lifecycle("stopped", instance.name, by_request=True)
        else:
            await self._shut_down(instance, timeout_s)
            self.events.lifecycle("shutdown", instance.name, by_request=True)

    async def _restart(self, instance: DoubledInstance, force: bool, timeout_s: float) -> None:
        if instance.status == STOPPED:
            raise Refused(errors.ALREADY_STOPPED)
        if force:
            self.guests.cut_off(instance)
        else:
            await self._shut_down(instance, timeout_s)
        await self.take_time("restart")
        instance.begin_run()
        self.events.lifecycle("restarted", instance.name, by_request=True)

    async def _shut_down(self, instance: DoubledInstance, timeout_s: float) -> None:
        if instance.status == FROZEN:
            instance.status = RUNNING
            self.events.lifecycle("resumed", instance.name, by_request=True)
        if not await self.guests.stopped(instance, timeout_s):
            raise Refused(errors.GUEST_DID_NOT_STOP)

    async def _freeze(self, instance: DoubledInstance, _force: bool, _timeout_s: float) -> None:
        if instance.status != RUNNING:
            frozen = instance.status == FROZEN
            raise Refused(errors.CONTAINER_FROZEN if frozen else errors.CONTAINER_NOT_RUNNING)
        await self.take_time("freeze")
        instance.status = FROZEN
        self.events.lifecycle("paused", instance.name, by_request=True)

    async def _unfreeze(self, instance: DoubledInstance, _force: bool, _timeout_s: float) -> None:
        if instance.status != FROZEN:
            running = instance.status == RUNNING
            raise Refused(errors.CONTAINER_RUNNING if running else errors.CONTAINER_NOT_RUNNING)
        await self.take_time("unfreeze")
        instance.status = RUNNING
        self.events.lifecycle("resumed", instance.name, by_request=True)

    async def take_time(self, action: str) -> None:
        """Let as long pass as an action takes."""
        await asyncio.sleep(self._faults.duration_s.get(action, 0))

    def _located(self, name: str) -> str:
        return self.instances[name].location if name in self.instances else "none"


def _check_memory(instance: DoubledInstance, wanted: dict[str, Any]) -> None:
    limit = size_in_bytes(wanted.get("config", {}).get("limits.memory", ""))
    if instance.status != STOPPED and limit and limit < instance.memory_usage:
        raise Refused("setting cgroup item for the container failed")


def _check_etag(instance: DoubledInstance, etag: str) -> None:
    if etag and etag.strip('"') != instance.etag():
        raise Refused(f"ETag doesn't match: {instance.etag()} vs {etag}", 412)
