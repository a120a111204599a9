"""What LXD has written about the double's instances, as files."""

from __future__ import annotations

from aiohttp import web

from tests.lxd_double.answers import sync
from tests.lxd_double.errors import Refused
from tests.lxd_double.instances import DEFAULT, DoubledInstance
from tests.lxd_double.projects import Projects

_FILES = ("lxc.log", "qemu.log")


class Logs:
    """The routes below an instance's `logs`."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        path = "/1.0/instances/{name}/logs"
        return [web.get(path, self._list), web.get(path + "/{file}", self._get)]

    async def _list(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        instance = self._projects.asked(request).instance(name)
        there = [] if instance.log is None else [instance.log_file]
        return sync([f"/1.0/instances/{name}/logs/{file}" for file in there])

    async def _get(self, request: web.Request) -> web.Response:
        file = request.match_info["file"]
        instance = self._of(request)
        log = instance.log if file == instance.log_file else None
        if file not in _FILES:
            raise Refused(f"log file name {file} not valid")
        if log is None:
            # LXD 5.0 does not say 404 here.
            where = f"/var/lib/lxd/logs/{request.match_info['name']}/{file}"
            raise Refused(f"open {where}: no such file or directory", 500)
        wanted = request.http_range
        part = wanted.start is not None
        return web.Response(
            body=log[wanted] if part else log,
            status=206 if part else 200,
            content_type="application/octet-stream",
            headers={"Content-Disposition": f"inline;filename={file}"},
        )

    def _of(self, request: web.Request) -> DoubledInstance:
        name, project = request.match_info["name"], request.query.get("project", DEFAULT)
        try:
            return self._projects.asked(request).instance(name)
        except Refused as refused:
            where = f'Failed to fetch instance "{name}" in project "{project}"'
            raise Refused(f"{where}: {refused.text}", refused.status) from None
