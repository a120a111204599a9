"""The double's projects over HTTP: listed, made, told and deleted."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from aiohttp import web

from tests.lxd_double.answers import body_of, sync
from tests.lxd_double.errors import Refused, not_found
from tests.lxd_double.instances import DEFAULT
from tests.lxd_double.projects import Projects

_VOLUMES = {"features.storage.volumes": "true"}


class ProjectRoutes:
    """The routes of projects."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/1.0/projects", self._list),
            web.post("/1.0/projects", self._make),
            web.get("/1.0/projects/{name}", self._get),
            web.delete("/1.0/projects/{name}", self._delete),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        names = list(self._projects.config)
        if request.query.get("recursion") == "1":
            return sync([self._rendered(name) for name in names])
        return sync([f"/1.0/projects/{name}" for name in names])

    async def _make(self, request: web.Request) -> web.Response:
        wanted = await body_of(request)
        name, config = wanted.get("name", ""), wanted.get("config") or {}
        if not name:
            raise Refused("No name provided")
        if "/" in name:
            raise Refused("Project names may not contain slashes")
        if name in self._projects.config:
            words = 'Failed adding database record: This "projects" entry already exists'
            raise Refused(f'Failed creating project "{name}": {words}', HTTPStatus.CONFLICT)
        self._projects.config[name] = _VOLUMES | config
        answer = sync(None)
        answer.set_status(HTTPStatus.CREATED)
        answer.headers["Location"] = f"/1.0/projects/{name}"
        return answer

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._projects.config:
            raise not_found("Project")
        return sync(self._rendered(name))

    async def _delete(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._projects.config:
            raise Refused(f'Fetch project "{name}": Project not found', HTTPStatus.NOT_FOUND)
        if name == DEFAULT:
            raise Refused("The 'default' project cannot be deleted", HTTPStatus.FORBIDDEN)
        if self._projects.of(name).instances:
            raise Refused("Only empty projects can be removed", HTTPStatus.INTERNAL_SERVER_ERROR)
        del self._projects.config[name]
        return sync({})

    def _rendered(self, name: str) -> dict[str, Any]:
        default = name == DEFAULT
        suffix = "" if default else f"?project={name}"
        used = [f"/1.0/instances/{one}{suffix}" for one in self._projects.of(name).instances]
        return {
            "config": dict(self._projects.config[name]),
            "description": "Default LXD project" if default else "",
            "name": name,
            "used_by": [*used, "/1.0/profiles/default"] if default else used,
        }
