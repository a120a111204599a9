"""Print without ever failing or blocking: lines that cannot be written are dropped and counted.

A full disk, a closed pipe, or a terminal that is gone or paused by Ctrl-S would otherwise end or
block whoever prints: here, the program that must stop a fleet in order.
"""

from __future__ import annotations

import atexit
import io
import os
import signal
import sys
import threading
from collections import deque

# Characters that may wait for a blocked descriptor; further lines are dropped.
MAX_WAITING = 1 << 20
# How long the program waits at its end for the rest to be written.
DRAIN_S = 1.0


class Output(io.TextIOBase):
    """A text stream whose lines a thread of its own writes.

    As soon as lines can be written again it writes how many were dropped.
    """

    def __init__(self, descriptor: int, *, max_waiting: int = MAX_WAITING) -> None:
        self._descriptor = descriptor
        self._max_waiting = max_waiting
        self._partial = ""
        self._changed = threading.Condition()
        self._waiting: deque[str] = deque()
        self._size = 0  # of the waiting lines and the one that is being written
        self._dropped = 0
        threading.Thread(target=self._write_all, name=f"output {descriptor}", daemon=True).start()

    def write(self, text: str) -> int:
        """Queue complete lines, or drop them if too many are waiting; return the text's length."""
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._enqueue(f"{line}\n")
        return len(text)

    def flush(self) -> None:
        """Queue an incomplete line too, without waiting until it is written."""
        if self._partial:
            self._enqueue(self._partial)
            self._partial = ""

    def drain(self, timeout_s: float) -> None:
        """Wait until everything is written or dropped, at most this long."""
        self.flush()
        with self._changed:
            self._changed.wait_for(lambda: not self._size, timeout_s)

    def isatty(self) -> bool:
        """Return whether the descriptor is a terminal."""
        return os.isatty(self._descriptor)

    def _enqueue(self, line: str) -> None:
        with self._changed:
            if self._size and self._size + len(line) > self._max_waiting:
                self._dropped += 1
                return
            self._waiting.append(line)
            self._size += len(line)
            self._changed.notify_all()

    def _write_all(self) -> None:
        # Signals are for the main thread, which may defer them.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting)
                line = self._waiting.popleft()
                dropped = self._dropped
            written = self._try_to_write(f"{_notice(dropped)}{line}")
            with self._changed:
                self._dropped += -dropped if written else 1
                self._size -= len(line)
                self._changed.notify_all()

    def _try_to_write(self, text: str) -> bool:
        rest = text.encode(errors="backslashreplace")
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError:
            return False
        return True


def install() -> None:
    """Send all that this program prints through `Output`; a closed stream stays closed."""
    if sys.stdout is not None:
        sys.stdout = _at_exit(Output(sys.stdout.fileno()))
    if sys.stderr is not None:
        sys.stderr = _at_exit(Output(sys.stderr.fileno()))


def _at_exit(stream: Output) -> Output:
    atexit.register(stream.drain, DRAIN_S)
    return stream


def _notice(dropped: int) -> str:
    """Return the notice before the first line after dropped ones."""
    # The last write may have ended within a line.
    return f"\n({dropped} lines could not be written here)\n" if dropped else ""
