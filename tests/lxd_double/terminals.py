"""Shells, consoles and screens of the double's instances: two WebSockets of one operation.

What is typed comes back, as from a terminal that echoes; before it comes a banner that tells what
was opened. A shell ends when `exit` and a number is typed into it.

A program without a terminal has four sockets, and reads its input to the end, which is an empty
text: `chpasswd` (see `DoubledInstance`), and a shell's `-c` with `exit` and a number.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from dataclasses import dataclass, field

from aiohttp import WSMsgType, web

from tests.lxd_double.answers import asynchronous, body_of
from tests.lxd_double.errors import Refused, not_found
from tests.lxd_double.instances import RUNNING, VIRTUAL_MACHINE, DoubledInstance
from tests.lxd_double.operations import Operation
from tests.lxd_double.projects import Projects

BANNERS = {"exec": b"# ", "console": b"\r\nlogin: ", "vga": b"REDQ\x00\xff"}
_EXIT = re.compile(rb"exit (\d+)(?:\n|\Z)")
_NO_PROGRAM = 127
_OF_PROGRAM = ("0", "1", "2", "control")


@dataclass(eq=False)
class _Terminal:
    """One that is open: its sockets' secrets, and its end."""

    kind: str
    fds: dict[str, str] = field(
        default_factory=lambda: {name: secrets.token_hex(32) for name in ("0", "control")}
    )
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    command: list[str] = field(default_factory=list)
    status: int = 0


class Terminals:
    """The terminals that are open."""

    def __init__(self, projects: Projects) -> None:
        self._projects = projects
        self._open: dict[str, tuple[_Terminal, Operation]] = {}
        self._instances: dict[str, DoubledInstance] = {}

    def routes(self) -> list[web.RouteDef]:
        """Return where they are found."""
        return [
            web.post("/1.0/instances/{name}/exec", self._exec),
            web.post("/1.0/instances/{name}/console", self._console),
            web.get("/1.0/operations/{id}/websocket", self._connect),
        ]

    async def _exec(self, request: web.Request) -> web.Response:
        wanted = await body_of(request)
        command = None if wanted.get("interactive") else wanted["command"]
        return asynchronous(self._begin(request, "exec", command))

    async def _console(self, request: web.Request) -> web.Response:
        return asynchronous(self._begin(request, (await body_of(request))["type"]))

    def _begin(
        self, request: web.Request, kind: str, command: list[str] | None = None
    ) -> Operation:
        """Begin to show a terminal, or a program; it goes on until its sockets are closed."""
        daemon, name = self._projects.asked(request), request.match_info["name"]
        instance = daemon.instance(name)
        if kind not in BANNERS:
            raise Refused(f'Unknown console type "{kind}"')
        if kind == "vga" and instance.type != VIRTUAL_MACHINE:
            raise Refused("VGA console is only supported by virtual machines")
        if instance.status != RUNNING:
            raise Refused("Instance is not running")
        terminal = _Terminal(kind)
        if command is not None:
            fds = {name: secrets.token_hex(32) for name in _OF_PROGRAM}
            terminal = _Terminal(kind, fds, command=command)

        async def work(_: Operation) -> None:
            await terminal.ended.wait()
            if terminal.status == _NO_PROGRAM:
                raise Refused("Command not found")

        operation = daemon.operations.start(
            "exec" if kind == "exec" else "console", name, work, kind="websocket"
        )
        operation.progress = {"fds": terminal.fds}
        self._open[operation.operation_id] = (terminal, operation)
        self._instances[operation.operation_id] = instance
        return operation

    async def _run(
        self, terminal: _Terminal, operation: Operation, socket: web.WebSocketResponse, secret: str
    ) -> None:
        """Serve one socket of a program; it ends with its input."""
        given = b""
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                given += message.data
            elif secret == terminal.fds["0"] and not operation.ended.is_set():
                instance = self._instances[operation.operation_id]
                terminal.status = _status(terminal.command, instance, given)
                operation.progress = {"fds": terminal.fds, "return": terminal.status}
                return

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
            if terminal.command:
                await self._run(terminal, operation, socket, secret)
            elif secret == terminal.fds["0"]:
                await _echo(terminal, operation, socket)
            else:
                async for _ in socket:
                    pass  # sizes; the loop ends when the viewer leaves
        finally:
            # A viewer that just hangs up cancels this.
            terminal.ended.set()
        return socket


def _status(command: list[str], instance: DoubledInstance, given: bytes) -> int:
    """Return the exit status of a program that was given all of its input."""
    if command == ["chpasswd"] and instance.chpasswd is not None:
        instance.passwords.append(given)
        return instance.chpasswd
    ended = _EXIT.search(command[-1].encode())
    return int(ended[1]) if ended and command[0] == "/bin/sh" else _NO_PROGRAM


async def _echo(terminal: _Terminal, operation: Operation, socket: web.WebSocketResponse) -> None:
    await socket.send_bytes(BANNERS[terminal.kind])
    async for message in socket:
        if message.type is not WSMsgType.BINARY:
            continue
        await socket.send_bytes(message.data)
        if terminal.kind == "exec" and (ended := _EXIT.search(message.data)):
            operation.progress = {"fds": terminal.fds, "return": int(ended[1])}
            await socket.send_str("")
