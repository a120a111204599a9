"""What the double has for new instances: images, networks, a pool, the machine itself."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tests.lxd_double.answers import sync
from tests.lxd_double.daemon import Daemon
from tests.lxd_double.errors import Refused, not_found
from tests.lxd_double.faults import Faults
from tests.lxd_double.instances import PROFILE_DEVICES

_NETWORKS = {
    "lxdbr0": {"type": "bridge", "managed": True, "status": "Created", "locations": ["none"]},
    "br0": {"type": "bridge", "managed": False, "status": "", "locations": None},
    "lo": {"type": "loopback", "managed": False, "status": "", "locations": None},
}


class Offer:
    """The routes that only tell what there is."""

    def __init__(self, daemon: Daemon, faults: Faults) -> None:
        self._daemon = daemon
        self._faults = faults

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/1.0/profiles/default", self._get_profile),
            web.get("/1.0/images", self._list_images),
            web.get("/1.0/images/aliases/{alias}", self._get_alias),
            web.get("/1.0/images/{fingerprint}", self._get_image),
            web.get("/1.0/networks", self._list_networks),
            web.get("/1.0/networks/{name}", self._get_network),
            web.get("/1.0/resources", self._get_resources),
            web.get("/1.0/storage-pools", self._list_pools),
            web.get("/1.0/storage-pools/{pool}", self._get_pool),
            web.get("/1.0/storage-pools/{pool}/resources", self._get_pool_resources),
        ]

    async def _get_profile(self, _: web.Request) -> web.Response:
        return sync(
            {
                "config": {},
                "description": "Default LXD profile",
                "devices": PROFILE_DEVICES,
                "name": "default",
                "used_by": self._instances(),
            }
        )

    async def _list_images(self, request: web.Request) -> web.Response:
        return sync(_listed(request, "images", self._images()))

    async def _get_image(self, request: web.Request) -> web.Response:
        wanted = request.match_info["fingerprint"]
        found = [image for name, image in self._images().items() if name.startswith(wanted)]
        if not found:
            raise not_found("Image")
        return sync(found[0])

    async def _get_alias(self, request: web.Request) -> web.Response:
        alias = request.match_info["alias"]
        image = self._daemon.images.get(alias)
        if image is None:
            raise not_found("Image alias")
        target = {"target": image.fingerprint, "type": image.type}
        return sync({"description": "", "name": alias, **target})

    async def _list_networks(self, request: web.Request) -> web.Response:
        return sync(_listed(request, "networks", {name: _network(name) for name in _NETWORKS}))

    async def _get_network(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in _NETWORKS:
            raise not_found("Network")
        return sync(_network(name))

    async def _get_resources(self, _: web.Request) -> web.Response:
        memory = {"used": 1 << 30, "total": 16 << 30}
        return sync({"cpu": {"total": 8, "architecture": "x86_64"}, "memory": memory})

    async def _list_pools(self, request: web.Request) -> web.Response:
        return sync(_listed(request, "storage-pools", {"default": self._pool()}))

    async def _get_pool(self, request: web.Request) -> web.Response:
        if request.match_info["pool"] != "default":
            raise not_found("Storage pool")
        return sync(self._pool())

    async def _get_pool_resources(self, request: web.Request) -> web.Response:
        if request.match_info["pool"] != "default":
            raise Refused("Storage pool not found", 500)  # LXD 5.0 does not say 404 here
        if self._faults.pools_broken:
            raise Refused("Storage pool is unavailable on this server", 503)
        return sync(
            {
                "space": {"used": 10 << 30, "total": 100 << 30},
                "inodes": {"used": 1000, "total": 1000000},
            }
        )

    def _pool(self) -> dict[str, Any]:
        return {
            "config": {"source": "/var/lib/lxd/storage-pools/default"},
            "description": "",
            "name": "default",
            "driver": "dir",
            "used_by": self._instances(),
            "status": "Created",
            "locations": ["none"],
        }

    def _images(self) -> dict[str, dict[str, Any]]:
        return {
            image.fingerprint: image.rendered(alias) for alias, image in self._daemon.images.items()
        }

    def _instances(self) -> list[str]:
        return [f"/1.0/instances/{name}" for name in self._daemon.instances]


def _listed(request: web.Request, kind: str, things: dict[str, dict[str, Any]]) -> list[Any]:
    if request.query.get("recursion") == "1":
        return list(things.values())
    return [f"/1.0/{kind}/{name}" for name in things]


def _network(name: str) -> dict[str, Any]:
    return {"config": {}, "description": "", "name": name, "used_by": [], **_NETWORKS[name]}
