"""LXD's HTTP around the daemon's behaviour: paths, errors, the event stream."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from aiohttp import WSCloseCode, web

from tests.lxd_double.answers import asynchronous, body_of, error, sync
from tests.lxd_double.errors import Refused
from tests.lxd_double.faults import Faults
from tests.lxd_double.logs import Logs
from tests.lxd_double.offer import Offer
from tests.lxd_double.project_routes import ProjectRoutes
from tests.lxd_double.projects import Projects, everywhere
from tests.lxd_double.snapshots import Snapshots, restored
from tests.lxd_double.terminals import Terminals

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

ALL_EVENTS = "logging,operation,lifecycle"


class Api:
    """The routes of one run of the daemon."""

    def __init__(
        self, projects: Projects, faults: Faults, server: dict[str, Any], requests: list[str]
    ) -> None:
        self._projects = projects
        self._faults = faults
        self._server = server
        self._streams: set[web.WebSocketResponse] = set()
        self._requests = requests

    def application(self) -> web.Application:
        """Return the whole API as an application that can be served once."""
        app = web.Application(middlewares=[self._note_and_misbehave, _translate_errors])
        app.add_routes(self._routes())
        app.add_routes(Offer(self._projects.default, self._faults).routes())
        app.add_routes(Snapshots(self._projects).routes())
        app.add_routes(Terminals(self._projects).routes())
        app.add_routes(Logs(self._projects).routes())
        app.add_routes(ProjectRoutes(self._projects).routes())
        app.on_shutdown.append(self._close_streams)
        return app

    def _routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self._root),
            web.get("/1.0", self._get_server),
            web.get("/1.0/events", self._stream_events),
            web.get("/1.0/instances", self._list_instances),
            web.post("/1.0/instances", self._create),
            web.get("/1.0/instances/{name}", self._get_instance),
            web.post("/1.0/instances/{name}", self._rename),
            web.put("/1.0/instances/{name}", self._replace_config),
            web.patch("/1.0/instances/{name}", self._merge_config),
            web.delete("/1.0/instances/{name}", self._delete),
            web.get("/1.0/instances/{name}/state", self._get_state),
            web.put("/1.0/instances/{name}/state", self._change_state),
            web.get("/1.0/operations", self._list_operations),
            web.get("/1.0/operations/{id}", self._get_operation),
            web.delete("/1.0/operations/{id}", self._cancel_operation),
            web.get("/1.0/operations/{id}/wait", self._wait_for_operation),
        ]

    async def _root(self, _: web.Request) -> web.Response:
        return sync(["/1.0"])

    async def _get_server(self, _: web.Request) -> web.Response:
        return sync(self._server)

    async def _list_instances(self, request: web.Request) -> web.Response:
        instances = self._projects.listed(request)
        match request.query.get("recursion", "0"):
            case "1":
                return sync([instance.rendered() for instance in instances])
            case "2":
                return sync([instance.rendered_fully() for instance in instances])
            case _:
                return sync([instance.path for instance in instances])

    async def _create(self, request: web.Request) -> web.Response:
        daemon, member = self._projects.asked(request), request.query.get("target", "none")
        return asynchronous(daemon.create(await body_of(request), member))

    async def _get_instance(self, request: web.Request) -> web.Response:
        instance = self._projects.asked(request).instance(request.match_info["name"])
        full = request.query.get("recursion") == "1"
        answer = sync(instance.rendered_fully() if full else instance.rendered())
        answer.headers["Etag"] = f'"{instance.etag()}"'
        return answer

    async def _rename(self, request: web.Request) -> web.Response:
        wanted = await body_of(request)
        return asynchronous(
            self._projects.asked(request).rename(request.match_info["name"], wanted["name"])
        )

    async def _replace_config(self, request: web.Request) -> web.Response:
        name, etag = request.match_info["name"], request.headers.get("If-Match", "")
        daemon, wanted = self._projects.asked(request), await body_of(request)
        if snapshot := wanted.get("restore"):
            return asynchronous(restored(daemon, name, snapshot))
        return asynchronous(daemon.replace_config(name, wanted, etag))

    async def _merge_config(self, request: web.Request) -> web.Response:
        name, etag = request.match_info["name"], request.headers.get("If-Match", "")
        self._projects.asked(request).merge_config(name, await body_of(request), etag)
        return sync({})

    async def _delete(self, request: web.Request) -> web.Response:
        return asynchronous(self._projects.asked(request).delete(request.match_info["name"]))

    async def _get_state(self, request: web.Request) -> web.Response:
        return sync(self._projects.asked(request).instance(request.match_info["name"]).state())

    async def _change_state(self, request: web.Request) -> web.Response:
        name, wanted = request.match_info["name"], await body_of(request)
        operation = self._projects.asked(request).change_state(
            name, wanted.get("action", ""), wanted.get("force", False), wanted.get("timeout", -1)
        )
        return asynchronous(operation)

    async def _list_operations(self, request: web.Request) -> web.Response:
        full = request.query.get("recursion") == "1"
        listed = self._projects.asked(request).operations.by_status().items()
        return sync(
            {status: [op.rendered() if full else op.url for op in ops] for status, ops in listed}
        )

    async def _get_operation(self, request: web.Request) -> web.Response:
        return sync(self._projects.default.operations.get(request.match_info["id"]).rendered())

    async def _cancel_operation(self, request: web.Request) -> web.Response:
        self._projects.default.operations.cancel(request.match_info["id"])
        return sync({})

    async def _wait_for_operation(self, request: web.Request) -> web.Response:
        timeout_s = float(request.query.get("timeout", "-1"))
        operation = await self._projects.default.operations.wait(
            request.match_info["id"], timeout_s
        )
        if self._faults.waits_refused and operation.status != "Success":
            text = operation.err or "context deadline exceeded"
            return error(text, 500, http_status=self._faults.waits_refused)
        return sync(operation.rendered())

    async def _stream_events(self, request: web.Request) -> web.WebSocketResponse:
        types = frozenset(request.query.get("type", ALL_EVENTS).split(","))
        stream = web.WebSocketResponse()
        # Listening begins before the handshake is answered: a client that is connected misses none.
        events = self._projects.asked(request).events
        queue = events.listen(types, everywhere=everywhere(request))
        self._streams.add(stream)
        try:
            await stream.prepare(request)
            await _forward(queue, stream)
        finally:
            self._streams.discard(stream)
            events.leave(queue)
        return stream

    async def _close_streams(self, _: web.Application) -> None:
        for stream in list(self._streams):
            await stream.close(code=WSCloseCode.GOING_AWAY)

    @web.middleware
    async def _note_and_misbehave(
        self, request: web.Request, handler: Handler
    ) -> web.StreamResponse:
        self._requests.append(f"{request.method} {request.path_qs}")
        await asyncio.sleep(self._faults.answer_delay_s)
        if self._faults.no_json:
            return web.Response(text="<html>Bad gateway</html>", content_type="text/html")
        path = _with_state(request)
        await asyncio.sleep(self._faults.slow_s.get(path, 0))
        status = self._faults.refused.get(path)
        if path in self._faults.answers:
            return web.Response(text=self._faults.answers[path], status=status or HTTPStatus.OK)
        if status:
            return error("refused by the test", status)
        return await handler(request)


def _with_state(request: web.Request) -> str:
    """Return what is asked for: one instance with `recursion` is its state as well."""
    whole = request.path.startswith("/1.0/instances/") and "recursion" in request.query
    return f"{request.path}/state" if whole and request.path.count("/") == 3 else request.path


@web.middleware
async def _translate_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except Refused as refused:
        return error(refused.text, refused.status)
    except web.HTTPNotFound:
        return error("not found", 404)
    except web.HTTPMethodNotAllowed:
        return error("not implemented", 501)


async def _forward(queue: asyncio.Queue[dict[str, object]], stream: web.WebSocketResponse) -> None:
    """Send what comes into the queue until the client leaves."""

    async def send() -> None:
        while True:
            await stream.send_json(await queue.get())

    sending = asyncio.create_task(send())
    try:
        async for _ in stream:
            pass  # LXD does not listen to what clients say; the loop ends when they leave
    finally:
        sending.cancel()
