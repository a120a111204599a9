"""Daemons that outlive a call: started apart from the terminal, ended only if they are ours.

A process id in a file may have been given to a stranger since. So each daemon carries a mark in its
environment (`NAME=value`), and nothing is called ours, or ended, that does not carry it. What may
not outlive its parent is started by `until_parent_ends`.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

# A log that is longer is begun anew; what it held is kept in one file beside it.
MAX_LOG_BYTES = 10 << 20

# What starts a program in `/`: Python's `posix_spawn` cannot.
IN_ROOT = ("env", "--chdir=/", "--")

# Of the ports that `free_port` gives out; long before so many more, their daemons listen.
MOST_RESERVED = 64
_reserved: list[int] = []


class DidNotStart(Exception):
    """A daemon ended, or did not answer in time; the text names its log."""


def spawn(command: list[str], env: Mapping[str, str], log: Path) -> int:
    """Start a daemon in a session of its own, so that Ctrl-C does not reach it; return its pid.

    Its directory is `/`: this one may be deleted before it ends.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    limit_log(log)
    appended = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawnp(
        IN_ROOT[0],
        [*IN_ROOT, *command],
        env,
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), appended, 0o600),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
        setsigmask=(),  # what holds signals back here is no business of the daemon's
    )
    # The kernel shows the environment, and the mark in it, only moments after the program started.
    wait_until(lambda: _has_started(pid), timeout_s=5.0, interval_s=0.001)
    return pid


def _has_started(pid: int) -> bool:
    """Tell whether the daemon itself runs, or has run."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return True
    begins = [os.fsencode(word) for word in IN_ROOT]
    # While the kernel replaces one program by the next, both are empty.
    is_daemon = command != [b""] and command[: len(begins)] != begins
    return (is_daemon and bool(_environment(pid))) or _is_gone(pid)


def until_parent_ends(command: Sequence[str]) -> list[str]:
    """Return the command of a process that gets a SIGTERM when the one that starts it dies."""
    return ["setpriv", "--pdeathsig", "TERM", "--", *command]


@contextmanager
def signals_held_back() -> Iterator[None]:
    """Let a signal wait, so that what is started here is written down before we can be stopped."""
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    )
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def limit_log(log: Path, max_bytes: int = MAX_LOG_BYTES) -> None:
    """Begin a log anew that has grown too long, while a daemon appends to it or not.

    What it held is kept as `NAME.1` where the disk has room for that.
    """
    with suppress(OSError):
        if log.stat().st_size <= max_bytes:
            return
        with suppress(OSError):
            shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)


def systemd_runs() -> bool:
    """Tell whether systemd looks after this machine's services."""
    return Path("/run/systemd/system").is_dir()


def is_ours(pid: int, mark: str) -> bool:
    """Tell whether the process lives and carries the mark."""
    return mark.encode() in _environment(pid).split(b"\0")


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def end(pid: int, mark: str, *, timeout_s: float = 30.0) -> None:
    """Ask the process to end and wait; kill it when it has not ended in time."""
    if not _signalled(pid, mark, signal.SIGTERM, timeout_s):
        kill(pid, mark)


def kill(pid: int, mark: str) -> None:
    """End the process at once."""
    _signalled(pid, mark, signal.SIGKILL, 5.0)


def _signalled(pid: int, mark: str, number: int, timeout_s: float) -> bool:
    if not is_ours(pid, mark):
        return True
    os.kill(pid, number)
    return wait_until(lambda: _is_gone(pid), timeout_s=timeout_s)


def _is_gone(pid: int) -> bool:
    """Tell whether the process has ended with its last thread, which may hold its ports."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return state == b"Z" and len(threads) == 1
    except OSError:
        return True


def wait_until(reached: Callable[[], bool], *, timeout_s: float, interval_s: float = 0.05) -> bool:
    """Wait until it is so; return whether it became so in time."""
    deadline = time.monotonic() + timeout_s
    while not (so := reached()) and time.monotonic() < deadline:
        time.sleep(interval_s)
    return so


@contextmanager
def only_one(lock: Path) -> Iterator[None]:
    """Hold a file's lock, so that several programs do not do the same thing at once."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def unmount_below(directory: Path) -> None:
    """Unmount all that a daemon that has ended has left mounted below its directory."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{directory}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=True)


def free_port(draw: Callable[[], int] = lambda: 20_000 + secrets.randbelow(12_000)) -> int:
    """Return a loopback port nobody listens on.

    It lies below the range from which the kernel takes ports for outgoing connections, so that none
    of those can take it before the daemon does. Nor does another call of this return it meanwhile,
    in whichever program.
    """
    while True:
        port = draw()
        if _reserve(port) and not listens(port) and bindable(port):
            return port


def _reserve(port: int) -> bool:
    """Take the name that stands for a port, unless it is taken; the kernel gives it back."""
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0lxdfleet-port-{port}")
    except OSError:
        name.close()
        return False
    _reserved.append(name.detach())
    if len(_reserved) > MOST_RESERVED:
        os.close(_reserved.pop(0))
    return True


def bindable(port: int) -> bool:
    """Tell whether a loopback port can be listened on."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def listens(port: int) -> bool:
    """Tell whether somebody accepts connections on a loopback port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
