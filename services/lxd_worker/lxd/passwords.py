"""Sets root's password inside a running guest, by `chpasswd`, which reads it from standard input.

So it is on no command line, in none of LXD's requests, and in no list of processes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from services.lxd_worker.lxd.websocket import LxdSocket
from shared.contracts.bounds import clip
from shared.contracts.errors import (
    InstanceNotFound,
    LxdRefused,
    LxdUnavailable,
    OutcomeUnknown,
    PasswordNotSet,
)
from shared.lxd.client import LxdClient
from shared.lxd.errors import LxdNotFound
from shared.lxd.models import ExecTask

COMMAND = ("chpasswd",)
# The exit statuses by which LXD reports that there is no such program.
_NO_PROGRAM = (126, 127)
# What LXD and Incus answer about a virtual machine without its agent.
_NO_AGENT = ("agent isn't currently running", "connect to lxd-agent", "connect to incus-agent")
# It takes a tenth of a second unless the guest prevents it.
TIMEOUT_S = 30


class GuestPasswords:
    """Sets passwords in the guests of one daemon."""

    def __init__(self, client: LxdClient, timeout_s: int = TIMEOUT_S) -> None:
        self._client = client
        self._timeout_s = timeout_s

    def set(self, project: str, name: str, password: str) -> None:
        """Set root's password; return once the guest has it. See `Lxd.set_password`."""
        body = {
            "command": list(COMMAND),
            "environment": {},
            "interactive": False,
            "wait-for-websocket": True,
        }
        path, params = ("instances", name, "exec"), {"project": project}
        try:
            task = self._client.post(ExecTask, *path, params=params, body=body)
        except LxdNotFound:
            raise InstanceNotFound(name) from None
        try:
            with self._sockets(task) as stdin:
                # An empty text message ends the input.
                stdin.send(f"root:{password}\n".encode())
                stdin.send("")
                self._judge(name, self._ended(task))
        except OSError as exc:
            self._explain(name, task)
            raise LxdUnavailable(self._client.host) from exc

    @contextmanager
    def _sockets(self, task: ExecTask) -> Iterator[LxdSocket]:
        """Connect all of a process's sockets, as LXD requires, and yield that of its input."""
        resource, secrets = f"/1.0/operations/{task.id}/websocket", task.facts.fds
        with ExitStack() as opened:
            sockets = {}
            for end in ("0", "1", "2", "control"):
                if end not in secrets:
                    raise ConnectionError(f"LXD gave no socket {end}")
                sockets[end] = LxdSocket(self._client.socket, resource, f"secret={secrets[end]}")
                opened.callback(sockets[end].close)
                opened.callback(sockets[end].hang_up)
                sockets[end].connect()
            yield sockets["0"]

    def _ended(self, task: ExecTask) -> ExecTask:
        try:
            return self._client.wait(ExecTask, task.id, self._timeout_s)
        except (LxdNotFound, LxdRefused) as exc:
            raise OutcomeUnknown(self._client.host) from exc

    def _explain(self, name: str, task: ExecTask) -> None:
        """Raise PasswordNotSet if LXD has closed the sockets because nothing could run."""
        try:
            ended = self._client.wait(ExecTask, task.id, 1)
        except (LxdNotFound, LxdRefused):
            return
        if ended.err:
            self._judge(name, ended)

    def _judge(self, name: str, ended: ExecTask) -> None:
        """Return if the password is set, else raise; what the guest itself prints is not repeated.

        It may print anything, including the password.
        """
        if any(words in ended.err for words in _NO_AGENT):
            raise PasswordNotSet(name, "the agent of the virtual machine does not run")
        status = ended.facts.status
        if status in _NO_PROGRAM:
            raise PasswordNotSet(name, "there is no chpasswd in it")
        if ended.err:
            raise LxdRefused(clip(ended.err))
        if status is None:
            raise OutcomeUnknown(self._client.host)
        if status != 0:
            raise PasswordNotSet(name, f"its chpasswd ended with status {status}")
