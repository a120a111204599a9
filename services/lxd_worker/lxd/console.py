"""Shells and consoles of instances: two WebSockets of one LXD operation."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence

from services.lxd_worker.consoles import Terminal
from services.lxd_worker.lxd.websocket import LxdSocket
from shared.contracts.consoles import ConsoleType, OpenConsole
from shared.contracts.errors import InstanceNotFound, LxdRefused, LxdUnavailable
from shared.contracts.streams import Resize
from shared.lxd.client import LxdClient
from shared.lxd.errors import LxdNotFound
from shared.lxd.models import ExecTask

# Until the client sends its own.
SIZE: dict[str, object] = {"width": 80, "height": 24}
# Seconds that LXD may take to report the exit status of a process that has ended.
EXIT_S = 5
# Seconds that LXD may take to notice that nobody uses a text console any more.
FAREWELL_S = (0.5, 1.0)
# Seconds for which a text console is still read after its client is gone.
CATCH_UP_S = 0.2


class LxdTerminals:
    """Opens terminals; `command` is what a shell runs."""

    def __init__(self, client: LxdClient, command: Sequence[str]) -> None:
        self._client = client
        self._command = list(command)

    def open(self, request: OpenConsole) -> Terminal:
        """See `Terminals.open`."""
        end = "exec" if request.type is ConsoleType.EXEC else "console"
        params = {"project": request.project}
        path = ("instances", request.name, end)
        try:
            task = self._client.post(ExecTask, *path, params=params, body=self._body(request))
        except LxdNotFound:
            raise InstanceNotFound(request.name) from None
        try:
            return LxdTerminal(self._client, task, request.type)
        except (OSError, KeyError) as exc:
            raise LxdUnavailable(self._client.host) from exc

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
    """One terminal. LXD requires both of its sockets within 5 s, and both closed at the end.

    For a text console the order matters. When its control socket is closed, LXD writes a last frame
    to the data socket; if it is just writing there, the whole daemon dies: "panic: concurrent write
    to websocket connection" (canonical/lxd 11174, fixed in LXD 6.9). So data is closed first, and
    LXD gets time to notice; it ends by itself unless the guest is silent. LXD also dies if data is
    closed before control was ever connected: so control is connected first.
    """

    def __init__(self, client: LxdClient, task: ExecTask, type_: ConsoleType) -> None:
        self._client = client
        self._task = task
        self._is_text_console = type_ is ConsoleType.CONSOLE
        resource = f"/1.0/operations/{task.id}/websocket"
        data, control = (f"secret={task.facts.fds[end]}" for end in ("0", "control"))
        # In this order: if the worker is killed, the kernel closes the lower number first.
        self._data = LxdSocket(client.socket, resource, data)
        self._control = LxdSocket(client.socket, resource, control)
        try:
            self._control.connect()
            self._data.connect()
        except OSError:
            self.hang_up()
            self.close()
            raise

    def __iter__(self) -> Iterator[bytes]:
        """See `Terminal.__iter__`."""
        return iter(self._data)

    def write(self, data: bytes) -> None:
        """See `Terminal.write`."""
        self._data.send(data)

    def resize(self, size: Resize) -> None:
        """See `Terminal.resize`."""
        # LXD accepts numbers only as strings here.
        args = {"width": str(size.columns), "height": str(size.rows)}
        self._control.send(json.dumps({"command": "window-resize", "args": args}))

    def exit_status(self) -> int | None:
        """See `Terminal.exit_status`."""
        if not self._data.complete:
            return None
        try:
            return self._client.wait(ExecTask, self._task.id, EXIT_S).facts.status
        except (LxdNotFound, LxdRefused):
            return None

    def hang_up(self) -> None:
        """See `Terminal.hang_up`."""
        if self._is_text_console:
            # Unread output blocks the guest's monitor, which would never recover.
            self._data.skip(CATCH_UP_S)
        else:
            self._control.hang_up()
        self._data.hang_up()

    def close(self) -> None:
        """See `Terminal.close`."""
        self._data.close()
        if self._is_text_console:
            # Random, so that a guest cannot time its output for that very moment.
            self._control.skip(random.uniform(*FAREWELL_S))  # noqa: S311
            self._control.hang_up()
        self._control.close()
