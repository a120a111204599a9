"""The gateway under test: a process with a database of its own, which may be restarted."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deploy.local import processes
from tests.support.daemons import ROOT

COMMAND = [sys.executable, "-m", "services.gateway"]
STOP_S = 30.0
_LOST = "connection to the broker lost"


@dataclass
class GatewayProcess:
    """A gateway with its state in a directory."""

    amqp_uri: str
    directory: Path
    port: int = field(default_factory=processes.free_port)

    def __post_init__(self) -> None:
        self._log = self.directory / "gateway.log"

    def start(self) -> None:
        """Start it; it answers later."""
        env = {
            "PATH": os.environ["PATH"],
            "FLEET_AMQP_URI": self.amqp_uri,
            "FLEET_STATE_DIR": str(self.directory),
            "FLEET_HTTP_BIND": f"127.0.0.1:{self.port}",
        }
        with self._log.open("a") as log:
            self._popen = subprocess.Popen(COMMAND, cwd=ROOT, env=env, stdout=log, stderr=log)
        self.process = psutil.Process(self._popen.pid)

    def stop(self) -> None:
        """End it in order; if it does not end in time, kill it."""
        self._popen.terminate()
        try:
            self._popen.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it at once."""
        self._popen.kill()
        self._popen.wait()

    @property
    def lost_connections(self) -> int:
        """How often it has lost a connection to the broker, in all its runs."""
        return self._log.read_text(errors="replace").count(_LOST)
