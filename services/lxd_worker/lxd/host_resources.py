"""The worker's `HostResources` port on a real LXD or Incus: what it has for new instances."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from msgspec import Meta, Struct

from services.lxd_worker.creation.capacity import HostMachine
from services.lxd_worker.creation.devices import joinable
from services.lxd_worker.instances.image_os import os_of
from services.lxd_worker.journal.plan import Devices
from services.lxd_worker.lxd.api import Api, NotThere
from services.lxd_worker.lxd.models import ServerAnswer
from services.lxd_worker.reports.simplestreams import DaemonCapabilities
from shared.contracts.bounds import Count
from shared.contracts.changes import ImageSource
from shared.contracts.errors import LxdRefused, LxdUnavailable
from shared.contracts.hosts import CONTAINER, VIRTUAL_MACHINE, Image, Network

T = TypeVar("T")

# What an image says of itself is anybody's text; a message takes no more of it.
_LONGEST = 255


class LxdHostResources:
    """What one daemon has; its answers are remembered while `listening` returns True.

    Whoever hears its events calls `forget` when one of them says that something has changed.
    """

    def __init__(self, api: Api, host: str, listening: Callable[[], bool]) -> None:
        self._api = api
        self._host = host
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
            found = self._there(_Resources, "resources")
            self._machine = HostMachine(cpu=found.cpu.total, memory=found.memory.total)
        return self._machine

    def runs(self) -> DaemonCapabilities:
        """See `HostResources.runs`."""
        found = self._there(ServerAnswer).environment
        types = (CONTAINER, VIRTUAL_MACHINE) if "qemu" in found.driver else (CONTAINER,)
        own = next(iter(found.architectures), "")
        return DaemonCapabilities(architecture=own, types=types, incus=found.server == "incus")

    def default_devices(self, project: str) -> Devices:
        """See `HostResources.default_devices`."""
        return self._there(_Profile, "profiles", "default", project=project).devices

    def default_pool(self) -> str:
        """See `HostResources.default_pool`."""
        return self._there(_Names, "storage-pools")[0].rpartition("/")[2]

    def pool_size(self, pool: str) -> int:
        """See `HostResources.pool_size`."""
        return self._there(_Space, "storage-pools", pool, "resources").space.total

    def images(self) -> list[Image]:
        """See `HostResources.images`."""
        return [one.image() for one in self._there(list[_Image], "images", recursion=1)]

    def image(self, project: str, wanted: ImageSource) -> Image | None:
        """See `HostResources.image`."""
        if wanted.alias:
            alias = self._find(_Alias, "images", "aliases", wanted.alias, project=project)
            if alias is None or alias.name != wanted.alias:
                return None
            return Image(fingerprint=alias.target, type=alias.type)
        found = self._find(_Image, "images", wanted.fingerprint, project=project)
        return found.image() if found else None

    def projects(self) -> list[str]:
        """See `HostResources.projects`."""
        # By their names: in their addresses LXD 5.0 has them escaped twice.
        return [project.name for project in self._there(list[_Project], "projects", recursion=1)]

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
            raise LxdUnavailable(self._host)
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
            found = remembered[question] = self._api.get(kind, *path, params=params)
        except NotThere:
            return None
        except LxdRefused as exc:
            raise LxdUnavailable(self._host) from exc
        return found


# Without a default: what cannot be read is unknown, and not nothing.
class _Total(Struct, frozen=True):
    total: Count


class _Resources(Struct, frozen=True):
    cpu: _Total
    memory: _Total


class _Space(Struct, frozen=True):
    space: _Total


class _Profile(Struct, frozen=True):
    devices: Devices = {}


# An LXD without a storage pool cannot have instances.
_Names = Annotated[list[str], Meta(min_length=1)]


class _Project(Struct, frozen=True):
    name: str


class _Alias(Struct, frozen=True):
    """A name of an image; `target`, the image's fingerprint, is told of a name alone."""

    name: str
    target: str = ""
    type: str = CONTAINER


class _Image(Struct, frozen=True):
    fingerprint: str
    aliases: tuple[_Alias, ...] = ()
    type: str = CONTAINER
    architecture: str = ""
    size: int = 0
    properties: dict[str, str] = {}

    def image(self) -> Image:
        return Image(
            fingerprint=self.fingerprint,
            aliases=tuple(one.name for one in self.aliases),
            type=self.type,
            architecture=self.architecture,
            os=os_of({f"image.{key}": text for key, text in self.properties.items()})[:_LONGEST],
            description=self.properties.get("description", "")[:_LONGEST],
            size=self.size,
        )
