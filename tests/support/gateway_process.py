"""The gateway as a process of its own, without a broker unless a test names one."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil

from deploy.local import processes
from tests.support.daemons import ROOT
from tests.support.polling import wait_until

# Else httpx reads the certificates of all authorities for each request.
WITHOUT_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
NOWHERE = "amqp://nobody:nothing@127.0.0.1:1/"


class Process:
    """A running gateway on two loopback ports, with a state folder of the test's.

    `under` is a command that runs it, such as `prlimit`.
    """

    def __init__(self, folder: Path, under: Sequence[str] = (), **more: str) -> None:
        self.ports = (processes.free_port(), processes.free_port())
        binds = ",".join(f"127.0.0.1:{port}" for port in self.ports)
        env = {
            "FLEET_AMQP_URI": NOWHERE,
            "FLEET_STATE_DIR": str(folder),
            "FLEET_HTTP_BIND": binds,
            **more,
        }
        self.log = folder / "gateway.log"
        with self.log.open("w") as log:
            self.popen = subprocess.Popen(
                [*under, sys.executable, "-m", "services.gateway"], cwd=ROOT, env=env, stderr=log
            )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    def get(self, path: str, port: int = 0, **options: Any) -> httpx.Response:
        return self.request("GET", path, port, **options)

    def request(self, method: str, path: str, port: int = 0, **options: Any) -> httpx.Response:
        """Send one request on a connection of its own."""
        url = f"http://127.0.0.1:{self.ports[port]}{path}"
        return httpx.request(method, url, verify=WITHOUT_TLS, **options)

    def is_connected_to(self, client: socket.socket) -> bool:
        """Whether the gateway has its end of the client's connection open."""
        connections = psutil.Process(self.popen.pid).net_connections("tcp")
        return client.getsockname() in [each.raddr for each in connections if each.raddr]

    def kill(self) -> None:
        """End it at once."""
        self.popen.kill()
        self.popen.wait()

    def wait_until_ready(self) -> None:
        wait_until(self._is_ready, within_s=60, seen=lambda: self.log.read_text())

    def _is_ready(self) -> bool:
        try:
            return self.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False
