"""A host with something to offer."""

from __future__ import annotations

from services.lxd_worker.instances.devices import Devices
from services.lxd_worker.protocols import DaemonCapabilities, HostMachine
from shared.contracts.errors import LxdUnavailable
from shared.contracts.hosts import CONTAINER, Image, Network
from shared.contracts.instance_config import ImageSource

GIB = 1 << 30
BUSYBOX = Image(fingerprint="f" * 64, aliases=("busybox",))


class FakeResources:
    """A machine of 4 CPUs, 8 GiB and a pool of 100 GiB; the image `busybox`; two networks.

    While `away` nothing is told of the machine, and never anything of what is `refused`: `images`,
    `networks`, `projects`. `forgotten` counts how often it was to be asked anew.
    """

    def __init__(self) -> None:
        self.away = False
        self.refused: set[str] = set()
        self.forgotten = 0
        self.profile: Devices = {
            "root": {"type": "disk", "path": "/", "pool": "default"},
            "eth0": {"type": "nic", "name": "eth0", "network": "lxdbr0"},
        }
        self.own_images = [BUSYBOX]
        self.own_networks = [
            Network(name="lxdbr0", type="bridge", managed=True),
            Network(name="br0", type="bridge", managed=False),
        ]
        self.own_machine = HostMachine(cpu=4, memory=8 * GIB)

    def machine(self) -> HostMachine:
        if self.away:
            raise LxdUnavailable("h1")
        return self.own_machine

    def capabilities(self) -> DaemonCapabilities:
        if self.away:
            raise LxdUnavailable("h1")
        return DaemonCapabilities("x86_64", (CONTAINER,))

    def default_devices(self, project: str) -> Devices:
        return self.profile

    def default_pool(self) -> str:
        return "only"

    def pool_size(self, pool: str) -> int:
        return 100 * GIB

    def images(self) -> list[Image]:
        self._answer("images")
        return self.own_images

    def image(self, project: str, source: ImageSource) -> Image | None:
        fitting = (
            one
            for one in self.own_images
            if source.alias in one.aliases or one.fingerprint == source.fingerprint
        )
        return next(fitting, None)

    def projects(self) -> list[str]:
        self._answer("projects")
        return ["default", "shop"]

    def networks(self) -> list[Network]:
        self._answer("networks")
        return self.own_networks

    def network(self, name: str) -> Network | None:
        return next((one for one in self.own_networks if one.name == name), None)

    def _answer(self, question: str) -> None:
        if question in self.refused:
            raise LxdUnavailable("h1")

    def forget(self) -> None:
        self.forgotten += 1
