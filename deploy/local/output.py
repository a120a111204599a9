"""Standard output that can neither fail nor block: what cannot be written is dropped and counted.

A full disk, a closed pipe, a terminal that has gone away or is held by Ctrl-S would otherwise end
or stop whoever prints: here, the program that has to stop a fleet in order.
"""

from __future__ import annotations

import atexit
import io
import os
import signal
import sys
import threading
from collections import deque

# What may wait for a descriptor that takes nothing now, in characters; what comes then is dropped.
MAX_WAITING = 1 << 20
# How long the program's end waits for what has been printed.
DRAIN_S = 1.0


class Output(io.TextIOBase):
    """A text stream whose lines are written by a thread of its own.

    How many lines were dropped is said as soon as one can be written again.
    """

    def __init__(self, descriptor: int, *, max_waiting: int = MAX_WAITING) -> None:
        self._descriptor = descriptor
        self._max_waiting = max_waiting
        self._partial = ""
        self._changed = threading.Condition()
        self._waiting: deque[str] = deque()
        self._size = 0  # of what waits, and of the line that is being written
        self._dropped = 0
        threading.Thread(target=self._write_all, name=f"output {descriptor}", daemon=True).start()

    def write(self, text: str) -> int:
        """Take the text; each full line is queued for writing, or dropped where too much waits."""
        *lines, self._partial = (self._partial + text).split("\n")
        for line in lines:
            self._enqueue(f"{line}\n")
        return len(text)

    def flush(self) -> None:
        """Queue an unfinished line too; this does not wait until it is written."""
        if self._partial:
            self._enqueue(self._partial)
            self._partial = ""

    def drain(self, timeout_s: float) -> None:
        """Wait until all is written or dropped, or the time is over."""
        self.flush()
        with self._changed:
            self._changed.wait_for(lambda: not self._size, timeout_s)

    def isatty(self) -> bool:
        """Tell whether it ends at a terminal."""
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
        # Signals are for the main thread, which may hold them back.
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
    """Make all that this program prints go by way of `Output`; a closed stream stays closed."""
    if sys.stdout is not None:
        sys.stdout = _at_exit(Output(sys.stdout.fileno()))
    if sys.stderr is not None:
        sys.stderr = _at_exit(Output(sys.stderr.fileno()))


def _at_exit(stream: Output) -> Output:
    atexit.register(stream.drain, DRAIN_S)
    return stream


def _notice(dropped: int) -> str:
    """Return what is said before the first line that can be written again."""
    # The last write may have ended in the middle of a line.
    return f"\n({dropped} lines could not be written here)\n" if dropped else ""
