"""Runs commands inside a running guest, before and after snapshots."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Thread

from services.lxd_worker.lxd.programs import (
    NO_AGENT,
    NO_PROGRAM,
    begin_program,
    program_sockets,
)
from services.lxd_worker.lxd.websocket import LxdSocket
from shared.contracts.bounds import LONGEST_WORD, clip
from shared.contracts.errors import CommandFailed, LxdRefused, LxdUnavailable, OutcomeUnknown
from shared.contracts.instance_config import GuestCommand
from shared.lxd.client import LxdClient
from shared.lxd.errors import LxdNotFound
from shared.lxd.models import ExecTask

# What a program may print; nobody reads it.
MOST_OUTPUT_BYTES = 16 << 20
_TOO_MUCH = f"it was killed after printing {MOST_OUTPUT_BYTES >> 20} MiB"
_KILL = json.dumps({"command": "signal", "signal": 9})
# LXD is asked again this often, so that a lost connection is noticed.
_WAIT_S = 30.0
# How long LXD may take to let go of a program that was killed.
_HANG_UP_S = 5.0


class GuestCommands:
    """Runs commands in the guests of one daemon; what they print is read and dropped."""

    def __init__(self, client: LxdClient) -> None:
        self._client = client

    def run(self, project: str, name: str, command: GuestCommand) -> None:
        """Run a command and return if it ends with status 0; see `Lxd.run_command`."""
        try:
            task = begin_program(self._client, project, name, command.command)
        except LxdRefused as exc:
            raise _failure(name, command, exc.reason) from exc
        try:
            with program_sockets(self._client, task) as sockets:
                output = _Output(sockets)
                with output.drained():
                    # An empty text message ends the input.
                    sockets["0"].send("")
                    ended = self._ended(task, command.timeout_s)
                    if ended is None:
                        output.kill()
                if output.is_too_much:
                    raise _failure(name, command, _TOO_MUCH)
        except OSError as exc:
            # LXD closes the sockets at once of what cannot run.
            ended = self._ended(task, 1.0)
            if ended is None:
                raise LxdUnavailable(self._client.host) from exc
        if reason := _reason(ended, command):
            raise _failure(name, command, reason)

    def _ended(self, task: ExecTask, timeout_s: float) -> ExecTask | None:
        """Return a program's end; None: it still runs after that time."""
        deadline = time.monotonic() + timeout_s
        while (left_s := deadline - time.monotonic()) > 0:
            try:
                found = self._client.wait(ExecTask, task.id, math.ceil(min(left_s, _WAIT_S)))
            except (LxdNotFound, LxdRefused) as exc:
                raise OutcomeUnknown(self._client.host) from exc
            if found.err or found.facts.status is not None:
                return found
        return None


class _Output:
    """Reads and drops what a program prints, so that it never waits for anybody to read it.

    One that prints without end is killed: it costs LXD and the worker a core each.
    """

    def __init__(self, sockets: dict[str, LxdSocket]) -> None:
        self._sockets = sockets
        self._bytes = 0
        self.is_too_much = False

    @contextmanager
    def drained(self) -> Iterator[None]:
        """Read until the end of the block, and hang up."""
        readers = [Thread(target=self._drain, args=(end,), daemon=True) for end in ("1", "2")]
        for reader in readers:
            reader.start()
        try:
            yield
        finally:
            self._hang_up()
            for reader in readers:
                reader.join(_HANG_UP_S)

    def kill(self) -> None:
        """Kill the program; raises OSError if LXD has hung up."""
        self._sockets["control"].send(_KILL)

    def _hang_up(self) -> None:
        for socket in self._sockets.values():
            socket.hang_up()

    def _drain(self, end: str) -> None:
        for piece in self._sockets[end]:
            self._bytes += len(piece)
            if self._bytes > MOST_OUTPUT_BYTES and not self.is_too_much:
                self.is_too_much = True
                with suppress(OSError):
                    self.kill()
                # What it has started itself may go on printing, until nobody listens.
                self._hang_up()


def _reason(ended: ExecTask | None, command: GuestCommand) -> str:
    """Return why a command has failed; empty if it has not."""
    if ended is None:
        return f"it was killed after {command.timeout_s:g} s"
    if any(words in ended.err for words in NO_AGENT):
        return "the agent of the virtual machine does not run"
    status = ended.facts.status
    if status in NO_PROGRAM:
        return "there is no such program in it"
    if ended.err:
        return ended.err
    return f"it ended with status {status}" if status else ""


def _failure(name: str, command: GuestCommand, reason: str) -> CommandFailed:
    # Without its arguments, which may hold a password.
    return CommandFailed(name, clip(command.command[0], LONGEST_WORD), clip(reason))
