"""A real worker in a process of its own."""

from __future__ import annotations

import atexit
import functools
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.daemons import ROOT
from tests.support.forked import Forked, Forks


@functools.cache
def _forks() -> Forks:
    forks = Forks("services.lxd_worker", ROOT)
    atexit.register(forks.close)
    return forks


@dataclass
class WorkerProcess:
    """A worker; `start` runs it until `stop` (SIGTERM) or `kill` (SIGKILL)."""

    environment: dict[str, str]
    log: Path
    command: list[str] = field(
        default_factory=lambda: [sys.executable, "-m", "services.lxd_worker"]
    )
    _process: Forked | None = None

    def start(self, **more: str) -> None:
        """Run it; `more` are settings for this run only."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **self.environment, **more}
        self._process = _forks().start(self.command[1:], environment, self.log)

    def stop(self) -> int:
        """End it in order and return its exit status."""
        return self._end(signal.SIGTERM)

    def kill(self) -> int:
        """End it at once."""
        return self._end(signal.SIGKILL)

    def wait(self, timeout_s: float = 30.0) -> int:
        """Return its exit status when it has ended by itself."""
        if self._process is None:
            return 0
        return self._process.wait(timeout_s)

    def _end(self, number: signal.Signals) -> int:
        if self._process is None:
            return 0
        self._process.send_signal(number)
        return self.wait()

    def logged(self, message: str) -> list[dict[str, Any]]:
        """Return the log lines with this message."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line[:1] == "{"]
        return [line for line in lines if line["message"] == message]


# Makes a worker for an LXD socket; see the fixture `prepare`.
Prepare = Callable[[Path], WorkerProcess]
