"""Shells and consoles of instances, as LXD gives them: two WebSockets of one operation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from services.lxd_worker.adapters.lxd.answers import TerminalTask
from services.lxd_worker.adapters.lxd.api import Api, NotThere
from services.lxd_worker.adapters.lxd.socket import LxdSocket
from services.lxd_worker.ports import Terminal
from shared.contracts.consoles import ConsoleType, OpenConsole
from shared.contracts.errors import InstanceNotFound, LxdRefused, LxdUnavailable
from shared.contracts.streams import Resize

# Until the viewer tells its own.
SIZE: dict[str, object] = {"width": 80, "height": 24}
# Seconds that LXD may take to tell the exit status of a process that has ended.
EXIT_S = 5


class LxdTerminals:
    """Opens terminals; `command` is what an exec one runs."""

    def __init__(self, api: Api, socket: str, host: str, command: Sequence[str]) -> None:
        self._api = api
        self._socket = socket
        self._host = host
        self._command = list(command)

    def open(self, request: OpenConsole) -> Terminal:
        """See `Terminals.open`."""
        end = "exec" if request.type is ConsoleType.EXEC else "console"
        params = {"project": request.project}
        path = ("instances", request.name, end)
        try:
            task = self._api.post(TerminalTask, *path, params=params, body=self._body(request))
        except NotThere:
            raise InstanceNotFound(request.name) from None
        try:
            return LxdTerminal(self._api, self._socket, task)
        except (OSError, KeyError) as exc:
            raise LxdUnavailable(self._host) from exc

    def _body(self, request: OpenConsole) -> dict[str, object]:
        if request.type is not ConsoleType.EXEC:
            return SIZE | {"type": request.type.value}
        return SIZE | {
            "command": self._command,
            "environment": {"TERM": "xterm-256color"},
            "interactive": True,
            "wait-for-websocket": True,
        }


class LxdTerminal:
    """One terminal. LXD wants both of its sockets connected within 5 s.

    Both have to be dropped, or the process goes on; that of control first, or a text console stays
    taken.
    """

    def __init__(self, api: Api, socket: str, task: TerminalTask) -> None:
        self._api = api
        self._task = task
        resource, secrets = f"/1.0/operations/{task.id}/websocket", task.facts.fds
        self._data = LxdSocket(socket, resource, f"secret={secrets['0']}")
        try:
            self._control = LxdSocket(socket, resource, f"secret={secrets['control']}")
        except (OSError, KeyError):
            self._data.hang_up()
            self._data.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        """See `Terminal.__iter__`."""
        return iter(self._data)

    def write(self, data: bytes) -> None:
        """See `Terminal.write`."""
        self._data.send(data)

    def resize(self, size: Resize) -> None:
        """See `Terminal.resize`."""
        # LXD reads numbers here only as texts.
        args = {"width": str(size.columns), "height": str(size.rows)}
        self._control.send(json.dumps({"command": "window-resize", "args": args}))

    def exit_status(self) -> int | None:
        """See `Terminal.exit_status`."""
        if not self._data.complete:
            return None
        try:
            return self._api.wait(TerminalTask, self._task.id, EXIT_S).facts.status
        except (NotThere, LxdRefused):
            return None

    def hang_up(self) -> None:
        """See `Terminal.hang_up`."""
        self._control.hang_up()
        self._data.hang_up()

    def close(self) -> None:
        """See `Terminal.close`."""
        self._control.close()
        self._data.close()
