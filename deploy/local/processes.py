"""Start daemons apart from the terminal, and end them, but only if they are ours.

The process id in a file may have been reused since. So each daemon has a mark in its environment
(`NAME=value`), without which a process is not ours and is not ended. Processes that must not
outlive their parent are started with `end_with_parent`.
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

# A longer log is truncated; its content is kept in one file beside it.
MAX_LOG_BYTES = 10 << 20

# Starts a program in `/`, which Python's `posix_spawn` cannot.
IN_ROOT = ("env", "--chdir=/", "--")

# How many of its latest ports `free_port` reserves; the daemons of older ones listen by then.
MOST_RESERVED = 64
_reserved: list[int] = []


class DidNotStart(Exception):
    """A daemon ended or did not answer in time; the text names its log."""


def spawn(command: list[str], env: Mapping[str, str], log: Path) -> int:
    """Start a daemon in a session of its own, out of reach of Ctrl-C; return its pid.

    It runs in `/`, as the current directory may be deleted before it ends.
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
        setsigmask=(),  # do not pass on our blocked signals
    )
    # The environment with the mark is visible only shortly after the program has started.
    wait_until(lambda: _has_started(pid), timeout_s=5.0, interval_s=0.001)
    return pid


def _has_started(pid: int) -> bool:
    """Return whether the daemon itself runs, or has ended."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return True
    launcher = [os.fsencode(word) for word in IN_ROOT]
    # During exec both command line and environment are empty.
    is_daemon = command != [b""] and command[: len(launcher)] != launcher
    return (is_daemon and bool(_environment(pid))) or _is_gone(pid)


def end_with_parent(command: Sequence[str]) -> list[str]:
    """Return a command whose process gets a SIGTERM when its parent dies."""
    return ["setpriv", "--pdeathsig", "TERM", "--", *command]


@contextmanager
def defer_signals() -> Iterator[None]:
    """Defer signals, so that we cannot be stopped between starting a daemon and recording it."""
    before = signal.pthread_sigmask(
        signal.SIG_BLOCK, (signal.SIGHUP, signal.SIGINT, signal.SIGTERM)
    )
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def limit_log(log: Path, max_bytes: int = MAX_LOG_BYTES) -> None:
    """Truncate a log that is too long, even while a daemon appends to it.

    Its content is kept as `NAME.1` if the disk has room.
    """
    with suppress(OSError):
        if log.stat().st_size <= max_bytes:
            return
        with suppress(OSError):
            shutil.copyfile(log, log.with_name(f"{log.name}.1"))
        os.truncate(log, 0)


def systemd_runs() -> bool:
    """Return whether systemd manages this machine's services."""
    return Path("/run/systemd/system").is_dir()


def is_ours(pid: int, mark: str) -> bool:
    """Return whether the process is alive and has the mark."""
    return mark.encode() in _environment(pid).split(b"\0")


def _environment(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""


def end(pid: int, mark: str, *, timeout_s: float = 30.0) -> None:
    """Terminate the process and wait; kill it if it does not end in time."""
    if not _signalled(pid, mark, signal.SIGTERM, timeout_s):
        kill(pid, mark)


def kill(pid: int, mark: str) -> None:
    """Kill the process."""
    _signalled(pid, mark, signal.SIGKILL, 5.0)


def _signalled(pid: int, mark: str, number: int, timeout_s: float) -> bool:
    if not is_ours(pid, mark):
        return True
    os.kill(pid, number)
    return wait_until(lambda: _is_gone(pid), timeout_s=timeout_s)


def _is_gone(pid: int) -> bool:
    """Return whether the process has ended with its last thread, which may hold its ports."""
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        return state == b"Z" and len(threads) == 1
    except OSError:
        return True


def wait_until(reached: Callable[[], bool], *, timeout_s: float, interval_s: float = 0.05) -> bool:
    """Wait until the condition is true; return whether it became true in time."""
    deadline = time.monotonic() + timeout_s
    while not (result := reached()) and time.monotonic() < deadline:
        time.sleep(interval_s)
    return result


@contextmanager
def file_lock(lock: Path) -> Iterator[None]:
    """Hold a file's lock; wait until no other program holds it."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def unmount_below(directory: Path) -> None:
    """Unmount what a former daemon has left mounted below its directory."""
    mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{directory}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=True)


def free_port(draw: Callable[[], int] = lambda: 20_000 + secrets.randbelow(12_000)) -> int:
    """Return a free port on loopback.

    It is below the kernel's range for outgoing connections, so that none of those can take it
    before the daemon does. Nor does another call, in any program, return it meanwhile.
    """
    while True:
        port = draw()
        if _reserve(port) and not listens(port) and bindable(port):
            return port


def _reserve(port: int) -> bool:
    """Reserve a port among our programs by an abstract socket, which the kernel frees with us."""
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
    """Return whether we could listen on a loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def listens(port: int) -> bool:
    """Return whether a loopback port accepts connections."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
