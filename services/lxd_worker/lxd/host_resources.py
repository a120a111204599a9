"""The worker's `HostResources` port on a real LXD or Incus: what it has for new instances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from msgspec import Meta

from services.lxd_worker.creation.capacity import HostMachine
from services.lxd_worker.creation.devices import joinable
from services.lxd_worker.instances.image_os import os_of
from services.lxd_worker.journal.plan import Devices
from services.lxd_worker.reports.simplestreams import DaemonCapabilities
from shared.contracts.changes import ImageSource
from shared.contracts.errors import LxdRefused, LxdUnavailable
from shared.contracts.hosts import CONTAINER, VIRTUAL_MACHINE, Image, Network
from shared.lxd.client import LxdClient
from shared.lxd.errors import LxdNotFound
from shared.lxd.models import (
    ImageAlias,
    LxdImage,
    MachineResources,
    Named,
    PoolResources,
    Profile,
    ServerInfo,
)

T = TypeVar("T")

# What an image says of itself is anybody's text; a message takes no more of it.
_LONGEST = 255


class LxdHostResources:
    """What one daemon has; its answers are remembered while `listening` returns True.

    Whoever hears its events calls `forget` when one of them says that something has changed.
    """

    def __init__(self, client: LxdClient, listening: Callable[[], bool]) -> None:
        self._client = client
        self._listening = listening
        self._machine: HostMachine | None = None
        self._remembered: dict[object, Any] = {}

    def forget(self) -> None:
        """See `HostResources.forget`."""
        # What is being asked now is remembered in the old one, which nobody reads any more.
        self._remembered = {}

    def machine(self) -> HostMachine:
        """See `HostResources.machine`; asked once, for neither changes while the machine runs."""
        if self._machine is None:
            found = self._there(MachineResources, "resources")
            self._machine = HostMachine(cpu=found.cpu.total, memory=found.memory.total)
        return self._machine

    def runs(self) -> DaemonCapabilities:
        """See `HostResources.runs`."""
        found = self._there(ServerInfo).environment
        types = (CONTAINER, VIRTUAL_MACHINE) if "qemu" in found.driver else (CONTAINER,)
        own = next(iter(found.architectures), "")
        return DaemonCapabilities(architecture=own, types=types, incus=found.server == "incus")

    def default_devices(self, project: str) -> Devices:
        """See `HostResources.default_devices`."""
        return self._there(Profile, "profiles", "default", project=project).devices

    def default_pool(self) -> str:
        """See `HostResources.default_pool`."""
        return self._there(_Names, "storage-pools")[0].rpartition("/")[2]

    def pool_size(self, pool: str) -> int:
        """See `HostResources.pool_size`."""
        return self._there(PoolResources, "storage-pools", pool, "resources").space.total

    def images(self) -> list[Image]:
        """See `HostResources.images`."""
        return [_image(one) for one in self._there(list[LxdImage], "images", recursion=1)]

    def image(self, project: str, wanted: ImageSource) -> Image | None:
        """See `HostResources.image`."""
        if wanted.alias:
            alias = self._find(ImageAlias, "images", "aliases", wanted.alias, project=project)
            if alias is None or alias.name != wanted.alias:
                return None
            return Image(fingerprint=alias.target, type=alias.type)
        found = self._find(LxdImage, "images", wanted.fingerprint, project=project)
        return _image(found) if found else None

    def projects(self) -> list[str]:
        """See `HostResources.projects`."""
        # By their names: in their addresses LXD 5.0 has them escaped twice.
        return [project.name for project in self._there(list[Named], "projects", recursion=1)]

    def networks(self) -> list[Network]:
        """See `HostResources.networks`."""
        return list(filter(joinable, self._there(list[Network], "networks", recursion=1)))

    def network(self, name: str) -> Network | None:
        """See `HostResources.network`."""
        found = self._find(Network, "networks", name)
        return found if found and found.name == name else None

    def _there(self, kind: type[T], *path: str, **params: object) -> T:
        found = self._find(kind, *path, **params)
        if found is None:
            raise LxdUnavailable(self._client.host)
        return found

    def _find(self, kind: type[T], *path: str, **params: object) -> T | None:
        """An LXD that says no to a question is not well; it may answer later."""
        if not self._listening():
            self.forget()
        remembered, question = self._remembered, (path, *sorted(params.items()))
        if question in remembered:
            found: T = remembered[question]
            return found
        try:
            found = remembered[question] = self._client.get(kind, *path, params=params)
        except LxdNotFound:
            return None
        except LxdRefused as exc:
            raise LxdUnavailable(self._client.host) from exc
        return found


# An LXD without a storage pool cannot have instances.
_Names = Annotated[list[str], Meta(min_length=1)]


def _image(found: LxdImage) -> Image:
    properties = found.properties
    return Image(
        fingerprint=found.fingerprint,
        aliases=tuple(one.name for one in found.aliases),
        type=found.type,
        architecture=found.architecture,
        os=os_of({f"image.{key}": text for key, text in properties.items()})[:_LONGEST],
        description=properties.get("description", "")[:_LONGEST],
        size=found.size,
    )
