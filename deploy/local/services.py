"""The processes of a fleet on one machine, and their environments."""

from __future__ import annotations

import socket
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.credentials import CENTRAL, SNAPSHOTS, host_user

PORT = 8000

# Variables that we set for each service; the caller's values are not passed on.
_OURS = {
    "FLEET_AMQP_URI",
    "FLEET_AMQP_URI_FILE",
    "FLEET_HOST",
    "FLEET_HTTP_BIND",
    "FLEET_LXD_SOCKET",
    "FLEET_METRICS_BIND",
    "FLEET_STATE_DIR",
}


@dataclass(frozen=True, slots=True)
class LocalHost:
    """An LXD host: its id in the fleet and the socket of its daemon."""

    id: str
    socket: Path


@dataclass(frozen=True, slots=True)
class Service:
    """One process: its name, its Python module, and its complete environment."""

    name: str
    module: str
    env: Mapping[str, str]

    @property
    def command(self) -> list[str]:
        """The program and its arguments."""
        return [sys.executable, "-m", self.module]


def services(
    hosts: Sequence[LocalHost], directory: Path, uris: Mapping[str, Path], env: Mapping[str, str]
) -> list[Service]:
    """Return the gateway, the snapshots service, and a worker and a sampler for each host.

    Each has its state in a directory of its own under `directory`. `uris` has the file with each
    broker user's URI. `env` is passed on, for example `FLEET_LOG_LEVEL`, except variables that are
    specific to one service.
    """
    common = {name: value for name, value in env.items() if name not in _OURS}

    def service(name: str, module: str, user: str, **own: str) -> Service:
        state = {"FLEET_STATE_DIR": str(directory / name), "FLEET_AMQP_URI_FILE": str(uris[user])}
        return Service(name, module, common | state | own)

    result = [
        service("gateway", "services.gateway", CENTRAL, FLEET_HTTP_BIND=binds(env)),
        service("snapshots", "services.snapshots", SNAPSHOTS),
    ]
    for host in hosts:
        settings = {"FLEET_HOST": host.id, "FLEET_LXD_SOCKET": str(host.socket)}
        user = host_user(host.id)
        result.append(service(f"worker-{host.id}", "services.lxd_worker", user, **settings))
        result.append(service(f"sampler-{host.id}", "services.metrics", user, **settings))
    return result


def broker_supervisor(directory: Path, env: Mapping[str, str]) -> Service:
    """Return the process that restarts a directory's private node when it dies."""
    own = {"FLEET_STATE_DIR": str(directory)}
    return Service("broker", "deploy.local.broker", {**env, **own})


def binds(env: Mapping[str, str]) -> str:
    """Return where the gateway listens: `FLEET_HTTP_BIND`, else loopback."""
    return env.get("FLEET_HTTP_BIND") or loopback_binds(PORT, ipv6=has_ipv6_loopback())


def loopback_binds(port: int, *, ipv6: bool) -> str:
    """Return the loopback addresses: for `localhost`, a client may try either first."""
    return f"127.0.0.1:{port},[::1]:{port}" if ipv6 else f"127.0.0.1:{port}"


def has_ipv6_loopback() -> bool:
    """Return whether this machine has `::1`; not every container does."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


def url(binds: str) -> str:
    """Return the gateway's URL for a browser on this machine."""
    address, _, port = binds.partition(",")[0].strip().rpartition(":")
    anywhere = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104
    return f"http://{anywhere.get(address, address)}:{port}"
