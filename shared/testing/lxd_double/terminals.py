"""Shells, consoles and screens of the double's instances: two WebSockets of one operation.

What is typed comes back, as from a terminal that echoes; before it comes a banner that tells what
was opened. A shell ends when `exit` and a number is typed into it.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from shared.testing.lxd_double.answers import asynchronous, body_of
from shared.testing.lxd_double.errors import Refused, not_found
from shared.testing.lxd_double.instances import RUNNING, VIRTUAL_MACHINE
from shared.testing.lxd_double.operations import Operation
from shared.testing.lxd_double.projects import Projects

BANNERS = {"exec": b"# ", "console": b"\r\nlogin: ", "vga": b"REDQ\x00\xff"}
_EXIT = re.compile(rb"exit (\d+)\n")


@dataclass(eq=False)
class _Terminal:
    """One that is open: its sockets' secrets, and its end."""

    kind: str
    fds: dict[str, str] = field(
        default_factory=lambda: {name: secrets.token_hex(32) for name in ("0", "control")}
    )
    ended: asyncio.Event = field(default_factory=asyncio.Event)


class Terminals:
    """The terminals that are open."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects
        self._open: dict[str, tuple[_Terminal, Operation]] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return where they are found."""
        return [
            web.post("/1.0/instances/{name}/exec", self._exec),
            web.post("/1.0/instances/{name}/console", self._console),
            web.get("/1.0/operations/{id}/websocket", self._connect),
        ]

    async def _exec(self, request: web.Request) -> web.Response:
        return asynchronous(self._begin(request, "exec"))

    async def _console(self, request: web.Request) -> web.Response:
        return asynchronous(self._begin(request, (await body_of(request))["type"]))

    def _begin(self, request: web.Request, kind: str) -> Operation:
        """Begin to show a terminal; it goes on until its sockets are closed."""
        daemon, name = self._projects.asked(request), request.match_info["name"]
        instance = daemon.instance(name)
        if kind not in BANNERS:
            raise Refused(f'Unknown console type "{kind}"')
        if kind == "vga" and instance.type != VIRTUAL_MACHINE:
            raise Refused("VGA console is only supported by virtual machines")
        if instance.status != RUNNING:
            raise Refused("Instance is not running")
        terminal = _Terminal(kind)

        async def work(_: Operation) -> None:
            await terminal.ended.wait()

        operation = daemon.operations.start(
            "exec" if kind == "exec" else "console", name, work, kind="websocket"
        )
        operation.progress = {"fds": terminal.fds}
        self._open[operation.operation_id] = (terminal, operation)
        return operation

    async def _connect(self, request: web.Request) -> web.WebSocketResponse:
        terminal, operation = self._open.get(request.match_info["id"], (None, None))
        if terminal is None or operation is None:
            raise not_found("Operation")
        secret = request.query.get("secret", "")
        if secret not in terminal.fds.values():
            raise not_found("Secret")
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        try:
            if secret == terminal.fds["0"]:
                await _echo(terminal, operation, socket)
            else:
                async for _ in socket:
                    pass  # sizes; the loop ends when the viewer leaves
        finally:
            # A viewer that just hangs up cancels this.
            terminal.ended.set()
        return socket


async def _echo(terminal: _Terminal, operation: Operation, socket: web.WebSocketResponse) -> None:
    await socket.send_bytes(BANNERS[terminal.kind])
    async for message in socket:
        if message.type is not WSMsgType.BINARY:
            continue
        await socket.send_bytes(message.data)
        if terminal.kind == "exec" and (ended := _EXIT.search(message.data)):
            operation.progress = {"fds": terminal.fds, "return": int(ended[1])}
            await socket.send_str("")
