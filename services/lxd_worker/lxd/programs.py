"""Programs inside a guest, without a terminal: their sockets, and what LXD says of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from services.lxd_worker.lxd.websocket import LxdSocket
from shared.contracts.errors import InstanceNotFound
from shared.lxd.client import LxdClient
from shared.lxd.errors import LxdNotFound
from shared.lxd.models import ExecTask

# Input, output, errors, and the socket over which LXD takes signals.
ENDS = ("0", "1", "2", "control")
# The exit statuses by which LXD reports that there is no such program.
NO_PROGRAM = (126, 127)
# What LXD and Incus answer about a virtual machine without its agent.
NO_AGENT = ("agent isn't currently running", "connect to lxd-agent", "connect to incus-agent")


def begin_program(client: LxdClient, project: str, name: str, command: Sequence[str]) -> ExecTask:
    """Have LXD run a program as root once its sockets are connected; return LXD's operation.

    Raises InstanceNotFound, LxdRefused, LxdBusy and LxdUnavailable.
    """
    body = {
        "command": list(command),
        "environment": {},
        "interactive": False,
        "wait-for-websocket": True,
    }
    path, params = ("instances", name, "exec"), {"project": project}
    try:
        return client.post(ExecTask, *path, params=params, body=body)
    except LxdNotFound:
        raise InstanceNotFound(name) from None


@contextmanager
def program_sockets(client: LxdClient, task: ExecTask) -> Iterator[dict[str, LxdSocket]]:
    """Connect all of a program's sockets, as LXD requires; raise OSError if that is impossible.

    LXD kills a program whose sockets have all gone.
    """
    resource, secrets = f"/1.0/operations/{task.id}/websocket", task.facts.fds
    with ExitStack() as opened:
        sockets = {}
        for end in ENDS:
            if end not in secrets:
                raise ConnectionError(f"LXD gave no socket {end}")
            sockets[end] = LxdSocket(client.socket, resource, f"secret={secrets[end]}")
            opened.callback(sockets[end].close)
            opened.callback(sockets[end].hang_up)
            sockets[end].connect()
        yield sockets
