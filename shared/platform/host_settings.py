"""What the services on an LXD host must agree on: the host's id and the daemon's socket."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from pathlib import Path

from shared.contracts.errors import InvalidInput
from shared.platform.bus.topology import checked_host
from shared.platform.settings import Reader

# Debian's LXD, the snap's, Incus.
LXD_SOCKETS = (
    "/var/lib/lxd/unix.socket",
    "/var/snap/lxd/common/lxd/unix.socket",
    "/var/lib/incus/unix.socket",
)


def host_id(read: Reader) -> str:
    """Return `FLEET_HOST`, else the machine's name with its dots turned into `-`."""
    host = read.text("FLEET_HOST", platform.node().replace(".", "-"))
    try:
        return checked_host(host)
    except InvalidInput as exc:
        read.complain(f"FLEET_HOST is {host!r}; it takes {exc.rule}")
        return host


def lxd_socket(read: Reader, env: Mapping[str, str]) -> str:
    """Return `FLEET_LXD_SOCKET`, else the one in `LXD_DIR`, else the first known one that exists.

    Where none exists yet it is the first: LXD may be started later.
    """
    if directory := env.get("LXD_DIR"):
        return read.text("FLEET_LXD_SOCKET", f"{directory}/unix.socket")
    there = [path for path in LXD_SOCKETS if Path(path).exists()]
    return read.text("FLEET_LXD_SOCKET", (there or LXD_SOCKETS)[0])
