"""Sets root's password inside a running guest, by `chpasswd`, which reads it from standard input.

So it is on no command line, in none of LXD's requests, and in no list of processes.
"""

from __future__ import annotations

from services.lxd_worker.lxd.programs import (
    NO_AGENT,
    NO_PROGRAM,
    begin_program,
    program_sockets,
)
from shared.contracts.bounds import clip
from shared.contracts.errors import (
    LxdRefused,
    LxdUnavailable,
    OutcomeUnknown,
    PasswordNotSet,
)
from shared.lxd.client import LxdClient
from shared.lxd.errors import LxdNotFound
from shared.lxd.models import ExecTask

COMMAND = ("chpasswd",)
# It takes a tenth of a second unless the guest prevents it.
TIMEOUT_S = 30


class GuestPasswords:
    """Sets passwords in the guests of one daemon."""

    def __init__(self, client: LxdClient, timeout_s: int = TIMEOUT_S) -> None:
        self._client = client
        self._timeout_s = timeout_s

    def set(self, project: str, name: str, password: str) -> None:
        """Set root's password; return once the guest has it. See `Lxd.set_password`."""
        task = begin_program(self._client, project, name, COMMAND)
        try:
            with program_sockets(self._client, task) as sockets:
                # An empty text message ends the input.
                sockets["0"].send(f"root:{password}\n".encode())
                sockets["0"].send("")
                self._judge(name, self._ended(task))
        except OSError as exc:
            self._explain(name, task)
            raise LxdUnavailable(self._client.host) from exc

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
        if any(words in ended.err for words in NO_AGENT):
            raise PasswordNotSet(name, "the agent of the virtual machine does not run")
        status = ended.facts.status
        if status in NO_PROGRAM:
            raise PasswordNotSet(name, "there is no chpasswd in it")
        if ended.err:
            raise LxdRefused(clip(ended.err))
        if status is None:
            raise OutcomeUnknown(self._client.host)
        if status != 0:
            raise PasswordNotSet(name, f"its chpasswd ended with status {status}")
