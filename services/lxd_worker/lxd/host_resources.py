"""Implements `ports.HostResources` on a real LXD or Incus: what it has for new instances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from msgspec import Meta

from services.lxd_worker.instances.description import os_of
from services.lxd_worker.instances.devices import Devices, is_joinable
from services.lxd_worker.protocols import DaemonCapabilities, HostMachine
from shared.contracts.errors import LxdRefused, LxdUnavailable
from shared.contracts.hosts import CONTAINER, VIRTUAL_MACHINE, Image, Network
from shared.contracts.instance_config import ImageSource
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

# An image's properties are anybody's text; a message holds no more of them.
_LONGEST = 255


class LxdHostResources:
    """What one daemon has; its answers are cached while `listening` returns True.

    Whoever listens to its events calls `forget` when one of them may have changed something.
    """

    def __init__(self, client: LxdClient, listening: Callable[[], bool]) -> None:
        self._client = client
        self._listening = listening
        self._machine: HostMachine | None = None
        self._cache: dict[object, Any] = {}

    def forget(self) -> None:
        """See `HostResources.forget`."""
        # What is being asked now goes to the old cache, which nobody reads any more.
        self._cache = {}

    def machine(self) -> HostMachine:
        """See `HostResources.machine`; asked once, since neither changes while the machine runs."""
        if self._machine is None:
            found = self._require(MachineResources, "resources")
            self._machine = HostMachine(cpu=found.cpu.total, memory=found.memory.total)
        return self._machine

    def capabilities(self) -> DaemonCapabilities:
        """See `HostResources.capabilities`."""
        found = self._require(ServerInfo).environment
        types = (CONTAINER, VIRTUAL_MACHINE) if "qemu" in found.driver else (CONTAINER,)
        own = next(iter(found.architectures), "")
        return DaemonCapabilities(architecture=own, types=types, incus=found.server == "incus")

    def default_devices(self, project: str) -> Devices:
        """See `HostResources.default_devices`."""
        return self._require(Profile, "profiles", "default", project=project).devices

    def default_pool(self) -> str:
        """See `HostResources.default_pool`."""
        return self._require(_Names, "storage-pools")[0].rpartition("/")[2]

    def pool_size(self, pool: str) -> int:
        """See `HostResources.pool_size`."""
        return self._require(PoolResources, "storage-pools", pool, "resources").space.total

    def images(self) -> list[Image]:
        """See `HostResources.images`."""
        return [_image(one) for one in self._require(list[LxdImage], "images", recursion=1)]

    def image(self, project: str, source: ImageSource) -> Image | None:
        """See `HostResources.image`."""
        if source.alias:
            alias = self._find(ImageAlias, "images", "aliases", source.alias, project=project)
            if alias is None or alias.name != source.alias:
                return None
            return Image(fingerprint=alias.target, type=alias.type)
        found = self._find(LxdImage, "images", source.fingerprint, project=project)
        return _image(found) if found else None

    def projects(self) -> list[str]:
        """See `HostResources.projects`."""
        # By their names: LXD 5.0 escapes them twice in their addresses.
        return [project.name for project in self._require(list[Named], "projects", recursion=1)]

    def networks(self) -> list[Network]:
        """See `HostResources.networks`."""
        return list(filter(is_joinable, self._require(list[Network], "networks", recursion=1)))

    def network(self, name: str) -> Network | None:
        """See `HostResources.network`."""
        found = self._find(Network, "networks", name)
        return found if found and found.name == name else None

    def _require(self, kind: type[T], *path: str, **params: object) -> T:
        found = self._find(kind, *path, **params)
        if found is None:
            raise LxdUnavailable(self._client.host)
        return found

    def _find(self, kind: type[T], *path: str, **params: object) -> T | None:
        """Return LXD's answer, None if there is no such thing; a refusal is LxdUnavailable."""
        if not self._listening():
            self.forget()
        cached, question = self._cache, (path, *sorted(params.items()))
        if question in cached:
            found: T = cached[question]
            return found
        try:
            found = cached[question] = self._client.get(kind, *path, params=params)
        except LxdNotFound:
            return None
        except LxdRefused as exc:
            raise LxdUnavailable(self._client.host) from exc
        return found


# An LXD without a storage pool has no instances.
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
